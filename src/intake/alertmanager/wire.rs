//! The JSON as it comes. Every field may be missing or null; unknown ones are passed over. Only what must be known is
//! judged, by the caller.

use super::super::IntakeError;
use super::super::wire::faulty;
use serde::Deserialize;
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

pub(super) fn read(body: &[u8]) -> Result<WireMessage, IntakeError> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    match serde_json::from_slice(body) {
        // Derived structs also read a list, field by field; a list is never this message.
        Ok(_) if first == Some(&b'[') => Err(IntakeError::WrongShape { why: "it is a list".into() }),
        Ok(message) => Ok(message),
        Err(error) => Err(faulty(&error, |why| IntakeError::WrongShape { why })),
    }
}
