//! From a sender's bytes to alerts, and from alerts to occurrences. Pure: `http` hands in bytes that it has already
//! authenticated, and triage reads the same bytes again from the journal; both get the same answer.

pub mod alertmanager;
mod error;
mod format;
pub mod generic;
pub mod occurrence;
pub mod signature;
mod time;
mod wire;
pub mod zabbix;

pub use error::IntakeError;
pub use format::Format;

use crate::kernel::domain::Time;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Firing,
    Resolved,
    /// Its source will not say how it ends: nothing may start for it any more.
    Withdrawn,
}

/// One alert of a delivery. A group may hold firing and resolved ones side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Opaque identity of the alert at its source.
    pub fingerprint: String,
    pub status: Status,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// When it began. `None`: the source does not say it in a way that can be read, and the arrival stands in.
    pub starts: Option<Time>,
    /// When it ended, as the source says. Never set while firing.
    pub ends: Option<Time>,
    /// The source gives every outage an identity of its own: one that was closed never fires again, whatever the times say.
    pub once: bool,
    pub generator: String,
}

/// One message of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The receiver as its owner wrote it.
    pub receiver: String,
    /// Changes when the sender's configuration changes: never an identity.
    pub group_key: String,
    /// The replica that sent it: for links, never an identity.
    pub external_url: String,
    /// Alerts that the sender cut away. They are nowhere in the body, so nothing may be inferred from absence.
    pub truncated: u64,
    /// Why it was sent, as newer senders say; or why nothing of it is an alert.
    pub reason: Option<String>,
    pub alerts: Vec<Alert>,
}
