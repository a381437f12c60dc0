//! Bodies captured from Zabbix 6.0 mean what they are, and those made of them by one change, as Zabbix makes them, too.

use super::*;
use crate::intake::occurrence::{Arrival, Meaning, Occurrences};
use crate::kernel::domain::{Name, OccurrenceId, Record, SourceKind, TAGS_UNKNOWN, Time};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Event 10: its problem, a comment on it, its recovery. Event 12, of the same trigger: its problem and recovery.
const PROBLEM: &str = include_str!("../../../tests/fixtures/zabbix-6.0/zbx-001.body.json");
const UPDATE: &str = include_str!("../../../tests/fixtures/zabbix-6.0/zbx-002.body.json");
const RECOVERY: &str = include_str!("../../../tests/fixtures/zabbix-6.0/zbx-004.body.json");
const NEXT: &str = include_str!("../../../tests/fixtures/zabbix-6.0/zbx-005.body.json");
const NEXT_RECOVERY: &str = include_str!("../../../tests/fixtures/zabbix-6.0/zbx-006.body.json");
/// As our own media type sent them from Zabbix 6.0.14: event 24 from its problem to its recovery, and event 26, whose trigger
/// was disabled.
const SENT_BY_US: [&str; 6] = [
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-problem.body.json"),
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-update.body.json"),
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-repeat.body.json"),
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-recovery.body.json"),
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-other-problem.body.json"),
    include_str!("../../../tests/fixtures/zabbix-6.0/media-type-other-cancelled.body.json"),
];
/// When the problem began, as the capture's own clock says, and when it was sent.
const BEGAN: i64 = 1_795_219_979;
const SENT: i64 = 1_795_219_983;

fn with(body: &str, changes: Value) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    body.to_string()
}

fn delivery(body: &str) -> Delivery {
    parse(body.as_bytes()).unwrap()
}

fn only(body: &str) -> Alert {
    let mut delivery = delivery(body);
    assert_eq!(delivery.alerts.len(), 1);
    delivery.alerts.remove(0)
}

fn error(body: &str) -> String {
    parse(body.as_bytes()).unwrap_err().to_string()
}

#[derive(Default)]
struct Story {
    state: Occurrences,
    records: Vec<Record>,
    told: u64,
}

impl Story {
    fn tell(&mut self, delivery: &Delivery) -> Vec<Meaning> {
        self.told += 1;
        let (source, at) = (Name::from("zabbix"), Time((BEGAN + 60) * 1_000_000));
        let arrival = Arrival { source: &source, kind: SourceKind::Zabbix, delivery: self.told, at };
        let decision = self.state.decide(arrival, &delivery.alerts);
        decision.records.iter().for_each(|r| self.state.apply(&source, r));
        self.records.extend(decision.records);
        decision.meanings
    }
    fn tell_body(&mut self, body: &str) -> Vec<Meaning> {
        self.tell(&delivery(body))
    }
    fn opened(&self) -> usize {
        self.records.iter().filter(|r| matches!(r, Record::OccurrenceOpened { .. })).count()
    }
}

fn id(event: u32) -> OccurrenceId {
    OccurrenceId::new(format!("zabbix/{event}/1"))
}

