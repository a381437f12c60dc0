//! The lines of a connector (Zabbix 6.4 and later): each an event, in the order in which they happened. A recovery names
//! the problem that it ends and nothing else about it.

use super::super::alertmanager::{MAX_ALERTS, MAX_ANNOTATION, MAX_BYTES, MAX_LABEL};
use super::super::wire::faulty;
use super::super::{Alert, Delivery, IntakeError, Status};
use super::{bounded, tags};
use crate::kernel::domain::{Time, ZABBIX_SEVERITIES};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Line {
    clock: Option<i64>,
    ns: Option<i64>,
    value: Option<u64>,
    eventid: Option<u64>,
    p_eventid: Option<u64>,
    name: Option<String>,
    severity: Option<usize>,
    #[serde(default)]
    hosts: Vec<Host>,
    #[serde(default)]
    groups: Vec<String>,
    tags: Option<Value>,
    /// A connector of values has it instead of an event.
    itemid: Option<u64>,
}

#[derive(Deserialize)]
struct Host {
    host: Option<String>,
    name: Option<String>,
}

/// Whether it is lines of a connector rather than a message of the media type, for files that do not say so.
pub fn looks_streamed(body: &[u8]) -> bool {
    let first = body.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty());
    let first = first.and_then(|line| serde_json::from_slice::<Value>(line).ok());
    first.is_some_and(|line| line.get("eventid").is_some())
}

/// All of the lines, or the reason why none of them.
pub fn parse_stream(body: &[u8]) -> Result<Delivery, IntakeError> {
    if body.len() > MAX_BYTES {
        return Err(IntakeError::TooLarge { bytes: body.len(), limit: MAX_BYTES });
    }
    let lines: Vec<&[u8]> =
        body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    if lines.len() > MAX_ALERTS {
        return Err(IntakeError::TooMany { alerts: lines.len(), limit: MAX_ALERTS });
    }
    let mut alerts = Vec::with_capacity(lines.len());
    for (i, bytes) in lines.iter().enumerate() {
        let shape = |why: String| IntakeError::NotZabbix { why: format!("line {}: {why}", i + 1) };
        let line: Line = serde_json::from_slice(bytes).map_err(|e| faulty(&e, shape))?;
        if line.itemid.is_some() && line.eventid.is_none() {
            return Err(shape("it is a value of an item; set the connector's data type to Events".into()));
        }
        alerts.push(alert(line).map_err(|why| IntakeError::BadAlert { index: i + 1, why })?);
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

fn alert(line: Line) -> Result<Alert, String> {
    let at = moment(line.clock.ok_or("it has no clock")?, line.ns.unwrap_or(0))?;
    let event = line.eventid.ok_or("it has no eventid")?;
    match line.value {
        Some(1) => Ok(Alert {
            fingerprint: event.to_string(),
            status: Status::Firing,
            labels: labels(&line, event)?,
            annotations: bounded(annotations(&line), "annotation", MAX_ANNOTATION)?,
            starts: Some(at),
            ends: None,
            once: true,
            generator: String::new(),
        }),
        Some(0) => Ok(Alert {
            fingerprint: line.p_eventid.ok_or("it is a recovery without p_eventid")?.to_string(),
            status: Status::Resolved,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts: None,
            ends: Some(at),
            once: true,
            generator: String::new(),
        }),
        other => Err(format!("its value is {other:?}: neither a problem nor a recovery")),
    }
}

fn moment(clock: i64, ns: i64) -> Result<Time, String> {
    let fine = (1..=253_402_300_799).contains(&clock) && (0..1_000_000_000).contains(&ns);
    fine.then_some(Time(clock * 1_000_000 + ns / 1_000)).ok_or_else(|| format!("its clock is {clock}.{ns}"))
}

fn labels(line: &Line, event: u64) -> Result<BTreeMap<String, String>, String> {
    let mut labels = tags::labels(line.tags.as_ref());
    labels.insert("event_id".into(), event.to_string());
    labels.extend(line.name.clone().map(|name| ("name".to_owned(), name)));
    if let Some(number) = line.severity {
        let word = ZABBIX_SEVERITIES.get(number).ok_or_else(|| format!("its severity is {number}"))?;
        labels.insert("severity".into(), (*word).to_owned());
    }
    let host = |h: &Host| h.host.clone().map(|host| ("host".to_owned(), host));
    let name = |h: &Host| h.name.clone().map(|name| ("host_name".to_owned(), name));
    labels.extend(tags::joined(line.hosts.iter().filter_map(host).chain(line.hosts.iter().filter_map(name))));
    bounded(labels, "label", MAX_LABEL)
}

fn annotations(line: &Line) -> BTreeMap<String, String> {
    let groups = (!line.groups.is_empty()).then(|| ("groups".to_owned(), line.groups.join(", ")));
    groups.into_iter().collect()
}
