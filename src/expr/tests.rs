//! Values, types, names; and that nothing a playbook can hold ends the process or runs for long.

use super::*;
use crate::document::{Sink, read};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn vars() -> Vars {
    let targets = BTreeMap::from([(
        "pg-gra".to_owned(),
        json!({"name": "pg-gra", "address": "10.1.0.5", "port": 5432, "hosts": ["a", "b"]}),
    )]);
    Vars::new(Arc::new(targets))
        .with("from", json!({"db": "pg-gra", "address": "198.51.100.10"}))
        .with("to", json!({"db": "pg-sbg", "weight": 3, "up": true, "list": [1, 2]}))
        .with("alert", json!({"name": "SiteDown", "labels": {"env": "prod", "site": "gra"}}))
}

fn eval(source: &str) -> Result<Value, ExprError> {
    Expr::compile(source)?.eval(&vars())
}

fn template(text: &str) -> Result<Value, String> {
    let sink = Sink::new("t.yaml", &format!("t: {}\n", Value::from(text)));
    let root = read(&sink).expect("a document");
    let mut errors = vec![];
    let template = Template::of(root.get("t").expect("t"), &mut errors);
    match errors.first() {
        Some(error) => Err(error.error.to_string()),
        None => template.eval(&vars()).map_err(|e| e.error.to_string()),
    }
}

#[test]
fn values_keep_their_types() {
    assert_eq!(eval("from.db"), Ok(json!("pg-gra")));
    assert_eq!(eval("to.weight + 1"), Ok(json!(4)));
    assert_eq!(eval("target(from.db).address"), Ok(json!("10.1.0.5")));
    assert_eq!(eval("target('pg-gra').hosts"), Ok(json!(["a", "b"])));
    assert_eq!(eval("alert.labels.env == 'prod' && alert.name.startsWith('Site')"), Ok(json!(true)));
    assert_eq!(eval("{'a': 1, 'b': [1.5]}"), Ok(json!({"a": 1, "b": [1.5]})));
    assert_eq!(eval("has(alert.labels.zone) ? alert.labels.zone : 'none'"), Ok(json!("none")));
}

#[test]
fn a_wrong_or_missing_value_is_an_error_never_false() {
    assert!(eval("alert.labels.zone == 'x'").unwrap_err().to_string().contains("there is no \"zone\""));
    assert!(matches!(eval("1024 < '5'"), Err(ExprError::Evaluation(_))));
    assert!(eval("target('pg-gro')").unwrap_err().to_string().contains("did you mean \"pg-gra\""));
    assert_eq!(eval("frm.db").unwrap_err().to_string(), "there is no value named \"frm\" here");
    assert_eq!(
        Expr::compile("to.weight").unwrap().eval_bool(&vars()),
        Err(ExprError::NotABoolean("3".into()))
    );
    assert!(matches!(eval("0.0 / 0.0"), Err(ExprError::Evaluation(_))));
}

#[test]
fn names_and_functions_are_known_at_load() {
    let expr = Expr::compile("to.list.exists(x, x > limit) && target(from.db).port == 1").unwrap();
    assert_eq!(expr.free(), ["from", "limit", "to"]);
    assert_eq!(Expr::compile("starts(x)").unwrap_err(), ExprError::UnknownFunction("starts".into()));
    assert_eq!(Expr::compile("lists.range(9)").unwrap_err(), ExprError::UnknownFunction("range".into()));
    let Err(ExprError::Syntax { at, .. }) = Expr::compile("from.db == ") else { panic!("must not compile") };
    assert!(at <= 11);
    assert!(matches!(Expr::compile(""), Err(ExprError::Syntax { .. })));
}

#[test]
fn text_is_spliced_and_a_lone_expression_keeps_its_type() {
    assert_eq!(template("${to.weight}"), Ok(json!(3)));
    assert_eq!(template("${to.list}"), Ok(json!([1, 2])));
    assert_eq!(template("w=${to.weight} up=${to.up}"), Ok(json!("w=3 up=true")));
    assert_eq!(template(" ${from.db}"), Ok(json!(" pg-gra")));
    assert_eq!(template("${'}'}${\"${\"}"), Ok(json!("}${")));
    assert_eq!(template("${{'a': 'x'}.a}!"), Ok(json!("x!")));
    assert_eq!(template("$5 and {braces}"), Ok(json!("$5 and {braces}")));
    assert!(template("a ${to.list}").unwrap_err().contains("inside a text"));
    assert!(template("a ${from.db").unwrap_err().contains("no closing"));
}