#[test]
fn a_problem_has_its_host_severity_and_tags_as_labels() {
    let delivery = delivery(PROBLEM);
    assert_eq!((delivery.receiver.as_str(), delivery.group_key.as_str()), ("playbook-responder", "23134"));
    let alert = only(PROBLEM);
    assert_eq!((alert.fingerprint.as_str(), alert.status, alert.once), ("10", Status::Firing, true));
    insta::assert_json_snapshot!((alert.labels, alert.annotations), @r#"
    [
      {
        "event_id": "10",
        "host": "db1",
        "host_name": "DB primary – Größe ✓",
        "name": "Primary database is down on DB primary – Größe ✓",
        "severity": "disaster",
        "tag.cluster": "shop",
        "tag.component": "postgres",
        "tag.playbook": "pg-failover",
        "tag.region": "eu-west",
        "tag.scope": "availability",
        "trigger_id": "23134"
      },
      {
        "description": "pg failover",
        "groups": "Lab/Shop",
        "opdata": "up=0",
        "problem_time": "2026.11.21 00:12:59",
        "subject": "Problem: Primary database is down on DB primary – Größe ✓",
        "url": "https://runbooks.example/pg"
      }
    ]
    "#);
}

#[test]
fn problem_repeats_update_and_recovery_are_one_occurrence() {
    let mut story = Story::default();
    assert_eq!(story.tell_body(PROBLEM), [Meaning::Opened(id(10))]);
    // Each step of an escalation, and each try of an alerter, is the same event once more.
    let repeat =
        with(PROBLEM, json!({ "event_age": "1h", "time": "01:13:03", "esc_history": "1. message sent" }));
    assert_eq!(story.tell_body(&repeat), [Meaning::Refreshed(id(10))]);
    assert_eq!(story.tell_body(UPDATE), []);
    assert_eq!(story.tell_body(RECOVERY), [Meaning::Closed(id(10))]);
    assert_eq!(story.tell_body(NEXT), [Meaning::Opened(id(12))]);
    assert_eq!(story.tell_body(NEXT_RECOVERY), [Meaning::Closed(id(12))]);
    assert_eq!(story.opened(), 2);
}

#[test]
fn an_update_alone_starts_nothing_and_says_what_it_is() {
    let mut story = Story::default();
    assert_eq!(story.tell_body(UPDATE), []);
    assert_eq!(delivery(UPDATE).reason.unwrap(), "an update of a known problem: acknowledged and commented");
    assert!(story.records.is_empty());
    // Of a problem that is over it says so, as a recovery does.
    let closing = with(UPDATE, json!({ "event_value": "0" }));
    assert_eq!(only(&closing).status, Status::Resolved);
}

#[test]
fn what_our_media_type_really_sent_means_what_it_was() {
    let mut story = Story::default();
    let meant: Vec<Vec<Meaning>> = SENT_BY_US.iter().map(|body| story.tell_body(body)).collect();
    let wanted = [
        vec![Meaning::Opened(id(24))],
        vec![],
        vec![Meaning::Refreshed(id(24))],
        vec![Meaning::Closed(id(24))],
        vec![Meaning::Opened(id(26))],
        vec![Meaning::Closed(id(26))],
    ];
    assert_eq!(meant, wanted);
    let [problem, _, repeat, recovery, ..] = SENT_BY_US;
    let began = only(problem).starts.unwrap();
    // 16:39:20 in that server's zone, which was UTC; told again a minute later, and at the end.
    assert_eq!(began, Time(1_795_279_160_000_000));
    for later in [repeat, recovery] {
        let again = only(later).starts.unwrap();
        assert!(began.since(again).0.max(again.since(began).0) <= 2_000_000, "{again:?}");
    }
    let labels = only(problem).labels;
    assert_eq!((labels["tag.cluster"].as_str(), labels["tag.region"].as_str()), ("billing\nshop", "eu-west"));
    assert_eq!(labels["host_name"], "DB primary – Größe 😀");
    let Some(Record::OccurrenceClosed { says, .. }) = story.records.last() else { panic!() };
    assert!(says.contains("withdrew") && says.contains("disabled."), "{says}");
}

#[test]
fn a_recovery_before_its_problem_leaves_nothing_open() {
    for clocks in [json!({}), json!({ "sent_at": SENT + 3_600 })] {
        let mut story = Story::default();
        assert_eq!(story.tell_body(RECOVERY), [Meaning::OverAlready(id(10))]);
        // However late it says that it began: an event never begins twice.
        assert_eq!(story.tell_body(&with(PROBLEM, clocks)), [Meaning::Late(id(10))]);
        assert_eq!(story.state.open().count(), 0);
    }
}

#[test]
fn several_problems_of_one_trigger_are_several_occurrences() {
    let mut story = Story::default();
    let second = with(PROBLEM, json!({ "event_id": "11" }));
    assert_eq!(story.tell_body(PROBLEM), [Meaning::Opened(id(10))]);
    assert_eq!(story.tell_body(&second), [Meaning::Opened(id(11))]);
    assert_eq!(story.tell_body(RECOVERY), [Meaning::Closed(id(10))]);
    assert_eq!(story.state.open().map(|(_, o)| o.id.clone()).collect::<Vec<_>>(), [id(11)]);
}

#[test]
fn a_cancelled_escalation_is_no_second_problem() {
    for spelled in ["Escalation canceled", "Escalation cancelled"] {
        let message = format!("NOTE: {spelled}: trigger \"down\" disabled.\nLast message sent:\nm 10");
        let cancelled = with(PROBLEM, json!({ "alert_message": message }));
        let mut story = Story::default();
        assert_eq!(
            story.tell_body(&cancelled),
            [Meaning::OverAlready(id(10))],
            "first heard of: starts nothing"
        );
        let mut story = Story::default();
        story.tell_body(PROBLEM);
        assert_eq!(story.tell_body(&cancelled), [Meaning::Closed(id(10))]);
        let Some(Record::OccurrenceClosed { says, .. }) = story.records.last() else { panic!() };
        assert_eq!(
            *says,
            format!(
                "the source withdrew it and will not say how it ends: {spelled}: trigger \"down\" disabled."
            )
        );
    }
    // Where somebody only writes about it, it is a problem.
    let quoted = with(PROBLEM, json!({ "alert_message": "see NOTE: Escalation canceled" }));
    assert_eq!(only(&quoted).status, Status::Firing);
}

#[test]
fn the_test_button_and_other_events_start_nothing() {
    let fields: Value = serde_json::from_str(PROBLEM).unwrap();
    let literal: serde_json::Map<String, Value> = fields
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), json!(format!("{{{}}}", name.to_uppercase().replace('_', ".")))))
        .collect();
    let tested = delivery(&Value::Object(literal).to_string());
    assert_eq!(
        (tested.alerts.len(), tested.reason.unwrap().starts_with("a test of the media type")),
        (0, true)
    );
    for source in ["1", "2", "3", "9"] {
        let other = delivery(&with(PROBLEM, json!({ "event_source": source })));
        assert!(other.alerts.is_empty() && other.reason.unwrap().contains("not a problem of a trigger"));
    }
    assert_eq!(only(&with(PROBLEM, json!({ "event_source": "4" }))).status, Status::Firing, "of a service");
}

