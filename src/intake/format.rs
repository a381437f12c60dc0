//! Which parser reads a delivery's bytes. The hook chooses it by its path; triage finds its name on record, so that both
//! read the same bytes alike.

use super::generic::Mode;
use super::{Delivery, IntakeError, alertmanager, generic, zabbix};
use crate::config::Generic;
use crate::kernel::domain::{FOUND, SourceKind};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Alertmanager,
    /// One message of our media type.
    Zabbix,
    /// The lines of a connector, of Zabbix 6.4 and later.
    ZabbixStream,
    /// What Zabbix answered when we asked: nobody sent it.
    ZabbixFound,
    /// A body of any sender, with what was understood of it.
    Generic,
}

impl Format {
    const ALL: [Format; 5] =
        [Format::Alertmanager, Format::Zabbix, Format::ZabbixStream, Format::ZabbixFound, Format::Generic];

    /// As it stands on record.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Alertmanager => "alertmanager",
            Format::Zabbix => "zabbix",
            Format::ZabbixStream => "zabbix_stream",
            Format::ZabbixFound => FOUND,
            Format::Generic => "generic",
        }
    }

    pub fn of(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// A file with a body as such a source sends it. `generic`: how that source is described, where it is one of those.
    pub fn read_file(
        kind: SourceKind,
        generic: Option<&Generic>,
        body: &[u8],
    ) -> Result<Delivery, IntakeError> {
        let format = match (kind, generic) {
            (SourceKind::Generic, Some(generic)) => {
                // In a file there are no headers: an event is whole.
                let mode = if generic.cloudevents { Mode::Structured } else { Mode::Plain };
                let understood = generic::understand(generic, body, &mode)?;
                return understood.failed.map_or(Ok(understood.delivery), Err);
            }
            (SourceKind::Generic, None) => Format::Generic,
            (SourceKind::Alertmanager, _) => Format::Alertmanager,
            // A connector's lines are told by what they are.
            (SourceKind::Zabbix, _) if zabbix::looks_streamed(body) => Format::ZabbixStream,
            (SourceKind::Zabbix, _) => Format::Zabbix,
        };
        format.parse(body)
    }

    pub fn kind(self) -> SourceKind {
        match self {
            Format::Alertmanager => SourceKind::Alertmanager,
            Format::Zabbix | Format::ZabbixStream | Format::ZabbixFound => SourceKind::Zabbix,
            Format::Generic => SourceKind::Generic,
        }
    }

    /// All of the body, or the reason why none of it.
    pub fn parse(self, body: &[u8]) -> Result<Delivery, IntakeError> {
        match self {
            Format::Alertmanager => alertmanager::parse(body),
            Format::Zabbix => zabbix::parse(body),
            Format::ZabbixStream => zabbix::parse_stream(body),
            Format::ZabbixFound => zabbix::parse_found(body),
            Format::Generic => generic::parse(body),
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
        assert_eq!(Format::of("of tomorrow"), None);
    }
}
