//! Bodies of senders, written after their manuals, through the presets; and what is not in a body.

use super::*;
use crate::config::for_test;
use proptest::prelude::*;
use serde_json::json;

fn source(text: &str) -> Generic {
    let config = for_test(&format!("[sources.s]\n{text}\n"));
    config.sources.into_values().next().unwrap().generic.expect("it is read")
}

fn preset(name: &str) -> Generic {
    source(&format!("preset = {name:?}"))
}

fn read(generic: &Generic, body: &Value) -> Delivery {
    let understood = understand(generic, body.to_string().as_bytes(), &Mode::Plain).unwrap();
    assert_eq!(understood.failed, None, "{body}");
    assert_eq!(parse(&understood.kept).unwrap(), understood.delivery, "what is kept is what was understood");
    understood.delivery
}

fn why_not(generic: &Generic, body: &Value) -> String {
    let understood = understand(generic, body.to_string().as_bytes(), &Mode::Plain).unwrap();
    let kept: Value = serde_json::from_slice(&understood.kept).unwrap();
    assert_eq!(kept["received"], body.to_string(), "nothing is lost");
    assert!(parse(&understood.kept).unwrap().alerts.is_empty());
    understood.failed.unwrap_or_else(|| panic!("{body} is understood")).to_string()
}

fn shown(delivery: &Delivery) -> String {
    let mut lines: Vec<String> = delivery.reason.iter().map(|why| format!("note: {why}")).collect();
    if delivery.truncated > 0 {
        lines.push(format!("truncated: {}", delivery.truncated));
    }
    for alert in &delivery.alerts {
        let time = |time: Option<Time>| time.map_or("-".to_owned(), |time| time.to_string());
        lines.push(format!(
            "{:?} {} {} to {}{}",
            alert.status,
            alert.fingerprint,
            time(alert.starts),
            time(alert.ends),
            if alert.once { " once" } else { "" }
        ));
        lines.extend(alert.labels.iter().map(|(name, value)| format!("  {name}={value:?}")));
        lines.extend(alert.annotations.iter().map(|(name, value)| format!("  ({name}={value:?})")));
    }
    lines.join("\n")
}

/// Bodies beside the tests, each of ours and after the manual of its sender.
fn fixture(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/generic");
    serde_json::from_slice(&std::fs::read(format!("{folder}/{name}.json")).unwrap()).unwrap()
}

#[test]
fn presets_read_what_their_senders_send() {
    for (preset_name, bodies) in [
        ("grafana", &["grafana-mixed", "grafana-no-data"][..]),
        ("datadog", &["datadog-triggered", "datadog-recovered", "datadog-test"]),
        ("newrelic", &["newrelic-created", "newrelic-activated", "newrelic-closed"]),
        ("pagerduty", &["pagerduty-triggered", "pagerduty-resolved", "pagerduty-ping"]),
        ("nagios", &["nagios-problem", "nagios-soft", "nagios-recovery"]),
        ("icinga", &["nagios-problem"]),
    ] {
        let generic = preset(preset_name);
        let each = bodies.iter().map(|body| format!("{body}\n{}", shown(&read(&generic, &fixture(body)))));
        let all: Vec<String> = each.collect();
        insta::with_settings!({ snapshot_suffix => preset_name }, {
            insta::assert_snapshot!("preset", all.join("\n\n"));
        });
    }
}