#[test]
fn bombs_end_in_a_clear_error() {
    let chain = format!("1{}", "+1".repeat(5_000));
    assert_eq!(eval(&chain), Err(ExprError::TooLong(chain.len())));
    let short_chain = format!("1{}", "+1".repeat(500));
    assert_eq!(eval(&short_chain), Ok(json!(501)));
    for (open, close) in [("(", ")"), ("[", "]"), ("size([", "])")] {
        let deep = format!("{}1{}", open.repeat(90), close.repeat(90));
        assert_eq!(eval(&deep), Err(ExprError::TooDeep), "{open}");
    }
    // A bracket hidden in a string does not lower the count.
    let hidden = format!("'))))))))))))))))' + {}'a'{}", "(".repeat(20), ")".repeat(20));
    assert_eq!(eval(&hidden), Err(ExprError::TooDeep));
    let hundred = format!("[{}1]", "1,".repeat(99));
    let million = format!("{hundred}.all(a, {hundred}.all(b, a + b > 0))");
    assert!(million.len() < MAX_SOURCE);
    let wide: Vec<i64> = (0..1_000).collect();
    let vars = Vars::default().with("l", json!(wide));
    let nested = |source: &str| Expr::compile(source).and_then(|e| e.eval(&vars));
    assert_eq!(nested("l.all(a, l.all(b, a + b >= 0))"), Err(ExprError::TooManySteps));
    assert_eq!(nested("l.all(a, l.all(b, a + b >= 0)) || true"), Err(ExprError::TooManySteps));
    assert_eq!(nested("l.all(a, a >= 0)"), Ok(json!(true)));
    assert_eq!(nested("l.all(a, l.all(b, l.all(c, true)))"), Err(ExprError::TooManyLoops));
    assert_eq!(nested("['x'].map(a, a + a).map(b, b + b).map(c, c + c)"), Err(ExprError::TooManyLoops));
    let big = Vars::default().with("s", json!("x".repeat(40_000)));
    assert_eq!(Expr::compile("s + s").unwrap().eval(&big), Err(ExprError::TooLarge));
    let huge = Vars::default().with("s", json!("x".repeat(70_000)));
    assert_eq!(Expr::compile("size(s)").unwrap().eval(&huge), Err(ExprError::TooLarge));
}

/// Each of these would take gigabytes, or minutes, if it were let.
#[test]
fn what_is_put_together_and_what_is_matched_is_counted() {
    let list: Vec<i64> = (0..90).collect();
    let vars = Vars::default().with("l", json!(list)).with("s", json!("x".repeat(16_000)));
    let eval = |source: &str| Expr::compile(source).and_then(|e| e.eval(&vars));
    assert_eq!(eval("size(l.map(a, l.map(b, s + s)))"), Err(ExprError::TooLarge));
    assert_eq!(eval("size(l.map(a, l.map(b, s + s))) > 0 || true"), Err(ExprError::TooLarge));
    assert_eq!(eval(&format!("size({}) > 0", ["s"; 300].join("+"))), Err(ExprError::TooLarge));
    assert_eq!(eval("size(l.map(a, l.map(b, l + l + l + l)))"), Err(ExprError::TooLarge));
    assert_eq!(eval("l.all(a, l.all(b, s.matches('^y') || true))"), Err(ExprError::TooManySteps));
    assert_eq!(eval("l.all(a, l.all(b, matches(s, 'x') || true))"), Err(ExprError::TooManySteps));
    assert!(matches!(eval("s.matches('(x{1000}){1000}')"), Err(ExprError::Evaluation(_))));
    // What people write stays far below.
    let names = eval("l.map(a, 'app-' + string(a) + '.example.com')").unwrap();
    assert_eq!((names.as_array().unwrap().len(), &names[89]), (90, &json!("app-89.example.com")));
    assert_eq!(eval("l.filter(a, a > 87).map(a, a + 1)"), Ok(json!([89, 90])));
    assert_eq!(eval("l.exists_one(a, a == 3) && s.matches('^x+$') && !matches(s, 'y')"), Ok(json!(true)));
    assert_eq!(eval("[1] + [2.5] + ['a']"), Ok(json!([1, 2.5, "a"])));
    assert!(matches!(eval("1 + 'a'"), Err(ExprError::Evaluation(_))));
    assert!(matches!(eval("9223372036854775807 + 1"), Err(ExprError::Evaluation(_))));
}

#[test]
fn the_worst_that_fits_the_bounds_does_not_end_the_process() {
    let right = format!("{}1", "true?1:".repeat(145));
    let not = format!("{}true", "!".repeat(1_000));
    let minus = format!("{}1", "-".repeat(1_000));
    let dots = format!("from{}", ".a".repeat(500));
    let and = format!("true{}", "&&true".repeat(160));
    let index = format!("to{}", "[0]".repeat(120));
    let calls = format!("'a'{}", ".size()".repeat(120));
    // The scanner takes the raw string for one that goes on; the count of all brackets still stops it.
    let raw = format!("r'\\' + {}1{}", "(".repeat(120), ")".repeat(120));
    for source in [right, not, minus, dots, and, index, calls, raw] {
        assert!(source.len() <= MAX_SOURCE);
        // Any answer will do; what matters is that there is one.
        if let Ok(expr) = Expr::compile(&source) {
            let first = expr.eval(&vars());
            assert_eq!(first, expr.eval(&vars()), "{source}");
        }
    }
}

