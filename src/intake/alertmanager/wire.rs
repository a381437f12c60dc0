//! The JSON as it comes. Every field may be missing or null; unknown ones are passed over. Only what must be known is
//! judged, by the caller.

use super::super::IntakeError;
use serde::Deserialize;
use serde_json::error::Category;
use std::collections::BTreeMap;

#[derive(Deserialize)]
pub(super) struct WireMessage {
    pub version: Option<String>,
    pub alerts: Option<Vec<WireAlert>>,
    pub receiver: Option<String>,
    #[serde(rename = "groupKey")]
    pub group_key: Option<String>,
    #[serde(rename = "externalURL")]
    pub external_url: Option<String>,
    #[serde(rename = "truncatedAlerts")]
    pub truncated: Option<u64>,
    #[serde(rename = "notification_reason")]
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireAlert {
    pub status: Option<String>,
    pub labels: Option<BTreeMap<String, Option<String>>>,
    pub annotations: Option<BTreeMap<String, Option<String>>>,
    pub starts_at: Option<String>,
    pub ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    pub generator_url: Option<String>,
    pub fingerprint: Option<String>,
}

/// Tells broken JSON from JSON of another shape: the first is a fault on the way, the second a custom payload.
pub(super) fn read(body: &[u8]) -> Result<WireMessage, IntakeError> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let read = serde_json::from_slice(body);
    match read {
        // Derived structs also read a list, field by field; a list is never this message.
        Ok(_) if first == Some(&b'[') => Err(IntakeError::WrongShape { why: "it is a list".into() }),
        Ok(message) => Ok(message),
        Err(e) => match e.classify() {
            Category::Data => Err(IntakeError::WrongShape { why: brief(&e) }),
            Category::Io | Category::Syntax | Category::Eof => Err(IntakeError::NotJson { why: brief(&e) }),
        },
    }
}

/// The message may quote a value of any length; the place is what helps.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.char_indices().nth(200) {
        None => text,
        Some((end, _)) => format!("{}… at line {} column {}", &text[..end], error.line(), error.column()),
    }
}
