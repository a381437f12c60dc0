//! What triage knows of one open occurrence of an alert.

use crate::kernel::domain::{
    Digest, Name, OccurrenceId, PlaybookVerdict, Position, Reason, RunId, Span, Time,
};
use crate::playbook::AlertView;

#[derive(Clone, Debug)]
pub struct Open {
    pub id: OccurrenceId,
    pub source: Name,
    pub alert: AlertView,
    pub labels: serde_json::Value,
    /// As the source says.
    pub started: Time,
    pub delivered: Time,
    pub delivery: Position,
    /// The service that the playbook it started, or would start, moves.
    pub service: Option<Name>,
    pub state: State,
}

#[derive(Clone, Debug)]
pub enum State {
    /// Nothing was decided yet.
    New,
    Confirming(Confirming),
    /// No for now: a lock, a freeze, a limit. Looked at again at that time; before anything starts, its source is too.
    Waits {
        until: Time,
        /// Codes of the reasons that are on record.
        said: Vec<String>,
    },
    /// A dry plan is under way, for a playbook that only observes.
    Observing,
    /// It belongs to this run, for good.
    Attached(RunId),
    /// It started nothing, and the reasons are on record.
    Settled,
}

#[derive(Clone, Debug)]
pub struct Confirming {
    pub playbook: Name,
    /// Of the playbook that began it: another form decides anew.
    pub form: Digest,
    /// Confirmed without a break since.
    pub since: Time,
    pub begun: Time,
    pub hold: Span,
    pub give_up: Time,
    pub next_look: Time,
    /// The last look that confirmed it; a longer pause breaks the hold-down.
    pub last_yes: Time,
    pub looking: bool,
    pub last: String,
    /// It was held before; not knowing is then no reason to wait on where nothing had to be confirmed.
    pub again: bool,
}

/// Far beyond the bounds of a look.
const LOST_LOOK: Span = Span::secs(60);

impl Open {
    /// Its service has a problem that a playbook waits for.
    pub fn is_sick(&self) -> bool {
        self.service.is_some() && !matches!(self.state, State::Settled)
    }

    /// When triage has to look at it even if nothing is delivered.
    pub fn due(&self) -> Option<Time> {
        match &self.state {
            State::New => Some(Time(0)),
            // A look that never came back is taken again: an alert must not be forgotten.
            State::Confirming(c) if c.looking => Some(c.next_look + LOST_LOOK),
            State::Confirming(c) => Some(c.next_look),
            State::Waits { until, .. } => Some(*until),
            State::Observing | State::Attached(_) | State::Settled => None,
        }
    }
}

/// How often a confirmation looks: five times in the hold, but not more than each second nor less than each five.
pub fn pace(hold: Span) -> Span {
    Span((hold.0 / 5).clamp(Span::secs(1).0, Span::secs(5).0))
}

pub fn verdict(playbook: &Name, matched: bool, code: &str, says: impl Into<String>) -> PlaybookVerdict {
    PlaybookVerdict { playbook: playbook.clone(), matched, why: Reason::new(code, says) }
}

/// A pause between two confirming looks that is longer than this is silence, and silence is no evidence: a clock
/// that jumped, a machine that slept, a source that hung.
pub fn longest_pause(hold: Span) -> Span {
    Span(pace(hold).0 + Span::secs(5).0)
}
