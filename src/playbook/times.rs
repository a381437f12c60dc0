//! Do the times of a playbook fit together: what is waited for is not longer than the wait.

use super::model::{Playbook, Step, Way};
use crate::document::{Sink, code};
use crate::kernel::domain::{ItemRole, Limits, Span};
use crate::units;
use serde_json::Value;

pub(super) fn check(sink: &Sink, playbook: &Playbook) {
    for trigger in &playbook.triggers {
        if let Some(limit) = playbook.unconfirmed_after.filter(|limit| trigger.confirmed_for >= *limit) {
            let says = format!(
                "confirmed_for ({}) is not shorter than unconfirmed_after ({limit}): it could never start a run",
                trigger.confirmed_for
            );
            sink.error(code::TIMES, trigger.at.clone(), says);
        }
    }
    for step in &playbook.steps {
        for way in &step.ways {
            for key in ["within", "timeout"] {
                inner(sink, step, way, key);
            }
        }
    }
    verify_outlasts_ttl(sink, playbook);
    deadline(sink, playbook);
}

fn fixed_span(way: &Way, key: &str) -> Option<Span> {
    let (_, with, _) = way.action()?;
    units::parse_span(with.get(key)?.fixed()?.as_str()?).ok()
}

fn inner(sink: &Sink, step: &Step, way: &Way, key: &str) {
    let (Some(outer), Some(inner)) = (step.timeout, fixed_span(way, key)) else { return };
    if inner > outer {
        let says = format!("{key} ({inner}) is longer than the step's own timeout ({outer})");
        let at = way.action().map_or(way.at.clone(), |(_, _, args)| args.value_at(key));
        sink.error(code::TIMES, at, says);
    }
}

/// A check through real resolvers may see the old address for as long as it was told to keep it.
fn verify_outlasts_ttl(sink: &Sink, playbook: &Playbook) {
    let ttl = |way: &Way| way.action()?.1.get("ttl")?.fixed().and_then(Value::as_u64).map(Span::secs);
    let waits = |way: &Way| way.action().and_then(|(_, with, _)| with.get("wait_ttl")?.fixed()?.as_bool());
    let dns = playbook.steps.iter().flat_map(|step| &step.ways).filter(|way| way.sets_records());
    // A step that waits for caches leaves none behind.
    let dns = dns.filter(|way| waits(way) != Some(true));
    let Some(ttl) = dns.filter_map(ttl).max() else { return };
    for (_, step) in playbook.of_role(ItemRole::Verify) {
        let Some(way) = step.way("http.expect") else { continue };
        let pinned = way.action().is_some_and(|(_, with, _)| with.get("resolve_to").is_some());
        let within = step.timeout.or_else(|| fixed_span(way, "within")).unwrap_or(Span::secs(60));
        if !pinned && within <= ttl {
            let says = format!(
                "this may look for {within} only, but resolvers keep the old address for up to {ttl}"
            );
            sink.warn(
                code::VERIFY_SHORTER_THAN_TTL,
                step.at.clone(),
                says,
                "make \"within\" longer than the TTL",
            );
        }
    }
}

/// The longest chain of time-outs against the deadline of the whole run.
fn deadline(sink: &Sink, playbook: &Playbook) {
    let most = Limits::default().deadline;
    let mut ends: Vec<u64> = vec![0; playbook.steps.len()];
    for index in super::order::sorted(playbook) {
        let step = &playbook.steps[index];
        let start = step.after.iter().map(|before| ends[*before]).max().unwrap_or(0);
        let default = step.ways.iter().filter_map(|way| way.action()).map(|(info, ..)| info.timeout).max();
        // A person's time is not reckoned.
        let own = step.timeout.or(default).unwrap_or(Span::ZERO);
        ends[index] = if step.role == ItemRole::Guard { 0 } else { start.saturating_add(own.0) };
    }
    if let Some(longest) = ends.into_iter().max().map(Span).filter(|longest| *longest > most) {
        let says =
            format!("the time-outs add up to {longest}; a run is stopped {most} after its first change");
        let at = playbook.places.top.clone();
        sink.warn(code::TIMES, at, says, "shorten the time-outs of the longest chain of steps");
    }
}
