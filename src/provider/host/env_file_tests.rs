//! What may be changed in a `KEY=value` file, and how little of it changes.

use super::*;
use proptest::prelude::*;

const FILE: &str = "# the shop\n\nexport DATABASE_HOST=10.1.0.5\r\n  NAME = not ours\nREDIS_HOST='10.1.0.6' # cache\nURL=\"http://a b\"\nDATABASE_PORT=5432  \nlast=1";

fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn only_the_values_change() {
    let wanted = set(&[
        ("DATABASE_HOST", "10.2.0.5"),
        ("REDIS_HOST", "10.2.0.6"),
        ("DATABASE_PORT", "5433"),
        ("last", "a b"),
    ]);
    let keys: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let old = values(FILE, &keys).unwrap();
    assert_eq!(
        old,
        set(&[
            ("DATABASE_HOST", "10.1.0.5"),
            ("REDIS_HOST", "10.1.0.6"),
            ("DATABASE_PORT", "5432"),
            ("last", "1")
        ])
    );
    let new = rewrite(FILE, &wanted);
    assert_eq!(
        new,
        "# the shop\n\nexport DATABASE_HOST=10.2.0.5\r\n  NAME = not ours\nREDIS_HOST='10.2.0.6' # cache\nURL=\"http://a b\"\nDATABASE_PORT=5433  \nlast=\"a b\""
    );
    assert_eq!(values(&new, &keys).unwrap(), wanted);
}

#[test]
fn what_readers_could_take_differently_is_refused_with_every_reason() {
    let text = "A=1\nA=2\nB=1 # why\nC=\"$HOME\"\nD=\"open\nmore\"\nE=x\\\n";
    let said = values(text, &["A", "B", "C", "MISSING"]).unwrap_err().join("\n");
    for part in [
        "A is set twice, again in line 2",
        "line 3: the value of B",
        "line 4: the value of C",
        "line 5 goes on",
        "line 7 goes on",
        "MISSING is not set",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(values("# A=1\nXA=1\n", &["A"]).is_err(), "a comment and a longer name are not A");
}

#[test]
fn values_that_mean_more_than_themselves_are_refused() {
    for bad in ["a\nb", "a\0", "a\"b", "$x", "`x`", "a\\b", "a\rb", "it's"] {
        assert!(check_value(bad).is_err(), "{bad:?}");
    }
    assert!(check_value("postgres://h:5432/db?x=1").is_ok());
    assert!(
        check_key("A_1").is_ok()
            && check_key("1A").is_err()
            && check_key("A-B").is_err()
            && check_key("").is_err()
    );
}

proptest! {
    #[test]
    fn a_rewrite_reads_back_and_touches_nothing_else(
        before in "([A-Z ]{0,8}\n|# [a-z]{0,5}\n|[a-z]{1,3}=[a-z0-9]{0,4}\n){0,5}",
        value in "[ -~]{0,12}",
        quote in prop_oneof![Just(""), Just("'"), Just("\"")],
    ) {
        prop_assume!(check_value(&value).is_ok() && value.trim() == value);
        let text = format!("{before}KEY={quote}old{quote}\nrest=1\n");
        let new = rewrite(&text, &set(&[("KEY", &value)]));
        prop_assert_eq!(&values(&new, &["KEY"]).unwrap()["KEY"], &value);
        prop_assert!(new.starts_with(&before) && new.ends_with("\nrest=1\n"));
        prop_assert_eq!(rewrite(&new, &set(&[("KEY", "old")])).len() >= text.len(), true);
    }
}
