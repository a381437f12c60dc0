//! Which parser reads a delivery's bytes. The hook chooses it by its path; triage finds its name on record, so that both
//! read the same bytes alike.

use super::{Delivery, IntakeError, alertmanager, zabbix};
use crate::kernel::domain::SourceKind;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Alertmanager,
    /// One message of our media type.
    Zabbix,
    /// The lines of a connector, of Zabbix 6.4 and later.
    ZabbixStream,
}

impl Format {
    const ALL: [Format; 3] = [Format::Alertmanager, Format::Zabbix, Format::ZabbixStream];

    /// As it stands on record.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Alertmanager => "alertmanager",
            Format::Zabbix => "zabbix",
            Format::ZabbixStream => "zabbix_stream",
        }
    }

    pub fn of(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// A file with a body of such a source; a connector's lines are told by what they are.
    pub fn of_file(kind: SourceKind, body: &[u8]) -> Format {
        match kind {
            SourceKind::Alertmanager => Format::Alertmanager,
            SourceKind::Zabbix if zabbix::looks_streamed(body) => Format::ZabbixStream,
            SourceKind::Zabbix => Format::Zabbix,
        }
    }

    pub fn kind(self) -> SourceKind {
        match self {
            Format::Alertmanager => SourceKind::Alertmanager,
            Format::Zabbix | Format::ZabbixStream => SourceKind::Zabbix,
        }
    }

    /// All of the body, or the reason why none of it.
    pub fn parse(self, body: &[u8]) -> Result<Delivery, IntakeError> {
        match self {
            Format::Alertmanager => alertmanager::parse(body),
            Format::Zabbix => zabbix::parse(body),
            Format::ZabbixStream => zabbix::parse_stream(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_record_is_read_again() {
        for format in Format::ALL {
            assert_eq!(Format::of(format.as_str()), Some(format));
        }
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(Format::of("generic"), None);
    }
}