/// Samples that others published are not copied; where they lie beside the work tree they are read, too.
#[test]
fn presets_read_samples_that_others_published() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/payloads/public");
    let folder = std::env::var_os("LAB_PAYLOADS").map_or(beside.into(), std::path::PathBuf::from);
    let samples = [
        ("grafana", "oncall_grafana_alerting.json", 3, None),
        ("grafana", "grafana_v12_test_alert.keep.json", 0, Some("\"test\" is neither")),
        ("newrelic", "newrelic_workflow_activated.zulip.json", 1, None),
        ("newrelic", "newrelic_workflow_closed.zulip.json", 1, None),
        ("datadog", "datadog_incidentrelay_template.json", 0, Some("$ALERT_TRANSITION")),
        ("pagerduty", "pagerduty_v3_doc_01.json", 0, Some("incident.priority_updated")),
        ("pagerduty", "pagerduty_v3_doc_02.json", 0, Some("service.updated")),
    ];
    if !folder.exists() {
        eprintln!("SKIPPED: {} is not there", folder.display());
        return;
    }
    for (name, file, alerts, note) in samples {
        let body = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        let delivery = read(&preset(name), &body);
        assert_eq!(delivery.alerts.len(), alerts, "{file}");
        if let Some(note) = note {
            assert!(delivery.reason.as_ref().is_some_and(|why| why.contains(note)), "{file}: {delivery:?}");
        }
    }
}

const PLAIN: &str = "[sources.s.mapping]\nfingerprint = \"body.id\"\nstatus = \"body.state\"\nfiring = [\"down\"]\n\
    resolved = [\"up\"]\nlabels = { host = \"body.at.host\", n = \"body.n\" }\nstarts_at = \"body.since\"";

#[test]
fn what_is_missing_is_named_with_its_path() {
    let plain = source(PLAIN);
    let whole = json!({ "id": "1", "state": "down", "at": { "host": "db1" }, "n": [1, true, "x"], "since": 1795219979 });
    let alert = &read(&plain, &whole).alerts[0];
    assert_eq!((alert.labels["host"].as_str(), alert.labels["n"].as_str()), ("db1", "1\ntrue\nx"));
    let but = |changes: Value| {
        let mut body = whole.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value.is_null() {
                true => drop(body.as_object_mut().unwrap().remove(name)),
                false => body[name] = value.clone(),
            }
        }
        why_not(&plain, &body).replace("PM1308: the body cannot be read as its source is described: ", "")
    };
    insta::assert_snapshot!(
        [
            but(json!({ "id": null })),
            but(json!({ "id": "" })),
            but(json!({ "id": { "a": 1 } })),
            but(json!({ "state": "DOWN" })),
            but(json!({ "state": null })),
            but(json!({ "at": "db1" })),
            but(json!({ "at": {} })),
            but(json!({ "n": { "a": 1 } })),
            but(json!({ "since": null })),
            but(json!({ "since": "" })),
            but(json!({ "since": "yesterday" })),
            but(json!({ "since": -1 })),
        ]
        .join("\n")
    );
    assert!(why_not(&plain, &json!([1])).contains("there is no \"state\" in body, which is a list"));
}

#[test]
fn times_are_understood_in_every_usual_unit() {
    let generic = source(PLAIN);
    let begins = |since: Value| {
        let body = json!({ "id": "1", "state": "down", "at": { "host": "" }, "n": null, "since": since });
        read(&generic, &body).alerts[0].starts
    };
    let wanted = Some(Time(1_795_219_979_000_000));
    for since in [
        json!(1795219979),
        json!("1795219979"),
        json!(1795219979000_u64),
        json!(1795219979000000_u64),
        json!("2026-11-21T00:12:59Z"),
        json!("2026-11-21T01:12:59+01:00"),
    ] {
        assert_eq!(begins(since.clone()), wanted, "{since}");
    }
    assert_eq!(begins(json!(1795219979.25)), Some(Time(1_795_219_979_250_000)));
}

#[test]
fn what_would_be_awkward_in_a_name_goes_by_its_digest() {
    assert_eq!(identity("db1!http-80".into()), "db1!http-80");
    for odd in ["a/1", "a b", "ä", &"x".repeat(129), "a\nb"] {
        let known = identity(odd.to_owned());
        assert_eq!(known.len(), 32, "{odd}");
        assert_ne!(known, identity(format!("{odd}.")));
    }
}

