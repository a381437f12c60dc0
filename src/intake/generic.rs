//! Bodies of any sender, read as the configuration says. What was understood is put beside the bytes as they came, in one document
//! ([`Envelope`]) which is what the journal keeps: triage reads that, so that a mapping which was changed meanwhile changes nothing
//! of what was delivered before. `http` maps, and `match` and `test` do, with files.

mod cloudevent;
mod value;

pub use cloudevent::{Message, Mode};

use super::alertmanager::{MAX_ANNOTATION, MAX_LABEL};
use super::wire::{brief, faulty};
use super::{Alert, Delivery, IntakeError, Status};
use crate::config::{Generic, Mapping, Pairs};
use crate::kernel::domain::{Digest, Time, VALUES_APART};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use value::Scope;

/// Largest body.
pub const MAX_BYTES: usize = 2 << 20;
/// Most alerts in one body.
const MAX_ALERTS: usize = 1_000;
/// Longest fingerprint that is kept as it is.
const MAX_FINGERPRINT: usize = 128;
/// All expressions over one body.
const DEADLINE: Duration = Duration::from_secs(5);
const SCHEMA: &str = "pointsman.generic/v1";

/// A body as it came, and what was understood of it.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    schema: String,
    /// What it is JSON of is text, so nothing of its bytes is lost.
    received: String,
    /// What stood in its headers, of a CloudEvent.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    event: Value,
    #[serde(default)]
    truncated: u64,
    alerts: Vec<Kept>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    status: KeptStatus,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts: Option<Time>,
    ends: Option<Time>,
    once: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptStatus {
    Firing,
    Resolved,
}

/// What is kept of a body, whether or not it could be mapped.
pub struct Understood {
    pub delivery: Delivery,
    /// The envelope's bytes.
    pub kept: Vec<u8>,
    /// Why nothing of it was understood.
    pub failed: Option<IntakeError>,
}

/// `Err`: it is not even what could be mapped, and nothing of it is kept.
pub fn understand(generic: &Generic, body: &[u8], mode: &Mode) -> Result<Understood, IntakeError> {
    let received = std::str::from_utf8(body).map_err(|e| IntakeError::NotJson { why: e.to_string() })?;
    let value: Value =
        serde_json::from_slice(body).map_err(|e| faulty(&e, |why| IntakeError::NotJson { why }))?;
    let message = Message::open(value, mode)?;
    let (delivery, failed) = match map(&generic.mapping, &message) {
        Ok(delivery) => (delivery, None),
        Err(error) => (nothing(Some(error.to_string())), Some(error)),
    };
    let envelope = Envelope {
        schema: SCHEMA.into(),
        received: received.to_owned(),
        event: if mode.in_headers() { message.event } else { Value::Null },
        truncated: delivery.truncated,
        alerts: delivery.alerts.iter().map(Kept::of).collect(),
        reason: delivery.reason.clone(),
    };
    let kept = serde_json::to_vec(&envelope).expect("invariant: texts and numbers are JSON");
    Ok(Understood { delivery, kept, failed })
}

/// What the journal kept.
pub fn parse(kept: &[u8]) -> Result<Delivery, IntakeError> {
    let shape = |why: String| IntakeError::Unmapped { place: "the kept delivery".into(), why };
    let envelope: Envelope = serde_json::from_slice(kept).map_err(|e| faulty(&e, shape))?;
    if envelope.schema != SCHEMA {
        return Err(shape(format!("it is {:?}, not {SCHEMA}", brief(&envelope.schema, 40))));
    }
    let alerts = envelope.alerts.into_iter().map(Kept::alert).collect();
    Ok(Delivery { truncated: envelope.truncated, alerts, ..nothing(envelope.reason) })
}

fn nothing(reason: Option<String>) -> Delivery {
    Delivery {
        receiver: String::new(),
        group_key: String::new(),
        external_url: String::new(),
        truncated: 0,
        reason,
        alerts: vec![],
    }
}

impl Kept {
    fn of(alert: &Alert) -> Kept {
        Kept {
            fingerprint: alert.fingerprint.clone(),
            status: if alert.status == Status::Firing { KeptStatus::Firing } else { KeptStatus::Resolved },
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts: alert.starts,
            ends: alert.ends,
            once: alert.once,
        }
    }