#[test]
fn what_no_macro_became_is_not_there() {
    for nothing in
        ["{HOST.HOST}", "{$ZABBIX.URL}", "{HOST.HOST1}", "{{ITEM.VALUE}.regsub(a,b)}", "*UNKNOWN*", ""]
    {
        let alert = only(&with(PROBLEM, json!({ "host_host": nothing, "event_nseverity": nothing })));
        assert!(!alert.labels.contains_key("host"), "{nothing}");
        assert!(!alert.labels.contains_key("severity"), "{nothing}: unknown is not the lowest");
    }
    let text = only(&with(PROBLEM, json!({ "host_host": "{not a macro}" })));
    assert_eq!(text.labels["host"], "{not a macro}");
}

#[test]
fn tags_come_as_a_list_or_as_a_text_and_may_repeat() {
    let list = json!([{ "tag": "service", "value": "shop" }, { "tag": "service", "value": "billing" },
        { "tag": "service", "value": "shop" }, { "tag": "availability", "value": "" }]);
    for tags in [list.clone(), json!(list.to_string())] {
        let labels = only(&with(PROBLEM, json!({ "event_tags_json": tags }))).labels;
        assert_eq!(
            (labels["tag.service"].as_str(), labels["tag.availability"].as_str()),
            ("billing\nshop", "")
        );
        assert!(!labels.contains_key("tag.cluster") && !labels.contains_key(TAGS_UNKNOWN));
    }
    let none = only(&with(PROBLEM, json!({ "event_tags_json": "[]" }))).labels;
    assert!(!none.contains_key(TAGS_UNKNOWN), "known to be none");
    let broken_line = json!([{ "tag": "a", "value": "b\nc" }]);
    assert_eq!(only(&with(PROBLEM, json!({ "event_tags_json": broken_line }))).labels["tag.a"], "b c");
}

#[test]
fn tags_that_cannot_be_read_are_unknown_and_not_none() {
    let odd = [
        json!("{EVENT.TAGSJSON}"),
        json!("*UNKNOWN*"),
        json!("a:b, c:d"),
        json!({ "a": "b" }),
        json!([{ "tag": "a", "value": 1 }]),
        json!([{ "value": "a" }]),
        Value::Null,
    ];
    for tags in odd {
        let alert = only(&with(PROBLEM, json!({ "event_tags_json": tags })));
        assert!(alert.labels.contains_key(TAGS_UNKNOWN), "{tags}");
        assert!(alert.labels.keys().all(|name| !name.starts_with("tag.")), "{tags}");
    }
    let over = only(&with(RECOVERY, json!({ "event_tags_json": "*UNKNOWN*" })));
    assert_eq!(over.status, Status::Resolved, "an end needs no tags");
}

