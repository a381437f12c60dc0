//! What the runs of the past allow the next automatic one: the service's own cooldown and budget, and the budget of
//! the whole instance. Pure: runs in, reasons out.

use crate::config::Storm;
use crate::kernel::domain::{Name, Reason, RunId, Span, Time};
use crate::units::counted;

pub const HOUR: Span = Span::mins(60);
const DAY: Span = Span::mins(24 * 60);
/// With fewer sick services than this, a share says nothing.
const FEWEST_SICK: u32 = 3;

/// A run as limits see it.
#[derive(Clone, Debug)]
pub struct Past {
    pub run: RunId,
    pub service: Name,
    /// An alert opened it, and nobody was asked.
    pub automatic: bool,
    /// Its first change was begun.
    pub changed: bool,
    pub opened: Time,
    pub ended: Option<Time>,
}

/// A playbook's own limits.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    pub cooldown: Span,
    pub per_day: u32,
}

/// How many services have an alert that a playbook waits for, out of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sick {
    pub sick: u32,
    pub of: u32,
}

/// When a person last reset the breaker, and how many services were sick then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    pub at: Time,
    pub sick: u32,
}

/// The last run that changed something, if any: whoever started it.
pub fn last_change<'a>(runs: &[&'a Past]) -> Option<(&'a Past, Time)> {
    let ended = |run: &&'a Past| Some((*run, run.ended.filter(|_| run.changed)?));
    runs.iter().filter_map(ended).max_by_key(|(_, ended)| *ended)
}

/// The last automatic run that changed something, which a person has to have seen since.
pub fn unseen(runs: &[&Past], seen: Option<Time>) -> Option<RunId> {
    let automatic: Vec<&Past> = runs.iter().copied().filter(|run| run.automatic).collect();
    let (last, ended) = last_change(&automatic)?;
    seen.is_none_or(|seen| seen < ended).then(|| last.run.clone())
}

/// What stands against an automatic run of a service whose runs these are.
pub fn of_service(runs: &[&Past], own: Own, seen: Option<Time>, now: Time) -> Vec<Reason> {
    let mut why = vec![];
    if let Some((last, ended)) = last_change(runs)
        && now < ended + own.cooldown
    {
        let (ago, until) = (now.since(ended), ended + own.cooldown);
        let says =
            format!("run {} ended {ago} ago; the cooldown of {} lasts until {until}", last.run, own.cooldown);
        why.push(Reason::new("PM5411", says));
    }
    if let Some(run) = unseen(runs, seen) {
        let says = format!(
            "nobody has acknowledged the automatic run {run}: `pointsman ack SERVICE` says that a person has seen it"
        );
        why.push(Reason::new("PM5412", says));
    }
    let counts = |run: &&&Past| run.automatic && (run.changed || run.ended.is_none());
    let today = runs.iter().filter(counts).filter(|run| now.since(run.opened) < DAY).count();
    if today >= own.per_day as usize {
        let runs = counted(today, "automatic run");
        let says = format!("{runs} within 24 h; per_day allows {}", own.per_day);
        why.push(Reason::new("PM5413", says));
    }
    why
}

/// Why the breaker must trip before one more automatic run opens.
pub fn storm(runs: &[Past], storm: Storm, reset: Option<Reset>, sick: Sick, now: Time) -> Vec<Reason> {
    let mut why = vec![];
    let since = reset.map_or(Time(i64::MIN), |reset| reset.at);
    let recent = |run: &&Past| run.automatic && run.opened > since && now.since(run.opened) < HOUR;
    let opened = runs.iter().filter(recent).count();
    if opened >= storm.per_hour as usize {
        let says = format!(
            "{} within the hour, and one more is due; per_hour is {}",
            counted(opened, "automatic run"),
            storm.per_hour
        );
        why.push(Reason::new("PM5417", says));
    }
    // Those that a person has seen when resetting trip nothing again within the hour.
    let known = reset.filter(|reset| now.since(reset.at) < HOUR).map_or(0, |reset| reset.sick);
    let too_many = u64::from(sick.sick) * 100 > u64::from(sick.of) * u64::from(storm.sick_share);
    if too_many && sick.sick >= FEWEST_SICK && sick.sick > known {
        let says = format!(
            "{} of {} services are sick at once; sick_share is {}%",
            sick.sick, sick.of, storm.sick_share
        );
        why.push(Reason::new("PM5418", says));
    }
    why
}

/// Automatic runs that are open are as many as may be: the next one waits, and nothing trips.
pub fn full(runs: &[Past], storm: Storm) -> Option<Reason> {
    let open: Vec<&str> =
        runs.iter().filter(|run| run.automatic && run.ended.is_none()).map(|run| run.run.as_str()).collect();
    let says = || {
        format!(
            "{} automatic runs are open ({}); concurrent allows {}",
            open.len(),
            open.join(", "),
            storm.concurrent
        )
    };
    (open.len() >= storm.concurrent as usize).then(|| Reason::new("PM5415", says()))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
