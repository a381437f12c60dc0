//! Zabbix: one message of our media type, or the lines of a connector. An event of Zabbix has an id of its own and never
//! comes back, so an alert's fingerprint is the id of its problem, and what was closed stays closed.
//!
//! | message                                   | means                                              |
//! |-------------------------------------------|----------------------------------------------------|
//! | problem, and each repeat of an escalation | firing                                             |
//! | recovery                                  | resolved                                           |
//! | update: a comment, a severity, an ack     | nothing: it starts nothing and closes nothing       |
//! | the note that an escalation was cancelled | withdrawn: nobody will hear how it ends             |
//! | the media type's test button              | nothing                                            |
//! | a discovery, a registration, an internal  | nothing                                            |

mod clock;
mod fields;
mod found;
mod stream;
mod tags;

pub use found::{Found, Over, parse_found, stands};
pub use stream::{looks_streamed, parse_stream};

use super::alertmanager::{MAX_ANNOTATION, MAX_BYTES, MAX_LABEL};
use super::{Alert, Delivery, IntakeError, Status};
use crate::kernel::domain::ZABBIX_SEVERITIES;
use fields::Fields;
use std::collections::BTreeMap;

/// Longest id of an event: Zabbix counts in 64 bits.
const MAX_ID: usize = 20;

/// What a message says.
enum Says {
    /// No alert of any kind, and why.
    Nothing(String),
    Problem,
    Recovery,
    Withdrawn(String),
}

/// All of the body, or the reason why none of it.
pub fn parse(body: &[u8]) -> Result<Delivery, IntakeError> {
    if body.len() > MAX_BYTES {
        return Err(IntakeError::TooLarge { bytes: body.len(), limit: MAX_BYTES });
    }
    let fields = Fields::read(body)?;
    let bad = |why: String| IntakeError::BadAlert { index: 1, why };
    let (note, alerts) = match says(&fields).map_err(bad)? {
        Says::Nothing(why) => (Some(why), vec![]),
        Says::Problem => (None, vec![alert(&fields, Status::Firing, None).map_err(bad)?]),
        Says::Recovery => (None, vec![alert(&fields, Status::Resolved, None).map_err(bad)?]),
        Says::Withdrawn(why) => {
            (Some(why.clone()), vec![alert(&fields, Status::Withdrawn, Some(why)).map_err(bad)?])
        }
    };
    Ok(Delivery {
        receiver: fields.text("alert_sendto").unwrap_or_default().to_owned(),
        group_key: fields.text("trigger_id").unwrap_or_default().to_owned(),
        external_url: base(&fields).unwrap_or_default(),
        truncated: 0,
        reason: note,
        alerts,
    })
}

fn says(fields: &Fields) -> Result<Says, String> {
    if fields.is_literal("event_id") {
        return Ok(Says::Nothing("a test of the media type: no macro was filled in".into()));
    }
    if let Some(source) = fields.text("event_source").filter(|source| !matches!(*source, "0" | "4")) {
        let what = match source {
            "1" => "a discovery",
            "2" => "a registration",
            "3" => "an event of Zabbix itself",
            _ => "an event of a kind that is not known",
        };
        return Ok(Says::Nothing(format!("{what}, not a problem of a trigger or a service")));
    }
    if let Some(note) = fields.text("alert_message").and_then(cancelled) {
        return Ok(Says::Withdrawn(note));
    }
    match (fields.text("event_value"), fields.text("event_update_status")) {
        (Some("0"), _) => Ok(Says::Recovery),
        (Some("1"), Some("0")) => Ok(Says::Problem),
        (Some("1"), Some("1")) => {
            let action = fields.text("event_update_action").unwrap_or("no action is named");
            Ok(Says::Nothing(format!("an update of a known problem: {}", brief(action))))
        }
        (Some("1"), other) => Err(format!(
            "it does not say whether it is an update (event_update_status is {}); an update must not start anything",
            fields::quoted(other)
        )),
        (other, _) => {
            Err(format!("it is neither a problem nor a recovery: event_value is {}", fields::quoted(other)))
        }
    }
}

/// Zabbix sends its last message once more, with this before it, when the trigger, host or action was disabled.
fn cancelled(message: &str) -> Option<String> {
    let rest = message.trim_start().strip_prefix("NOTE: ")?;
    let first = rest.lines().next().unwrap_or_default();
    let lower = first.to_ascii_lowercase();
    let is = lower.starts_with("escalation canceled") || lower.starts_with("escalation cancelled");
    is.then(|| brief(first))
}

fn alert(fields: &Fields, status: Status, note: Option<String>) -> Result<Alert, String> {
    let id = fields.text("event_id").ok_or("it has no event_id")?;
    if id.len() > MAX_ID || !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("its event_id is {}, which is not a number", fields::quoted(Some(id))));
    }
    let clock = clock::read(fields);
    let url = base(fields).zip(fields.text("trigger_id"));
    Ok(Alert {
        fingerprint: id.to_owned(),
        status,
        labels: labels(fields, id)?,
        annotations: annotations(fields, note)?,
        starts: clock.starts,
        ends: clock.ends.filter(|_| status == Status::Resolved),
        once: true,
        generator: url
            .map(|(base, trigger)| format!("{base}/tr_events.php?triggerid={trigger}&eventid={id}"))
            .unwrap_or_default(),
    })
}

fn labels(fields: &Fields, id: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = tags::labels(fields.tags());
    labels.insert("event_id".into(), id.to_owned());
    let plain = [
        ("name", "event_name"),
        ("host", "host_host"),
        ("host_name", "host_name"),
        ("trigger_id", "trigger_id"),
    ];
    for (label, field) in plain {
        if let Some(text) = fields.text(field) {
            labels.insert(label.into(), text.to_owned());
        }
    }
    if let Some(number) = fields.text("event_nseverity") {
        labels.insert("severity".into(), severity(number)?.to_owned());
    }
    bounded(labels, "label", MAX_LABEL)
}

fn annotations(fields: &Fields, note: Option<String>) -> Result<BTreeMap<String, String>, String> {
    let mut annotations = BTreeMap::new();
    let plain = [
        ("opdata", "event_opdata"),
        ("description", "trigger_description"),
        ("url", "trigger_url"),
        ("groups", "trigger_hostgroup_name"),
        ("subject", "alert_subject"),
    ];
    for (name, field) in plain {
        if let Some(text) = fields.text(field) {
            annotations.insert(name.to_owned(), text.to_owned());
        }
    }
    // As Zabbix shows it: it does not say in which zone.
    if let Some((date, time)) = fields.text("event_date").zip(fields.text("event_time")) {
        annotations.insert("problem_time".into(), format!("{date} {time}"));
    }
    annotations.extend(note.map(|note| ("note".to_owned(), note)));
    bounded(annotations, "annotation", MAX_ANNOTATION)
}

fn severity(number: &str) -> Result<&'static str, String> {
    let found = number.parse::<usize>().ok().and_then(|n| ZABBIX_SEVERITIES.get(n));
    found.copied().ok_or_else(|| format!("its event_nseverity is {}", fields::quoted(Some(number))))
}

fn bounded(
    pairs: BTreeMap<String, String>,
    what: &str,
    longest: usize,
) -> Result<BTreeMap<String, String>, String> {
    let pairs = pairs.into_iter().map(|(name, value)| (name, Some(value))).collect();
    super::alertmanager::pairs(pairs, what, longest)
}

/// Where this Zabbix is looked at, if it says so and it is an address.
fn base(fields: &Fields) -> Option<String> {
    let url = fields.text("zabbix_url")?.trim_end_matches('/');
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}

fn brief(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
