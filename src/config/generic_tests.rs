//! Sources of any sender: what is accepted, and where each mistake is shown.

use super::*;
use crate::config::parse;
use crate::document::has_errors;

const WHOLE: &str = r#"
[sources.shop]
signing_secret = { file = "/s" }
signature = { header = "X-Shop", encoding = "base64", prefix = "sha256=", time_header = "X-Shop-Time", window = "2m" }
cloudevents = true
[sources.shop.mapping]
items = "body.alerts"
fingerprint = "item.id"
status = "event.type"
firing = ["shop.down"]
resolved = ["shop.up"]
ignored = ["*"]
labels = "item.labels"
annotations = { says = "item.text", whole = "string(size(body.alerts))" }
starts_at = "item.since"
"#;

#[test]
fn every_preset_is_read_without_a_complaint() {
    for (name, text) in PRESETS {
        let sink = Sink::new("preset.toml", text);
        let root = crate::document::read(&sink).unwrap();
        let table = sink.table(&root, "the preset").unwrap();
        let generic = read(&table);
        table.finish();
        let problems = sink.finish();
        assert!(generic.is_some() && problems.is_empty(), "{name}: {problems:?}");
        let (config, problems) = parse(&format!("[sources.x]\npreset = \"{name}\"\n"), "pointsman.toml");
        assert!(problems.is_empty(), "{name}: {problems:?}");
        assert!(config.unwrap().sources.values().all(|source| source.generic.is_some()));
    }
}

#[test]
fn what_is_written_is_what_is_meant() {
    let (config, problems) = parse(WHOLE, "pointsman.toml");
    assert!(problems.is_empty(), "{problems:?}");
    let config = config.unwrap();
    let generic = config.sources.values().next().unwrap().generic.clone().unwrap();
    assert!(generic.cloudevents && !generic.mapping.once);
    let Scheme::Header(header) = generic.signature else { panic!() };
    assert_eq!((header.header.as_str(), header.base64, header.prefix.as_str()), ("x-shop", true, "sha256="));
    assert_eq!((header.separator.as_str(), header.window), (".", Span::mins(2)));
    let standard = "[sources.s]\nsigning_secret = { env = \"S\" }\npreset = \"newrelic\"\nsignature = \"standard-webhooks\"\n";
    let config = parse(standard, "pointsman.toml").0.unwrap();
    let generic = config.sources.values().next().unwrap().generic.as_ref().unwrap();
    assert_eq!(generic.signature, Scheme::StandardWebhooks, "what is said beats the preset");
}

#[test]
fn each_mistake_is_shown_where_it_stands() {
    let shown = |text: &str| {
        let (config, problems) = parse(text, "pointsman.toml");
        assert_eq!(config.is_none(), has_errors(&problems));
        let each = problems.iter().map(|p| format!("{}:{} {} {}", p.line, p.column, p.code, p.says));
        each.collect::<Vec<_>>().join("\n")
    };
    let wrong = r#"
[sources.a]
preset = "grafna"
[sources.b]
preset = "grafana"
mapping = { fingerprint = "body.id", status = "body.s", firing = ["a"], resolved = ["b"], once = true }
[sources.c]
cloudevents = true
[sources.d]
signature = { header = "X Y", window = "2m" }
[sources.d.mapping]
fingerprint = "body.id +"
status = "item.state"
firing = ["a", "*"]
resolved = ["a"]
labels = { host = "hots", many = "nothing(body)" }
[sources.e.mapping]
status = "body.s"
firing = ["a"]
"#;
    insta::assert_snapshot!(shown(wrong));
}