#[test]
fn maps_are_visited_in_order() {
    let wide: Value =
        (0..200).map(|i| (format!("k{i:03}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let vars = Vars::default().with("m", wide);
    let keys: Vec<String> = (0..200).map(|i| format!("k{i:03}")).collect();
    assert_eq!(Expr::compile("m.map(k, k)").unwrap().eval(&vars), Ok(json!(keys)));
}

#[test]
fn many_callers_at_once_all_get_their_answer() {
    std::thread::scope(|scope| {
        for i in 0..32i64 {
            scope.spawn(move || assert_eq!(eval(&format!("{i} + 1")), Ok(json!(i + 1))));
        }
    });
}

/// The deepest that the bounds let pass, each way in which it may be deep.
#[test]
fn a_thread_of_expressions_has_room_for_the_deepest_of_them() {
    let brackets = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
    let nots = format!("{}true", "!".repeat(MAX_SOURCE - 4));
    let sums = format!("1{}", "+1".repeat(MAX_SOURCE / 2 - 1));
    let chain = format!("m{}", ".a".repeat(MAX_SOURCE / 2 - 1));
    let all = [brackets(MAX_NESTING), brackets(MAX_NESTING + 1), nots, sums, chain];
    let elsewhere: Vec<_> = all.iter().map(|text| eval(text)).collect();
    let own = std::thread::scope(|scope| {
        let work = || all.iter().map(|text| eval(text)).collect::<Vec<_>>();
        thread::spawn_scoped(scope, work).unwrap().join().unwrap()
    });
    assert_eq!(own, elsewhere);
}

#[test]
fn matchers_are_anchored_and_bounded() {
    let matches = |matcher: &str, value: &str| Matcher::parse(matcher).unwrap().matches(value);
    assert!(matches("critical", "critical") && !matches("critical", "criticals"));
    assert!(matches("=~critical|page", "page") && !matches("=~critical|page", "pages"));
    assert!(!matches("=~a", "ba") && matches("=~.*a", "b\na"));
    assert!(matches("!=x", "") && matches("!~x.*", "y") && !matches("!~x.*", "xy"));
    assert!(matches("=~", "") && !matches("=~", "x"));
    assert!(matches!(Matcher::parse("=~("), Err(MatcherError::Regex(..))));
    assert!(matches!(Matcher::parse("=~a)(b"), Err(MatcherError::Regex(..))));
    assert!(matches!(Matcher::parse("=~(a{1000}){1000}"), Err(MatcherError::Regex(..))));
    assert!(matches!(Matcher::parse(">=high"), Err(MatcherError::Ordered(_))));
    assert_eq!(Matcher::parse("=~a|b").unwrap().to_string(), "=~\"a|b\"");
}

/// Alternatives of literal letters: simple enough to decide by hand.
fn naive(matcher: &str, value: &str) -> bool {
    let any = |pattern: &str| pattern.split('|').any(|word| word == value);
    match matcher.get(..2) {
        Some("=~") => any(&matcher[2..]),
        Some("!~") => !any(&matcher[2..]),
        Some("!=") => &matcher[2..] != value,
        _ => matcher.strip_prefix('=').unwrap_or(matcher) == value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn matchers_agree_with_a_naive_model(op in "(=~|!~|!=|=|)", pattern in "[ab|]{0,5}", value in "[ab]{0,3}") {
        let plain = !op.ends_with('~');
        let pattern = if plain { pattern.replace('|', "") } else { pattern };
        let text = format!("{op}{pattern}");
        prop_assert_eq!(Matcher::parse(&text).unwrap().matches(&value), naive(&text, &value), "{} {}", text, value);
    }
    #[test]
    fn arbitrary_expressions_never_panic(source in "\\PC{0,60}") {
        if let Ok(expr) = Expr::compile(&source) { let _ = expr.eval(&vars()); }
    }
    #[test]
    fn expressions_of_known_words_never_panic(words in proptest::collection::vec(prop_oneof![
        Just("from"), Just("."), Just("db"), Just("("), Just(")"), Just("["), Just("]"), Just("'a'"), Just("1"),
        Just(" + "), Just(" == "), Just("{"), Just("}"), Just(":"), Just(","), Just("?"), Just("!"), Just("size"),
        Just(".map(x, "), Just("r'\\"), Just("\"\"\""), Just("target"), Just(" in "), Just("-"), Just("2u"),
    ], 0..14)) {
        if let Ok(expr) = Expr::compile(&words.concat()) { let _ = expr.eval(&vars()); }
    }
    #[test]
    fn spliced_text_is_the_concatenation(a in "[a-z {}]{0,8}", b in "[a-z {}]{0,8}") {
        let text = format!("{a}${{from.db}}{b}");
        let wanted = format!("{a}pg-gra{b}");
        prop_assert_eq!(template(&text), Ok(json!(wanted)));
    }
}
