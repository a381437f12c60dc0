//! What a life may come to: as the undisturbed one did, or stopped for a person with nothing made twice. Called by the
//! crash matrix, here and in the tests that plant mistakes.

use super::life::Story;
use super::space::Life;
use crate::kernel::domain::Outcome;
use crate::kernel::sim::End;
use crate::simulated::world::Watch;
use std::collections::BTreeSet;

pub enum Verdict {
    Good,
    Bad(String),
}

/// `calm` is the undisturbed run of the same plot.
pub fn judge(story: &Story, calm: &Story, life: &Life) -> Verdict {
    match wrong(story, calm, life) {
        Some(why) => Verdict::Bad(format!("{why}\n  end {:?}\n  effects {:?}", story.end, story.effects)),
        None => Verdict::Good,
    }
}

fn wrong(story: &Story, calm: &Story, life: &Life) -> Option<String> {
    if let Some((call, what)) = story.watch.violations.iter().find(|(call, _)| !in_the_window(story, *call)) {
        return Some(format!("at call {call}: {what}"));
    }
    // A zone that two steps write to is updated twice in the undisturbed run, too.
    let most = |what: &str| calm.effects.get(what).copied().unwrap_or(1).max(1);
    if let Some((what, count)) = story.effects.iter().find(|(what, count)| **count > most(what)) {
        return Some(format!("{what}: {count} times"));
    }
    if let Some(what) = story.effects.keys().find(|what| !is_on_record(story, what)) {
        return Some(format!("{what}, and no intent of it is on record"));
    }
    match &story.end {
        Ok(End::Finished(Outcome::Succeeded)) => not_as_calm(story, calm, life),
        // Users are served, and a person accepted that something was left out.
        end @ Ok(End::Finished(Outcome::Partial)) if *end == calm.end => not_as_calm(story, calm, life),
        Ok(End::Finished(Outcome::Undone | Outcome::Cancelled | Outcome::Failed | Outcome::Refused)) => {
            let same = story.standing == story.before || life.hand.is_some();
            (!same).then(|| format!("not as before the run: {:?}", story.standing))
        }
        Ok(End::Waits(says)) if says.starts_with("held") && !story.effects.is_empty() => {
            Some("held, with changes made".into())
        }
        Ok(End::Waits(says)) => {
            let known = ["held", "parked", "waits for a person"].iter().any(|word| says.starts_with(word));
            (!known).then(|| "it neither ends nor asks".into())
        }
        Ok(End::Finished(_)) | Err(_) => Some("a wrong end".into()),
    }
}

/// What was done was written down before, and still is.
fn is_on_record(story: &Story, effect: &str) -> bool {
    let at = effect.split(' ').next().unwrap_or_default();
    story.intents.iter().any(|(kind, target)| target == at || (at == "zone" && kind.ends_with(".record")))
}

/// Neither PostgreSQL nor Redis has a compare-and-set between two servers, nor Patroni one between two clusters: what
/// somebody does after the last look at the old primary, right before the signal, cannot be seen in time. Anything that
/// was done before that look must be.
pub fn in_the_window(story: &Story, violation: usize) -> bool {
    in_the_window_of(&story.watch, violation)
}

pub fn in_the_window_of(watch: &Watch, violation: usize) -> bool {
    let last =
        |verb: &str, before: usize| watch.calls.iter().take(before).rposition(|(called, _)| called == verb);
    let after_the_look = |(tells, looks): (&str, &str)| {
        let look = last(tells, violation + 1).and_then(|told| last(looks, told));
        matches!((watch.touched, look), (Some(touched), Some(look)) if touched > look)
    };
    [
        ("postgres.signal_promote", "postgres.node"),
        ("redis.promote", "redis.node"),
        ("redis.hand_over", "redis.node"),
        ("redis.sentinel_failover", "redis.node"),
        ("patroni.follow", "patroni.look"),
        ("patroni.order", "patroni.look"),
    ]
    .into_iter()
    .any(after_the_look)
}

/// Success is success only as in the undisturbed run. What somebody changes by hand may stand in for a change of ours,
/// or come after our last look at it.
fn not_as_calm(story: &Story, calm: &Story, life: &Life) -> Option<String> {
    let in_the_window = !story.watch.violations.is_empty();
    let lost = story.lost.is_some_and(|bytes| bytes > 0) && !in_the_window;
    if lost && story.rpo.as_ref().is_some_and(|rpo| rpo.says.contains("nothing is lost")) {
        return Some(format!("{:?} bytes are lost, and it says {:?}", story.lost, story.rpo));
    }
    let drained = !story.effects.keys().any(|what| what.ends_with(" fence"));
    if lost && drained && story.watch.promoted_by_hand.is_empty() {
        return Some(format!("{:?} bytes that were accepted before a lockout are lost", story.lost));
    }
    if life.hand.is_some() {
        return None;
    }
    if once(story) != once(calm) {
        return Some("not every change was made exactly once".into());
    }
    let same_fence = story.effects == calm.effects;
    (same_fence && story.standing != calm.standing)
        .then(|| format!("another end state: {:?}", story.standing))
}

/// What was done, however the old primary was fenced: a ladder may take another rung when one does not answer.
fn once(story: &Story) -> BTreeSet<&str> {
    let ways = [" fence", " pg_hba written", " writes refused"];
    let fence = |what: &str| ways.iter().any(|way| what.ends_with(way));
    story.effects.keys().map(|what| if fence(what) { "the fence" } else { what.as_str() }).collect()
}
