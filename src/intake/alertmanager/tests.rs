//! Bodies as senders send them, and the odd ones.

use super::*;
use crate::kernel::domain::Time;
use serde_json::{Value, json};

fn firing() -> Value {
    json!({"status": "firing", "labels": {"alertname": "Down", "site": "gra"}, "annotations": {"summary": "x"},
        "startsAt": "2026-11-20T23:53:31Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
        "fingerprint": "01c1b959c3fef675"})
}

fn message(alerts: Value) -> Value {
    json!({"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "pm",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts})
}

fn parse_json(value: &Value) -> Result<Delivery, IntakeError> {
    parse(&serde_json::to_vec(value).unwrap())
}

fn with(field: &str, value: Value) -> Value {
    let mut alert = firing();
    alert[field] = value;
    message(json!([alert]))
}

fn without(field: &str) -> Value {
    let mut alert = firing();
    alert.as_object_mut().unwrap().remove(field);
    message(json!([alert]))
}

fn first(value: &Value) -> Alert {
    parse_json(value).unwrap().alerts.remove(0)
}

#[test]
fn a_receiver_comes_escaped() {
    let receiver = |sent: &str| {
        let mut body = message(json!([]));
        body["receiver"] = json!(sent);
        parse_json(&body).unwrap().receiver
    };
    assert_eq!(receiver(r"web\.hook"), "web.hook");
    assert_eq!(receiver(r"a\\b\(c\)\$"), r"a\b(c)$");
    assert_eq!(receiver(r"team-a/db"), "team-a/db");
    assert_eq!(receiver(r"odd\n and end\"), r"odd\n and end\", "what QuoteMeta never writes stays");
}

#[test]
fn the_end_of_a_firing_alert_is_none_whatever_it_says() {
    assert_eq!(first(&message(json!([firing()]))).ends, None);
    assert_eq!(first(&with("endsAt", json!("2027-01-01T00:00:00Z"))).ends, None);
    let mut resolved = firing();
    resolved["status"] = json!("resolved");
    assert_eq!(first(&message(json!([resolved]))).ends, None, "year 1 stays unknown");
    resolved["endsAt"] = json!("2026-11-21T00:53:39.5+01:00");
    assert_eq!(first(&message(json!([resolved]))).ends, Some(Time(1_795_218_819_500_000)));
}

#[test]
fn a_missing_fingerprint_is_computed_and_a_given_one_is_opaque() {
    let labels: BTreeMap<_, _> =
        [("alertname", "Down"), ("site", "gra")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let computed = fingerprint(&labels);
    assert_eq!(computed.len(), 16);
    for body in [without("fingerprint"), with("fingerprint", json!("")), with("fingerprint", Value::Null)] {
        assert_eq!(first(&body).fingerprint, computed);
    }
    assert_eq!(first(&with("fingerprint", json!("A/b c"))).fingerprint, "A/b c");
}

#[test]
fn nulls_and_missing_fields_are_nothing() {
    let mut alert = firing();
    for field in ["annotations", "generatorURL", "endsAt"] {
        alert[field] = Value::Null;
    }
    alert["labels"]["gone"] = Value::Null;
    let delivery =
        parse_json(&json!({"alerts": [alert], "receiver": null, "truncatedAlerts": null})).unwrap();
    let alert = &delivery.alerts[0];
    assert_eq!((alert.annotations.len(), alert.labels.len(), alert.generator.as_str()), (0, 2, ""));
    assert_eq!((delivery.receiver.as_str(), delivery.truncated, delivery.reason), ("", 0, None));
}

#[test]
fn newer_senders_say_more() {
    let mut body = message(json!([firing()]));
    body["notification_reason"] = json!("repeat interval elapsed");
    body["routeLabels"] = json!({"playbook": "x"});
    body["alerts"][0]["deep"] = json!({"a": [1, {"b": null}]});
    body["truncatedAlerts"] = json!(490);
    let delivery = parse_json(&body).unwrap();
    assert_eq!(delivery.reason.as_deref(), Some("repeat interval elapsed"));
    assert_eq!(delivery.truncated, 490);
}

#[test]
fn other_shapes_are_named() {
    let shape = |value: Value| matches!(parse_json(&value), Err(IntakeError::WrongShape { .. }));
    for value in
        [json!([]), json!(["4", [], null, null, null, null, null]), json!("text"), json!(1), json!(null)]
    {
        assert!(shape(value.clone()), "{value}");
    }
    assert!(shape(json!({})), "no list of alerts is not an empty list");
    assert!(shape(json!({"alerts": null})));
    assert!(shape(json!({"alerts": {"a": 1}})));
    assert!(shape(json!({"version": "1", "alerts": []})), "Grafana's");
    assert!(shape(with("labels", json!({"n": 1}))));
    assert!(shape(with("labels", json!(["n"]))));
    let mut negative = message(json!([]));
    negative["truncatedAlerts"] = json!(-1);
    assert!(shape(negative));
    for text in ["", "{", "{\"alerts\": [", "alerts=1", "{\"alerts\":[]} x"] {
        assert!(matches!(parse(text.as_bytes()), Err(IntakeError::NotJson { .. })), "{text}");
    }
    assert!(matches!(parse(b"{\"receiver\":\"\xff\"}"), Err(IntakeError::NotJson { .. })));
    let deep = "[".repeat(100_000);
    assert!(parse(format!("{{\"x\":{deep}").as_bytes()).is_err());
}

#[test]
fn one_bad_alert_refuses_the_body_and_is_counted() {
    let bad = |mut wrong: Value, field: &str, value: Value| {
        wrong[field] = value;
        match parse_json(&message(json!([firing(), wrong]))) {
            Err(IntakeError::BadAlert { index: 2, why }) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(bad(firing(), "status", json!("paused")).contains("paused"));
    assert!(bad(firing(), "status", Value::Null).contains("no status"));
    assert!(bad(firing(), "startsAt", json!("soon")).contains("startsAt"));
    assert!(bad(firing(), "startsAt", json!("0001-01-01T00:00:00Z")).contains("startsAt"));
    assert!(bad(firing(), "startsAt", Value::Null).contains("startsAt"));
    let mut resolved = firing();
    resolved["status"] = json!("resolved");
    assert!(bad(resolved, "endsAt", json!("later")).contains("endsAt"));
    let mut nameless = firing();
    nameless["labels"] = json!({});
    assert!(bad(nameless, "fingerprint", json!("")).contains("neither"));
    assert!(bad(firing(), "fingerprint", json!("f".repeat(129))).contains("129"));
}

#[test]
fn everything_has_a_bound() {
    let exact = vec![b' '; MAX_BYTES];
    assert!(matches!(parse(&exact), Err(IntakeError::NotJson { .. })));
    let over = vec![b' '; MAX_BYTES + 1];
    assert_eq!(parse(&over), Err(IntakeError::TooLarge { bytes: MAX_BYTES + 1, limit: MAX_BYTES }));
    assert_eq!(parse_json(&message(json!(vec![firing(); MAX_ALERTS]))).unwrap().alerts.len(), MAX_ALERTS);
    let many = parse_json(&message(json!(vec![firing(); MAX_ALERTS + 1])));
    assert_eq!(many, Err(IntakeError::TooMany { alerts: MAX_ALERTS + 1, limit: MAX_ALERTS }));
    let labels = |n: usize| Value::Object((0..n).map(|i| (format!("l{i}"), json!("v"))).collect());
    assert!(parse_json(&with("labels", labels(MAX_PAIRS))).is_ok());
    assert!(parse_json(&with("labels", labels(MAX_PAIRS + 1))).is_err());
    assert!(parse_json(&with("labels", json!({"a": "v".repeat(MAX_LABEL)}))).is_ok());
    assert!(parse_json(&with("labels", json!({"a": "v".repeat(MAX_LABEL + 1)}))).is_err());
    assert!(parse_json(&with("labels", json!({"n".repeat(MAX_NAME + 1): ""}))).is_err());
    assert!(parse_json(&with("annotations", json!({"a": "v".repeat(MAX_ANNOTATION)}))).is_ok());
    assert!(parse_json(&with("annotations", json!({"a": "v".repeat(MAX_ANNOTATION + 1)}))).is_err());
}

#[test]
fn errors_carry_their_code_and_stay_short() {
    let long = "v".repeat(1 << 20);
    for (field, value) in [("labels", json!(long)), ("status", json!(long)), ("startsAt", json!(long))] {
        let error = parse_json(&with(field, value)).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(error.code()) && said.len() < 500, "{said}");
    }
}
