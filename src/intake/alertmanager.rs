//! Prometheus Alertmanager's webhook, payload version 4. Tolerant of what newer and older senders add or leave out,
//! strict about what an alert needs to be acted on: a body that is half understood is refused as a whole.

mod fingerprint;
mod wire;

pub use fingerprint::fingerprint;

use super::{Alert, Delivery, IntakeError, Status, time};
use std::collections::BTreeMap;
use wire::{WireAlert, WireMessage};

/// Largest body.
pub const MAX_BYTES: usize = 8 << 20;
/// Most alerts in one body.
pub const MAX_ALERTS: usize = 10_000;
/// Most labels, and most annotations, of one alert.
pub const MAX_PAIRS: usize = 128;
/// Longest name of a label or annotation.
pub const MAX_NAME: usize = 1_024;
/// Longest value of a label.
pub const MAX_LABEL: usize = 16 << 10;
/// Longest value of an annotation.
pub const MAX_ANNOTATION: usize = 256 << 10;
/// Longest fingerprint; real ones have 16 characters.
const MAX_FINGERPRINT: usize = 128;

/// All of the body, or the reason why none of it.
pub fn parse(body: &[u8]) -> Result<Delivery, IntakeError> {
    if body.len() > MAX_BYTES {
        return Err(IntakeError::TooLarge { bytes: body.len(), limit: MAX_BYTES });
    }
    let message = wire::read(body)?;
    if let Some(version) = message.version.as_deref().filter(|v| !matches!(*v, "" | "4")) {
        return Err(IntakeError::WrongShape { why: format!("it says version {:?}", short(version)) });
    }
    let Some(alerts) = message.alerts else {
        return Err(IntakeError::WrongShape { why: "it has no list of alerts".into() });
    };
    if alerts.len() > MAX_ALERTS {
        return Err(IntakeError::TooMany { alerts: alerts.len(), limit: MAX_ALERTS });
    }
    let alerts = alerts
        .into_iter()
        .enumerate()
        .map(|(i, wire)| alert(wire).map_err(|why| IntakeError::BadAlert { index: i + 1, why }));
    let WireMessage { receiver, group_key, external_url, truncated, reason, .. } = message;
    Ok(Delivery {
        receiver: unescape(&receiver.unwrap_or_default()),
        group_key: group_key.unwrap_or_default(),
        external_url: external_url.unwrap_or_default(),
        truncated: truncated.unwrap_or(0),
        reason: reason.filter(|r| !r.is_empty()),
        alerts: alerts.collect::<Result<_, _>>()?,
    })
}

fn alert(wire: WireAlert) -> Result<Alert, String> {
    let status = match wire.status.as_deref() {
        Some("firing") => Status::Firing,
        Some("resolved") => Status::Resolved,
        Some(other) => return Err(format!("its status is {:?}", short(other))),
        None => return Err("it has no status".into()),
    };
    let labels = pairs(wire.labels.unwrap_or_default(), "label", MAX_LABEL)?;
    let annotations = pairs(wire.annotations.unwrap_or_default(), "annotation", MAX_ANNOTATION)?;
    let starts = match wire.starts_at.as_deref() {
        Some(text) => time::parse(text).map_err(|why| format!("startsAt: {why}"))?,
        None => None,
    };
    // A firing alert has no end, whatever the sender predicts.
    let ends = match wire.ends_at.as_deref() {
        Some(text) if status == Status::Resolved => {
            time::parse(text).map_err(|why| format!("endsAt: {why}"))?
        }
        Some(_) | None => None,
    };
    Ok(Alert {
        fingerprint: identity(wire.fingerprint, &labels)?,
        status,
        starts: Some(
            starts.ok_or("it has no startsAt: without it late copies cannot be told from new outages")?,
        ),
        ends,
        once: false,
        generator: wire.generator_url.unwrap_or_default(),
        labels,
        annotations,
    })
}

/// The sender's fingerprint is opaque; it is computed only where old senders leave it out.
fn identity(given: Option<String>, labels: &BTreeMap<String, String>) -> Result<String, String> {
    match given.filter(|f| !f.is_empty()) {
        Some(given) if given.len() > MAX_FINGERPRINT => {
            Err(format!("its fingerprint has {} characters", given.len()))
        }
        Some(given) => Ok(given),
        None if labels.is_empty() => Err("it has neither a fingerprint nor labels".into()),
        None => Ok(fingerprint(labels)),
    }
}

/// A null value means the same as no pair.
pub(super) fn pairs(
    wire: BTreeMap<String, Option<String>>,
    what: &str,
    longest: usize,
) -> Result<BTreeMap<String, String>, String> {
    if wire.len() > MAX_PAIRS {
        return Err(format!("it has {} {what}s; at most {MAX_PAIRS} are taken", wire.len()));
    }
    for (name, value) in &wire {
        let length = value.as_ref().map_or(0, String::len);
        if name.len() > MAX_NAME {
            return Err(format!("a {what}'s name has {} bytes; at most {MAX_NAME} are taken", name.len()));
        }
        if length > longest {
            let name = short(name);
            return Err(format!("its {what} {name:?} has {length} bytes; at most {longest} are taken"));
        }
    }
    Ok(wire.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Undoes Go's `regexp.QuoteMeta`, which the sender applies to the receiver's name: `web\.hook` is `web.hook`.
fn unescape(quoted: &str) -> String {
    const META: &str = r"\.+*?()|[]{}^$";
    let mut plain = String::with_capacity(quoted.len());
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = letters.next_if(|next| letter == '\\' && META.contains(*next));
        plain.push(escaped.unwrap_or(letter));
    }
    plain
}

fn short(text: &str) -> String {
    super::wire::brief(text, 40)
}

#[cfg(test)]
mod tests;
