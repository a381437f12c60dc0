//! The words of the test language, each with what it stands for: one table each, so that the reader, the messages and the
//! documentation say the same.

use super::model::{FaultKind, Says};
use crate::kernel::domain::Outcome;
use crate::simulated::world::{Hand, Patroni, Sentinels, Standby};

pub const HANDS: [(&str, Hand); 7] = [
    ("start the old primary", Hand::StartOld),
    ("promote the standby", Hand::PromoteNew),
    ("take the fence back", Hand::UnfenceOld),
    ("edit the file", Hand::EditFile),
    ("restart the app", Hand::RestartApp),
    ("move DNS", Hand::MoveDns),
    ("resolve the alert", Hand::Resolve),
];

/// What there is to promote when the alert comes.
pub const STANDBYS: [(&str, Standby); 5] = [
    ("streams", Standby::Follows),
    ("down", Standby::Down),
    ("never synced", Standby::NeverSynced),
    ("emptied", Standby::Emptied),
    ("other data", Standby::OtherData),
];

/// How the old primary stands.
pub const PRIMARY: [&str; 3] = ["alive", "killed", "hangs"];

/// How Patroni goes about it.
pub const PATRONI: [(&str, Patroni); 4] = [
    ("runs", Patroni::Runs),
    ("paused", Patroni::Paused),
    ("hangs", Patroni::Hangs),
    ("elects", Patroni::Elects),
];

/// How the Sentinels go about it.
pub const SENTINELS: [(&str, Sentinels); 9] = [
    ("agree", Sentinels::Agree),
    ("one silent", Sentinels::OneSilent),
    ("silent", Sentinels::Silent),
    ("no quorum", Sentinels::NoQuorum),
    ("elect", Sentinels::Elect),
    ("elect another", Sentinels::ElectAnother),
    ("may take another", Sentinels::MayTakeAnother),
    ("take another", Sentinels::TakeAnother),
    ("give up", Sentinels::GiveUp),
];

pub const POWER_OFF: &str = "power off the old primary";

pub const FAULTS: [(&str, FaultKind); 8] = [
    ("fail", FaultKind::Fail),
    ("refuse", FaultKind::Refuse),
    ("timeout", FaultKind::Timeout),
    ("timeout after applied", FaultKind::TimeoutAfterApplied),
    ("stale read", FaultKind::StaleRead),
    ("crash", FaultKind::Crash),
    ("crash after applied", FaultKind::CrashAfterApplied),
    ("gap", FaultKind::Gap),
];

pub const BY_HAND: &str = "changed by hand";

pub const SAYS: [(&str, Says); 10] = [
    ("approve", Says::Approve),
    ("approve alone", Says::ApproveAlone),
    ("pass", Says::Pass),
    ("accept unfenced", Says::AcceptUnfenced),
    ("reject", Says::Reject),
    ("confirm", Says::Confirm),
    ("retry", Says::Retry),
    ("skip", Says::Skip),
    ("abort", Says::Abort),
    ("close", Says::Close),
];

/// Outcomes of a run, and how a story ends that is none.
pub const ENDINGS: [&str; 13] = [
    Outcome::Succeeded.as_str(),
    Outcome::Unchanged.as_str(),
    Outcome::Refused.as_str(),
    Outcome::Cancelled.as_str(),
    Outcome::Failed.as_str(),
    Outcome::Partial.as_str(),
    Outcome::Undone.as_str(),
    Outcome::Unknown.as_str(),
    "not started",
    "observed",
    "held",
    "waits",
    "parked",
];

/// How a step can stand in the end.
pub const STEPS: [&str; 9] = [
    "done",
    "already right",
    "skipped",
    "given up",
    "parked",
    "in doubt",
    "waits",
    "taken back",
    "not begun",
];

pub fn of<T: Copy>(table: &[(&'static str, T)], word: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

pub fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}
