//! A delivery of alerts, as the journal names it: where it came from, how its bytes are read, where they lie. Intake writes it,
//! triage reads it.

use super::{Digest, FOUND, Name};
use serde::{Deserialize, Serialize};

/// A webhook body as it came; the bytes lie in the content-addressed table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    pub source: Name,
    /// Which parser reads the bytes: `alertmanager`, `zabbix`, `zabbix_stream`, `zabbix_found`, `generic`.
    pub format: Name,
    pub digest: Digest,
    pub bytes: u64,
    pub alerts: u32,
    /// Alerts cut away by the sender; the message is incomplete.
    pub truncated: u64,
    /// The peer address, for the record only.
    pub peer: String,
    /// Why nothing of it could be understood, although it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

impl Delivered {
    /// Nobody sent it: the source was asked.
    pub fn was_asked_for(&self) -> bool {
        self.format.as_str() == FOUND
    }
}