#[test]
fn a_beginning_is_known_by_its_age_in_any_zone_or_not_at_all() {
    assert_eq!(only(PROBLEM).starts, None, "nothing says in which zone");
    let sent = |body: &str, more: Value| {
        let mut changes = json!({ "sent_at": SENT.to_string() });
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        only(&with(body, changes))
    };
    let began = Some(Time(BEGAN * 1_000_000));
    assert_eq!(sent(PROBLEM, json!({})).starts, began);
    // The same moments, written by a server in Tokyo.
    let tokyo = json!({ "event_time": "09:12:59", "time": "09:13:03" });
    assert_eq!(sent(PROBLEM, tokyo).starts, began);
    let nonsense = [
        json!({ "event_time": "00:20:00" }),
        json!({ "event_date": "21.11.2026" }),
        json!({ "date": "{DATE}" }),
        // It waited for a day: how long it is old is not known.
        json!({ "event_date": "2026.11.20", "date": "2026.11.20" }),
        json!({ "sent_at": "soon" }),
        json!({ "sent_at": "0" }),
    ];
    for odd in nonsense {
        assert_eq!(sent(PROBLEM, odd.clone()).starts, None, "{odd}");
    }
    let newer = only(&with(PROBLEM, json!({ "event_timestamp": BEGAN.to_string() })));
    assert_eq!(newer.starts, began, "newer servers say it");
    let over = only(&with(RECOVERY, json!({ "sent_at": (BEGAN + 19).to_string() })));
    assert_eq!((over.starts, over.ends), (began, Some(Time((BEGAN + 17) * 1_000_000))));
}