    fn alert(self) -> Alert {
        Alert {
            fingerprint: self.fingerprint,
            status: match self.status {
                KeptStatus::Firing => Status::Firing,
                KeptStatus::Resolved => Status::Resolved,
            },
            labels: self.labels,
            annotations: self.annotations,
            starts: self.starts,
            ends: self.ends,
            once: self.once,
            generator: String::new(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bound on work, not a time that anything is decided by")]
fn map(mapping: &Mapping, message: &Message) -> Result<Delivery, IntakeError> {
    let until = Instant::now() + DEADLINE;
    let whole = Scope { body: &message.body, event: &message.event, item: None, until };
    let unmapped = |place: &str, why: String| IntakeError::Unmapped { place: place.to_owned(), why };
    let items = match &mapping.items {
        None => None,
        Some(items) => match whole.value(items).map_err(|why| unmapped("items", why))? {
            Value::Array(items) if items.len() > MAX_ALERTS => {
                return Err(unmapped(
                    "items",
                    format!("{} alerts; at most {MAX_ALERTS} are taken", items.len()),
                ));
            }
            Value::Array(items) => Some(items),
            other => return Err(unmapped("items", format!("it is {}, not a list", value::is(&other)))),
        },
    };
    let truncated = match &mapping.truncated {
        None => 0,
        Some(count) => match whole.value(count).map_err(|why| unmapped("truncated", why))? {
            Value::Null => 0,
            value => value.as_u64().ok_or_else(|| unmapped("truncated", "it is not a number".into()))?,
        },
    };
    let (mut alerts, mut ignored) = (vec![], None);
    let mut take = |scope: &Scope<'_>, at: &str| match one(mapping, scope) {
        Ok(Ok(alert)) => {
            alerts.push(alert);
            Ok(())
        }
        Ok(Err(status)) => {
            ignored = Some(format!("the status {:?} is neither a problem nor its end", brief(&status, 80)));
            Ok(())
        }
        Err((place, why)) => Err(IntakeError::Unmapped { place: format!("{at}{place}"), why }),
    };
    match &items {
        None => take(&whole, "")?,
        Some(items) => {
            for (index, item) in items.iter().enumerate() {
                let scope = Scope { item: Some(item), ..whole };
                take(&scope, &format!("item {} of {}: ", index + 1, items.len()))?;
            }
        }
    }
    let reason = ignored.filter(|_| alerts.is_empty());
    let reason = reason.or_else(|| alerts.is_empty().then(|| "the list of alerts is empty".to_owned()));
    Ok(Delivery { truncated, alerts, ..nothing(reason) })
}

type Failed = (String, String);

/// The inner error: a status that is to be ignored.
fn one(mapping: &Mapping, scope: &Scope<'_>) -> Result<Result<Alert, String>, Failed> {
    let at = |place: &str| {
        let place = place.to_owned();
        move |why: String| (place, why)
    };
    let said = scope.text(&mapping.status).map_err(at("status"))?.unwrap_or_default();
    let is = |words: &[String]| words.contains(&said);
    let status = match (is(&mapping.firing), is(&mapping.resolved)) {
        (true, _) => Status::Firing,
        (false, true) => Status::Resolved,
        (false, false) if is(&mapping.ignored) || mapping.ignored.iter().any(|word| word == "*") => {
            return Ok(Err(said));
        }
        (false, false) => {
            let why = format!("{:?} is in none of the lists firing, resolved, ignored", brief(&said, 80));
            return Err(("status".into(), why));
        }
    };
    let fingerprint = scope.text(&mapping.fingerprint).map_err(at("fingerprint"))?.filter(|f| !f.is_empty());
    let fingerprint = fingerprint.ok_or_else(|| ("fingerprint".into(), "it is empty".to_owned()))?;
    let labels = pairs(scope, &mapping.labels, "labels", MAX_LABEL)?;
    let annotations = pairs(scope, &mapping.annotations, "annotations", MAX_ANNOTATION)?;
    let time = |expr: Option<&_>, place: &str| match expr {
        None => Ok(None),
        Some(expr) => scope.time(expr).map_err(at(place)),
    };
    let starts = time(mapping.starts_at.as_ref(), "starts_at")?;
    if starts.is_none() && status == Status::Firing && !mapping.once {
        let why = "a problem says no time: a late copy of it could not be told from a new one";
        return Err(("starts_at".into(), why.into()));
    }
    let ends = if status == Status::Resolved { time(mapping.ends_at.as_ref(), "ends_at")? } else { None };
    Ok(Ok(Alert {
        fingerprint: identity(fingerprint),
        status,
        labels,
        annotations,
        starts,
        ends,
        once: mapping.once,
        generator: String::new(),
    }))
}

/// Opaque, and a part of names: what would be awkward there is known by its digest.
fn identity(said: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:!@+=-".contains(c);
    match said.len() <= MAX_FINGERPRINT && said.chars().all(plain) {
        true => said,
        false => hex::encode(&Digest::of(said.as_bytes()).0[..16]),
    }
}

fn pairs(
    scope: &Scope<'_>,
    pairs: &Pairs,
    what: &str,
    longest: usize,
) -> Result<BTreeMap<String, String>, Failed> {
    let each: Vec<(String, Value)> = match pairs {
        Pairs::Whole(expr) => match scope.value(expr).map_err(|why| (what.to_owned(), why))? {
            Value::Object(map) => map.into_iter().collect(),
            Value::Null => vec![],
            other => return Err((what.to_owned(), format!("it is {}, not a table", value::is(&other)))),
        },
        Pairs::Each(all) => {
            let one = |(name, expr): &(String, _)| {
                let value = scope.value(expr).map_err(|why| (format!("{what}.{name}"), why))?;
                Ok((name.clone(), value))
            };
            all.iter().map(one).collect::<Result<_, Failed>>()?
        }
    };
    let mut texts = BTreeMap::new();
    for (name, value) in each {
        let at = |why: String| (format!("{what}.{}", brief(&name, 40)), why);
        let text = match &value {
            // Several values, each on a line of its own.
            Value::Array(all) => {
                let all: Result<Vec<String>, String> =
                    all.iter().map(|one| value::text(one).map(Option::unwrap_or_default)).collect();
                Some(all.map_err(at)?.join(&VALUES_APART.to_string()))
            }
            one => value::text(one).map_err(at)?,
        };
        // What is empty is as if it were not there, as for matchers.
        texts.insert(name, text.filter(|text| !text.is_empty()));
    }
    super::alertmanager::pairs(texts, what.trim_end_matches('s'), longest)
        .map_err(|why| (what.to_owned(), why))
}

#[cfg(test)]
mod tests;
