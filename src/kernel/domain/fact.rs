//! What a step promises or has proven. Needs and gives are facts; the engine refuses an intent with an unproven need.

use super::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How surely a node can no longer accept a write, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceRung {
    /// Unreachable, refused, timed out: nothing is proven, whatever any number of probes say.
    None,
    /// `default_transaction_read_only`: a client can undo it.
    ReadOnly,
    /// Client paths are refused by the server itself.
    Lockout,
    /// Stopped and masked.
    Stopped,
    PoweredOff,
}

impl FenceRung {
    pub fn as_str(self) -> &'static str {
        match self {
            FenceRung::None => "none",
            FenceRung::ReadOnly => "read_only",
            FenceRung::Lockout => "lockout",
            FenceRung::Stopped => "stopped",
            FenceRung::PoweredOff => "powered_off",
        }
    }
    pub fn parse(text: &str) -> Option<FenceRung> {
        [FenceRung::None, FenceRung::ReadOnly, FenceRung::Lockout, FenceRung::Stopped, FenceRung::PoweredOff]
            .into_iter()
            .find(|rung| rung.as_str() == text)
    }
}

impl fmt::Display for FenceRung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A position in PostgreSQL's write-ahead log, in bytes. Only comparable on one timeline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Lsn(pub u64);

impl Lsn {
    pub fn parse(text: &str) -> Option<Lsn> {
        let (high, low) = text.split_once('/')?;
        let half = |s: &str| u32::from_str_radix(s, 16).ok();
        Some(Lsn((u64::from(half(high)?) << 32) | u64::from(half(low)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

impl TryFrom<String> for Lsn {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Lsn::parse(&text).ok_or_else(|| format!("not a log position: {text:?}"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// `target` can no longer accept writes. `position` is its last log position, where it could be read.
    Fenced { target: Name, rung: FenceRung, position: Option<Lsn> },
    /// `target` is the writable primary of this lineage (system identifier).
    Primary { target: Name, lineage: String },
    /// The probes of an origin guard say by a majority of vantages that `site` is down.
    Down { site: Name },
    /// `by` is a writable primary of the same data on a newer timeline: whatever `target` accepts is lost work.
    Superseded { target: Name, by: Name },
    /// A person asked for a planned move of this service: its living primary may be fenced. Only ever given by the engine,
    /// to a run of kind switchover that a person opened; never a need, and nothing that a check could prove.
    Planned { service: Name },
    /// What stands at this address, or has this name, answers as it should: users may be sent there.
    Live { at: String },
    /// Users are served at `site`.
    Serves { site: Name },
    /// An earlier step will rewrite `file` on `target`, and has not yet: what reads it will not be current.
    /// Only ever promised; once proven, checks see it for themselves.
    Rendered { target: Name, file: String },
    /// This run itself intended `to` at `target` and is finding out whether it happened. Never a need.
    Ours { target: Name, to: serde_json::Value },
}

impl Fact {
    /// Whether `self`, proven or promised, is enough for `need`. A stronger fence meets a weaker need; the
    /// position is evidence, never part of a need.
    pub fn meets(&self, need: &Fact) -> bool {
        match (self, need) {
            (Fact::Fenced { target, rung, .. }, Fact::Fenced { target: needed, rung: least, .. }) => {
                target == needed && rung >= least && *rung > FenceRung::None
            }
            _ => self == need,
        }
    }

    /// The fact without its measurements: what the plan's digest covers.
    pub fn normalised(&self) -> Fact {
        match self {
            Fact::Fenced { target, rung, .. } => {
                Fact::Fenced { target: target.clone(), rung: *rung, position: None }
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Fenced { target, rung, .. } => write!(f, "{target} fenced at least to {rung}"),
            Fact::Primary { target, .. } => write!(f, "{target} is the primary"),
            Fact::Down { site } => write!(f, "{site} is down by a majority of vantages"),
            Fact::Superseded { target, by } => write!(f, "{target} is superseded by {by}"),
            Fact::Planned { service } => write!(f, "a person asked for a planned move of {service}"),
            Fact::Live { at } => write!(f, "{at} answers"),
            Fact::Serves { site } => write!(f, "{site} serves users"),
            Fact::Rendered { target, file } => write!(f, "{file} on {target} is rewritten"),
            Fact::Ours { target, .. } => write!(f, "this run intended the change of {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fenced(rung: FenceRung) -> Fact {
        Fact::Fenced { target: "pg".into(), rung, position: None }
    }

    #[test]
    fn a_stronger_fence_meets_a_weaker_need_and_none_meets_nothing() {
        assert!(fenced(FenceRung::Stopped).meets(&fenced(FenceRung::Lockout)));
        assert!(!fenced(FenceRung::ReadOnly).meets(&fenced(FenceRung::Lockout)));
        assert!(!fenced(FenceRung::None).meets(&fenced(FenceRung::None)));
    }

    #[test]
    fn log_positions_round_trip() {
        let lsn = Lsn::parse("1A/3000778").unwrap();
        assert_eq!(lsn.to_string(), "1A/3000778");
        assert!(Lsn::parse("zz").is_none());
    }
}