#[test]
fn what_must_be_known_is_refused_without_it() {
    assert!(error("[]").starts_with("PM1306") && error("[]").contains("not an object"));
    assert!(error("{").starts_with("PM1302"));
    assert!(error("{}").contains("it has no event_id"));
    assert!(error(r#"{"event_id":"1"}"#).contains("it has no event_value"));
    for bad in ["", "abc", "1 2", "-1", "123456789012345678901", "*UNKNOWN*"] {
        assert!(error(&with(PROBLEM, json!({ "event_id": bad }))).starts_with("PM1305"), "{bad}");
    }
    for bad in ["", "2", "PROBLEM", "{EVENT.VALUE}", "*UNKNOWN*"] {
        assert!(error(&with(PROBLEM, json!({ "event_value": bad }))).contains("neither a problem"), "{bad}");
    }
    for bad in [json!("{EVENT.UPDATE.STATUS}"), json!("2"), Value::Null] {
        let says = error(&with(PROBLEM, json!({ "event_update_status": bad })));
        assert!(says.contains("an update must not start anything"), "{says}");
    }
    assert!(error(&with(PROBLEM, json!({ "event_nseverity": "6" }))).contains("event_nseverity is \"6\""));
    let long = "x".repeat(MAX_LABEL + 1);
    assert!(error(&with(PROBLEM, json!({ "event_name": long }))).contains("at most"));
    let many: Vec<Value> = (0..200).map(|n| json!({ "tag": format!("t{n}"), "value": "" })).collect();
    assert!(error(&with(PROBLEM, json!({ "event_tags_json": many }))).contains("labels; at most"));
    let wide: serde_json::Map<String, Value> = (0..300).map(|n| (format!("f{n}"), json!("1"))).collect();
    assert!(error(&Value::Object(wide).to_string()).contains("300 fields"));
}

#[test]
fn an_address_of_zabbix_leads_to_the_event() {
    let url = |base: &str| only(&with(PROBLEM, json!({ "zabbix_url": base }))).generator;
    assert_eq!(
        url("https://zabbix.example/"),
        "https://zabbix.example/tr_events.php?triggerid=23134&eventid=10"
    );
    for no in ["javascript:alert(1)", "{$ZABBIX.URL}", "zabbix.example"] {
        assert_eq!(url(no), "", "{no}");
    }
}

/// As a connector sends them: a problem with all that is known, and a recovery that only names it.
const LINES: &str = r#"
{"clock": 1795219979, "ns": 500000000, "value": 1, "name": "Primary is down", "severity": 5, "eventid": 42, "hosts": [{"host": "db1", "name": "DB 1"}, {"host": "db2", "name": "DB 2"}], "groups": ["Lab", "Shop"], "tags": [{"tag": "service", "value": "shop"}, {"tag": "service", "value": "billing"}]}
{"clock": 1795220039, "ns": 987654321, "eventid": 43, "p_eventid": 42, "value": 0}
"#;

#[test]
fn a_connector_names_the_problem_that_it_ends() {
    let delivery = parse_stream(LINES.as_bytes()).unwrap();
    insta::assert_json_snapshot!((&delivery.alerts[0].labels, &delivery.alerts[0].annotations), @r#"
    [
      {
        "event_id": "42",
        "host": "db1\ndb2",
        "host_name": "DB 1\nDB 2",
        "name": "Primary is down",
        "severity": "disaster",
        "tag.service": "billing\nshop"
      },
      {
        "groups": "Lab, Shop"
      }
    ]
    "#);
    assert_eq!(delivery.alerts[0].starts, Some(Time(1_795_219_979_500_000)));
    assert_eq!(delivery.alerts[1].ends, Some(Time(1_795_220_039_987_654)));
    let mut story = Story::default();
    assert_eq!(story.tell(&delivery), [Meaning::Opened(id(42)), Meaning::Closed(id(42))]);
    // Sent once more as a whole; and the media type tells of the same event.
    assert_eq!(story.tell(&delivery), [Meaning::Late(id(42)), Meaning::Late(id(42))]);
    assert_eq!(story.tell_body(&with(PROBLEM, json!({ "event_id": "42" }))), [Meaning::Late(id(42))]);
}

#[test]
fn a_connectors_line_that_is_not_an_event_refuses_all() {
    let says = |lines: &str| parse_stream(lines.as_bytes()).unwrap_err().to_string();
    let good = LINES.trim().lines().next().unwrap();
    assert!(
        says(r#"{"itemid": 1, "clock": 1795219979, "ns": 0, "value": 3}"#).contains("data type to Events")
    );
    assert!(says(&format!("{good}\n{{")).starts_with("PM1302"));
    for bad in [
        r#"{"clock": 1795219979, "value": 0, "eventid": 43}"#,
        r#"{"clock": 1795219979, "value": 2, "eventid": 43}"#,
        r#"{"clock": 1795219979, "value": 1}"#,
        r#"{"clock": 0, "value": 1, "eventid": 43}"#,
        r#"{"clock": 1795219979, "ns": -1, "value": 1, "eventid": 43}"#,
        r#"{"clock": 1795219979, "value": 1, "eventid": 43, "severity": 6}"#,
    ] {
        let says = says(&format!("{good}\n{bad}\n"));
        assert!(says.starts_with("PM1305: alert 2"), "{bad}: {says}");
    }
    assert_eq!(parse_stream(b"\n \n").unwrap().alerts, []);
    assert!(looks_streamed(LINES.as_bytes()) && !looks_streamed(PROBLEM.as_bytes()));
}

proptest! {
    /// Repeats, late copies and any order of an event's messages: at most one occurrence, and none open at the end.
    #[test]
    fn any_order_of_messages_is_one_occurrence_for_each_event(
        order in Just((0..10_usize).chain(0..10).collect::<Vec<_>>()).prop_shuffle(),
        sent in proptest::collection::vec(proptest::option::of(-40_000_i64..40_000), 20),
    ) {
        let bodies = [PROBLEM, UPDATE, RECOVERY, NEXT, NEXT_RECOVERY];
        let mut story = Story::default();
        for (which, sent) in order.into_iter().zip(sent) {
            // The sender's clock may be anywhere.
            let clock = sent.map_or(json!({}), |by| json!({ "sent_at": SENT + by }));
            story.tell_body(&with(bodies[which % 5], clock));
        }
        prop_assert_eq!(story.opened(), 2);
        prop_assert_eq!(story.state.open().count(), 0);
    }

    #[test]
    fn no_bytes_bring_it_down(body in ".{0,200}", field in ".{0,20}", value in ".{0,40}") {
        let _ = parse(body.as_bytes());
        let _ = parse_stream(body.as_bytes());
        for name in ["event_id", "event_tags_json", "sent_at", "event_date", "alert_message", &field] {
            let _ = parse(with(PROBLEM, json!({ name: value.clone() })).as_bytes());
        }
    }
}
