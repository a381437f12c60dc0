//! What the grammar takes, what it refuses and with which words, and that what it prints it reads again.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Filter {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).says
}

#[test]
fn words_stars_quotes_and_exclusions() {
    let filter = read(r#"playbook:shop* -action:observed object:"swap DNS" run:7kq4m2 power* -"two  words""#);
    let said: Vec<String> =
        filter.terms.iter().map(|t| format!("{:?} {} {}", t.word, t.excluded, t.pattern)).collect();
    assert_eq!(
        said,
        ["Playbook false shop*", "Action true observed", "Object false \"swap DNS\"", "Run false 7KQ4M2"]
    );
    assert_eq!(filter.texts[0], Text { phrase: "power".into(), prefix: true, excluded: false });
    assert_eq!(filter.texts[1], Text { phrase: "two  words".into(), prefix: false, excluded: true });
    assert_eq!(read("   "), Filter::default());
    assert_eq!(read("127.0.0.1:5432").texts[0].phrase, "127.0.0.1:5432", "no name begins with a digit");
}

#[test]
fn a_star_in_quotes_is_a_star() {
    let filter = read(r#"object:"a*"*"#);
    let pattern = &filter.terms[0].pattern;
    assert!(pattern.fits("a*b") && !pattern.fits("ab"));
    assert_eq!((pattern.as_glob().as_str(), pattern.beginning()), ("a[*]*", "a*"));
    assert_eq!(read("object:[x]?").terms[0].pattern.as_glob(), "[[]x][?]");
}

#[test]
fn times_are_relative_or_absolute() {
    assert_eq!(read("since:3h").since, Some(When::Ago(Span::mins(180))));
    let at = |text: &str| read(&format!("until:{text}")).until;
    let wanted = Some(When::At(Time(1_795_230_720_000_000)));
    for text in ["2026-11-21T03:12", "2026-11-21T03:12:00Z", "2026-11-21T04:12:00+01:00"] {
        assert_eq!(at(text), wanted, "{text}");
    }
    assert_eq!(at("2026-11-21"), Some(When::At(Time(1_795_219_200_000_000))));
    assert!(refused("since:yesterday").contains("is no time; write how long ago"));
    assert_eq!(When::Ago(Span::secs(1)).at(Time(5_000_000)), Time(4_000_000));
}

#[test]
fn positions_are_a_range() {
    let seq = |text: &str| read(&format!("seq:{text}")).seq;
    assert_eq!(seq("7"), Some((7, 7)));
    assert_eq!(seq("7-9"), Some((7, 9)));
    assert_eq!(seq("7-"), Some((7, Position::MAX)));
    assert_eq!(seq("-9"), Some((1, 9)));
    for bad in ["9-7", "-", "0", "x", "+7", "1-2-3", "99999999999999999999"] {
        assert!(refused(&format!("seq:{bad}")).contains("no range of positions"), "{bad}");
    }
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let says = refused("playbok:shop");
    for word in Word::ALL {
        assert!(says.contains(&format!("{}:", word.as_str())), "{says}");
    }
    assert!(says.contains("since: until: seq:") && says.contains("in quotes"), "{says}");
    assert!(refused("http://shop.example").contains("http: is not a word"));
    for (text, why) in [
        ("actor:", "has no value"),
        ("actor:\"\"", "has no value"),
        ("-", "stands alone"),
        ("\"abc", "not closed"),
        ("\"a\\n\"", "followed by"),
        ("*abc", "at the end only"),
        ("!!!", "no letter"),
        ("-since:3h", "cannot be excluded"),
        ("since:3h since:4h", "given twice"),
        ("until:2026*", "takes no *"),
        ("actor:a*b*c*d*e*f", "more than 4 stars"),
        ("abc\u{0}", "control character"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    assert!(refused(&"a ".repeat(40)).contains("more than 32"));
    assert!(refused(&"a".repeat(3_000)).contains("at most 2048"));
}

/// Text of every kind, with the signs of the grammar more often than chance would have it.
fn value() -> impl Strategy<Value = String> {
    let signs =
        prop::sample::select(vec!['"', '\\', '*', '-', ':', ' ', '[', '?', '%', '\'', ';', '<', '=', 'é']);
    let letter = prop_oneof![3 => prop::char::range('a', 'z'), 2 => signs, 1 => any::<char>()];
    prop::collection::vec(letter.prop_filter("no control", |c| !c.is_control()), 1..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (value(), any::<bool>(), any::<bool>(), prop::option::of(value())).prop_map(
        |(first, before, after, second)| {
            let mut pieces = vec![];
            pieces.extend(before.then_some(Piece::Anything));
            pieces.push(Piece::Exactly(first));
            pieces.extend((after || second.is_some()).then_some(Piece::Anything));
            pieces.extend(second.map(Piece::Exactly));
            Pattern(pieces)
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let word = prop::sample::select(Word::ALL.into_iter().filter(|w| *w != Word::Run).collect::<Vec<_>>());
    let term = (word, pattern(), any::<bool>());
    let term = term.prop_map(|(word, pattern, excluded)| Term { word, pattern, excluded });
    let text = (value(), any::<bool>(), any::<bool>());
    let text = text.prop_filter("a letter", |(phrase, _, _)| phrase.chars().any(char::is_alphanumeric));
    let text = text.prop_map(|(phrase, prefix, excluded)| Text { phrase, prefix, excluded });
    let ago =
        prop_oneof![(0_u64..1_000_000_000).prop_map(Span::millis), (0_u64..1_000_000_000_000).prop_map(Span)]
            .prop_map(When::Ago);
    let at = (-62_000_000_000_i64..200_000_000_000).prop_map(|s| When::At(Time(s * 1_000_000 + 7)));
    let seq = prop_oneof![Just((3, 9)), Just((5, 5)), Just((4, Position::MAX))];
    let (terms, texts) = (prop::collection::vec(term, 0..5), prop::collection::vec(text, 0..4));
    (terms, texts, prop::option::of(ago), prop::option::of(at), prop::option::of(seq))
        .prop_map(|(terms, texts, since, until, seq)| Filter { terms, texts, since, until, seq })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(filter in filter()) {
        let text = filter.to_string();
        prop_assert_eq!(parse(&text).map_err(|e| format!("{text}: {e}")), Ok(filter));
    }

    #[test]
    fn no_text_makes_it_panic_and_what_it_takes_it_can_print(text in "\\PC{0,80}") {
        if let Ok(filter) = parse(&text) {
            prop_assert_eq!(parse(&filter.to_string()).map_err(|e| e.says), Ok(filter));
        }
    }
}
