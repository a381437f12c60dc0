//! What Zabbix said when it was asked: problems that no message told of, and ends of those that are open here. Written by triage,
//! as it will be read again: the events as the API gave them.

use super::super::alertmanager::{MAX_ALERTS, MAX_ANNOTATION, MAX_BYTES, MAX_LABEL};
use super::super::wire::faulty;
use super::super::{Alert, Delivery, IntakeError, Status};
use super::{bounded, severity, tags};
use crate::kernel::domain::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The body that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Events of problems that stand.
    pub standing: Vec<Value>,
    /// Those that are over.
    pub over: Vec<Over>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub eventid: String,
    /// The event that ended it.
    pub r_eventid: String,
}

/// Of an event: numbers come as texts.
#[derive(Deserialize)]
struct Event {
    eventid: String,
    #[serde(default)]
    objectid: String,
    #[serde(default)]
    name: String,
    severity: String,
    clock: String,
    #[serde(default)]
    ns: String,
    #[serde(default)]
    opdata: String,
    tags: Value,
    #[serde(default)]
    hosts: Vec<Host>,
}

#[derive(Deserialize)]
struct Host {
    host: Option<String>,
    name: Option<String>,
}

/// All of it, or the reason why none of it.
pub fn parse_found(body: &[u8]) -> Result<Delivery, IntakeError> {
    if body.len() > MAX_BYTES {
        return Err(IntakeError::TooLarge { bytes: body.len(), limit: MAX_BYTES });
    }
    let shape = |why: String| IntakeError::NotZabbix { why };
    let found: Found = serde_json::from_slice(body).map_err(|e| faulty(&e, shape))?;
    let count = found.standing.len() + found.over.len();
    if count > MAX_ALERTS {
        return Err(IntakeError::TooMany { alerts: count, limit: MAX_ALERTS });
    }
    let mut alerts = Vec::with_capacity(count);
    for (i, alert) in found.standing.iter().map(stands).chain(found.over.iter().map(ended)).enumerate() {
        alerts.push(alert.map_err(|why| IntakeError::BadAlert { index: i + 1, why })?);
    }
    Ok(Delivery {
        receiver: String::new(),
        group_key: String::new(),
        external_url: String::new(),
        truncated: 0,
        reason: None,
        alerts,
    })
}

/// An event that stands, as an alert like that of its message.
pub fn stands(event: &Value) -> Result<Alert, String> {
    let event: Event = serde_json::from_value(event.clone()).map_err(|e| format!("an event: {e}"))?;
    let number = |text: &str, what: &str| text.parse::<i64>().map_err(|_| format!("its {what} is {text:?}"));
    let clock = number(&event.clock, "clock")?;
    let ns = if event.ns.is_empty() { 0 } else { number(&event.ns, "ns")? };
    let annotations = [("opdata", event.opdata.clone()), ("note", "found by asking Zabbix".to_owned())];
    let annotations = annotations.into_iter().filter(|(_, text)| !text.is_empty());
    Ok(Alert {
        fingerprint: id(&event.eventid)?,
        status: Status::Firing,
        labels: labels(&event)?,
        annotations: bounded(
            annotations.map(|(name, text)| (name.to_owned(), text)).collect(),
            "annotation",
            MAX_ANNOTATION,
        )?,
        starts: Some(Time(clock.saturating_mul(1_000_000).saturating_add(ns / 1_000))),
        ends: None,
        once: true,
        generator: String::new(),
    })
}

fn ended(over: &Over) -> Result<Alert, String> {
    Ok(Alert {
        fingerprint: id(&over.eventid)?,
        status: Status::Resolved,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts: None,
        ends: None,
        once: true,
        generator: String::new(),
    })
}

fn id(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && text.len() <= super::MAX_ID && text.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| text.to_owned()).ok_or_else(|| format!("its eventid is {text:?}, which is not a number"))
}

fn labels(event: &Event) -> Result<BTreeMap<String, String>, String> {
    let mut labels = tags::labels(Some(&event.tags));
    let plain = [("event_id", &event.eventid), ("name", &event.name), ("trigger_id", &event.objectid)];
    let said = plain.into_iter().filter(|(_, text)| !text.is_empty());
    labels.extend(said.map(|(label, text)| (label.to_owned(), text.clone())));
    labels.insert("severity".into(), severity(&event.severity)?.to_owned());
    let host = |h: &Host| h.host.clone().map(|host| ("host".to_owned(), host));
    let name = |h: &Host| h.name.clone().map(|name| ("host_name".to_owned(), name));
    labels
        .extend(tags::joined(event.hosts.iter().filter_map(host).chain(event.hosts.iter().filter_map(name))));
    bounded(labels, "label", MAX_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({ "eventid": "77", "objectid": "13", "name": "Primary is down", "severity": "5", "clock": "1795219979",
            "ns": "123456789", "opdata": "", "suppressed": "0", "r_eventid": "0",
            "tags": [{ "tag": "service", "value": "shop" }, { "tag": "service", "value": "mail" }],
            "hosts": [{ "hostid": "1", "host": "db1", "name": "Primary" }] })
    }

    #[test]
    fn what_was_found_reads_as_its_message_would() {
        let found = Found {
            standing: vec![event()],
            over: vec![Over { eventid: "76".into(), r_eventid: "78".into() }],
        };
        let body = serde_json::to_vec(&found).unwrap();
        let alerts = parse_found(&body).unwrap().alerts;
        let (first, second) = (&alerts[0], &alerts[1]);
        assert_eq!((first.fingerprint.as_str(), first.status, first.once), ("77", Status::Firing, true));
        assert_eq!(first.starts, Some(Time(1_795_219_979_123_456)));
        let wanted = [
            ("event_id", "77"),
            ("host", "db1"),
            ("host_name", "Primary"),
            ("name", "Primary is down"),
            ("severity", "disaster"),
            ("tag.service", "mail\nshop"),
            ("trigger_id", "13"),
        ];
        let labels: Vec<(&str, &str)> = first.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, wanted);
        assert_eq!((second.fingerprint.as_str(), second.status, second.once), ("76", Status::Resolved, true));
    }

    #[test]
    fn what_is_no_event_is_not_taken_for_one() {
        for (key, wrong) in [
            ("eventid", json!("")),
            ("eventid", json!("7a")),
            ("severity", json!("9")),
            ("clock", json!("x")),
        ] {
            let mut event = event();
            event[key] = wrong;
            let body = serde_json::to_vec(&Found { standing: vec![event], over: vec![] }).unwrap();
            assert!(parse_found(&body).is_err(), "{key}");
        }
        assert!(parse_found(b"{}").is_err() && parse_found(b"[]").is_err());
    }
}