#[test]
fn bounds_hold_for_lists_values_and_labels() {
    let list = source(
        "[sources.s.mapping]\nitems = \"body\"\nfingerprint = \"string(item)\"\nstatus = \"'down'\"\n\
         firing = [\"down\"]\nresolved = []\nonce = true",
    );
    assert_eq!(read(&list, &json!([])).reason.as_deref(), Some("the list of alerts is empty"));
    assert_eq!(read(&list, &json!((0..50).collect::<Vec<_>>())).alerts.len(), 50);
    assert!(why_not(&list, &json!(vec![1; 1_001])).contains("at most 1000 are taken"));
    assert!(why_not(&list, &json!({})).contains("it is a table, not a list"));
    let whole = source(
        "[sources.s.mapping]\nfingerprint = \"body.id\"\nstatus = \"body.id\"\nfiring = [\"x\"]\nresolved = []\n\
         once = true\nlabels = \"body.labels\"\nannotations = { n = \"string(size(body.labels))\" }",
    );
    let many: BTreeMap<String, u32> = (0..200).map(|n| (format!("l{n}"), n)).collect();
    assert!(why_not(&whole, &json!({ "id": "x", "labels": many })).contains("at most 128 are taken"));
    let long = json!({ "id": "x", "labels": { "l": "y".repeat(20_000) } });
    assert!(why_not(&whole, &long).contains("at most 16384 are taken"), "{}", why_not(&whole, &long));
    let large = json!({ "id": "x", "labels": {}, "more": "y".repeat(70_000) });
    let said = why_not(&whole, &large);
    assert!(said.contains("annotations.n") && said.contains("larger than 65536 bytes"), "{said}");
}

#[test]
fn an_event_of_cloudevents_is_seen_beside_its_data() {
    let generic = source(
        "cloudevents = true\n[sources.s.mapping]\nfingerprint = \"event.subject\"\nstatus = \"event.type\"\n\
         firing = [\"down\"]\nresolved = [\"up\"]\nlabels = { host = \"body.host\" }\nstarts_at = \"event.time\"",
    );
    let attributes = [
        ("specversion", "1.0"),
        ("id", "1"),
        ("source", "/s"),
        ("type", "down"),
        ("subject", "db1"),
        ("time", "2026-11-21T00:12:59Z"),
    ];
    let mut structured: Value = attributes.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    structured["data"] = json!({ "host": "db1" });
    let whole = understand(&generic, structured.to_string().as_bytes(), &Mode::Structured).unwrap();
    let headers = attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let binary = understand(&generic, br#"{"host":"db1"}"#, &Mode::Binary(headers)).unwrap();
    assert_eq!((whole.failed, &whole.delivery), (None, &binary.delivery));
    assert_eq!(whole.delivery.alerts[0].labels["host"], "db1");
    let kept: Value = serde_json::from_slice(&binary.kept).unwrap();
    assert_eq!(kept["event"]["id"], "1", "headers are kept, too");
    assert!(understand(&generic, b"[]", &Mode::Structured).is_err());
}

#[test]
fn what_is_not_json_is_not_kept() {
    let generic = preset("grafana");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [&b""[..], b"{", b"\xff\xfe", b"a=1&b=2", deep.as_bytes()] {
        let error = understand(&generic, body, &Mode::Plain).err().unwrap();
        assert_eq!(error.code(), "PM1302");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["firing", "resolved", "PROBLEM", "Triggered"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let names = prop::sample::select(vec![
            "alerts",
            "labels",
            "fingerprint",
            "status",
            "startsAt",
            "event",
            "data",
            "id",
            "state",
            "type",
            "title",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_is_understood_wholly_or_kept_with_the_reason(body in any_json(), which in 0usize..6) {
        let generic = preset(crate::config::PRESETS[which].0);
        let text = body.to_string();
        let understood = understand(&generic, text.as_bytes(), &Mode::Plain).unwrap();
        let kept: Value = serde_json::from_slice(&understood.kept).unwrap();
        prop_assert_eq!(kept["received"].as_str(), Some(text.as_str()));
        prop_assert_eq!(parse(&understood.kept).unwrap(), understood.delivery.clone());
        prop_assert!(understood.failed.is_none() || understood.delivery.alerts.is_empty());
        prop_assert!(understood.failed.is_some() == understood.delivery.reason.as_deref().is_some_and(|r| r.starts_with("PM1308")));
    }
}
