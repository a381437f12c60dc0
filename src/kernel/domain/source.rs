//! Kinds of sources of alerts, and the words in which their alerts are put. Intake writes them, triggers read them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which triggers may accept an alert; also the name of a source that gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// What older records do not name.
    #[default]
    Alertmanager,
    Zabbix,
    /// Any other, read as the configuration says.
    Generic,
}

/// Zabbix's severities by number; their names there can be changed, these cannot.
pub const ZABBIX_SEVERITIES: [&str; 6] =
    ["not_classified", "information", "warning", "average", "high", "disaster"];
/// A label of Zabbix may have several values, each on a line of its own.
pub const VALUES_APART: char = '\n';
/// The format of a delivery that nobody sent: its source was asked.
pub const FOUND: &str = "zabbix_found";
/// A label that stands for all tags of an alert: they are not known.
pub const TAGS_UNKNOWN: &str = "tags_unknown";

impl SourceKind {
    pub const ALL: [SourceKind; 3] = [SourceKind::Alertmanager, SourceKind::Zabbix, SourceKind::Generic];

    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Alertmanager => "alertmanager",
            SourceKind::Zabbix => "zabbix",
            SourceKind::Generic => "generic",
        }
    }

    pub fn of(name: &str) -> Option<SourceKind> {
        SourceKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The label that is the alert's name.
    pub fn name_label(self) -> &'static str {
        match self {
            SourceKind::Alertmanager | SourceKind::Generic => "alertname",
            SourceKind::Zabbix => "name",
        }
    }

    pub fn is_default(&self) -> bool {
        *self == SourceKind::default()
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
