//! What a record can be asked by: its named columns, and the words of its sentence and labels. The index keeps them;
//! nothing here is kept in the journal.

use super::Word;
use crate::kernel::domain::{
    Actor, CallResult, Cause, FenceWatchState, ItemId, Record, Resolved, Stamped, StepPlan, Stream, Via,
    WindowState,
};
use crate::kernel::engine::tell::tell;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// One record's named columns. None: it has no such thing, and no value fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets([Option<String>; Word::ALL.len()]);

impl Facets {
    pub fn get(&self, word: Word) -> Option<&str> {
        self.0[word as usize].as_deref()
    }

    fn set(&mut self, word: Word, value: impl ToString) -> &mut Facets {
        self.0[word as usize] = Some(value.to_string());
        self
    }

    fn by(&mut self, actor: &Actor) -> &mut Facets {
        self.set(Word::Actor, &actor.name).set(Word::Via, actor.via.as_str())
    }
}

/// How a call ended, in one word.
pub fn call_result(result: CallResult) -> &'static str {
    match result {
        CallResult::Applied => "applied",
        CallResult::Rejected { .. } => "rejected",
        CallResult::Indeterminate => "indeterminate",
    }
}

/// `run` is what the record's run was opened with, where it has one.
pub fn facets(stamped: &Stamped, run: Option<&Resolved>) -> Facets {
    let mut facets = Facets::default();
    facets.set(Word::Action, stamped.record.kind());
    match &stamped.stream {
        Stream::Run(id) => facets.set(Word::Run, id),
        Stream::Source(name) | Stream::Alerts(name) => facets.set(Word::Source, name),
        Stream::Service(name) => facets.set(Word::Service, name),
        Stream::Playbook(name) => facets.set(Word::Playbook, name),
        Stream::Instance => &mut facets,
    };
    let opened = if let Record::Opened(spec) = &stamped.record { Some(&**spec) } else { run };
    if let Some(run) = opened {
        facets.set(Word::Playbook, &run.playbook).set(Word::Service, &run.service);
    }
    of_step(&mut facets, &stamped.record, run);
    facets
}

/// Records that speak of one item of a run; the others are handed on. The last in the row names every kind that is left.
fn of_step(facets: &mut Facets, record: &Record, run: Option<&Resolved>) {
    let mut item = |id: ItemId, rung: u8| {
        let item = run.and_then(|run| run.items.get(usize::from(id)));
        match item {
            Some(item) => facets.set(Word::Object, &item.name),
            None => facets.set(Word::Object, format!("step {id}")),
        };
        if let Some(spec) = item.and_then(|i| i.rungs.get(usize::from(rung))).and_then(|r| r.form.spec()) {
            facets.set(Word::Target, &spec.target);
        }
    };
    match record {
        Record::Observed { item: id, rung, seen, plan, .. } => {
            item(*id, *rung);
            let result = match (seen, plan) {
                (Err(_), _) => "not_seen",
                (Ok(_), StepPlan::Nothing { .. }) => "right",
                (Ok(_), StepPlan::Change(_)) => "change",
                (Ok(_), StepPlan::Refuse(_)) => "refused",
                (Ok(_), StepPlan::Unknown(_)) => "unknown",
            };
            facets.set(Word::Result, result);
        }
        Record::Intended { call, spec, .. } => {
            item(call.item, call.rung);
            facets.set(Word::Target, &spec.target);
        }
        Record::Ended { call, end } => {
            item(call.item, call.rung);
            facets.set(Word::Result, call_result(end.result));
        }
        Record::Parked { item: id, doubt, .. } => {
            if let Some(id) = id {
                item(*id, 0);
            }
            facets.set(Word::Result, if *doubt { "unknown" } else { "stopped" });
        }
        Record::Asked { item: Some(id), .. } => item(*id, 0),
        Record::CommitWindow { item: id, state, .. } => {
            if let Some(id) = id {
                item(*id, 0);
            }
            let state = match state {
                WindowState::Drifted => "drifted",
                WindowState::Back => "back",
                WindowState::Over => "over",
            };
            facets.set(Word::Result, state);
        }
        Record::Finished { outcome, .. } => {
            facets.set(Word::Result, outcome);
        }
        Record::Planned(sheet) => {
            facets.set(Word::Object, sheet.digest.short());
        }
        other => of_people(facets, other),
    }
}

fn of_people(facets: &mut Facets, record: &Record) {
    match record {
        Record::Opened(spec) => match &spec.cause {
            Cause::Person { by, .. } => {
                facets.by(by);
            }
            Cause::Alert { occurrences, .. } => {
                if let Some(first) = occurrences.first() {
                    facets.set(Word::Object, first);
                }
            }
        },
        Record::Decided { by, yes, digest, .. } => {
            facets.by(by).set(Word::Result, if *yes { "approved" } else { "rejected" });
            facets.set(Word::Object, digest.short());
        }
        Record::NotOpened { by, playbook, .. } => {
            facets.by(by).set(Word::Playbook, playbook).set(Word::Result, "refused");
        }
        Record::Told { by, .. } | Record::Acknowledged { by, .. } | Record::BreakerReset { by, .. } => {
            facets.by(by);
        }
        Record::Passed { by, digest, .. } => {
            facets.by(by).set(Word::Object, digest.short());
        }
        Record::SignedIn { person, .. } => {
            facets.set(Word::Actor, person).set(Word::Via, Via::Web.as_str());
        }
        Record::Overridden(lifted) => {
            facets.by(&lifted.by).set(Word::Service, &lifted.service).set(Word::Object, lifted.rule);
        }
        Record::OverrideEnded { by, service, rule, .. } => {
            facets.by(by).set(Word::Service, service).set(Word::Object, rule);
        }
        Record::Disabled(disabled) => {
            facets.by(&disabled.by).set(Word::Playbook, &disabled.playbook);
        }
        Record::Enabled { by, playbook, .. } => {
            facets.set(Word::Playbook, playbook);
            if let Some(by) = by {
                facets.by(by);
            }
        }
        Record::Frozen { by, service, .. } => {
            facets.by(by);
            if let Some(service) = service {
                facets.set(Word::Service, service);
            }
        }
        Record::Thawed { by, service, .. } => {
            if let Some(by) = by {
                facets.by(by);
            }
            if let Some(service) = service {
                facets.set(Word::Service, service);
            }
        }
        other => of_the_rest(facets, other),
    }
}

fn of_the_rest(facets: &mut Facets, record: &Record) {
    match record {
        Record::FenceWatch { target, state, by, .. } => {
            let state = match state {
                FenceWatchState::Watching => "watching",
                FenceWatchState::SeenAsStandby => "seen_as_standby",
                FenceWatchState::SeenWritable => "seen_writable",
                FenceWatchState::Closed => "closed",
            };
            facets.set(Word::Target, target).set(Word::Result, state);
            if let Some(by) = by {
                facets.by(by);
            }
        }
        Record::Held { occurrence, playbook, .. } => {
            facets.set(Word::Result, "held");
            if let Some(occurrence) = occurrence {
                facets.set(Word::Object, occurrence);
            }
            if let Some(playbook) = playbook {
                facets.set(Word::Playbook, playbook);
            }
        }
        Record::Joined { occurrence, run, .. } => {
            facets.set(Word::Object, occurrence).set(Word::Run, run);
        }
        Record::NotStarted { occurrence, why, .. } => {
            facets.set(Word::Object, occurrence).set(Word::Result, "not_started");
            // The one playbook that would have started it, where one would.
            if let Some(verdict) = why.iter().find(|verdict| verdict.matched) {
                facets.set(Word::Playbook, &verdict.playbook);
            }
        }
        Record::OccurrenceOpened { occurrence, .. } | Record::OccurrenceClosed { occurrence, .. } => {
            facets.set(Word::Object, occurrence);
        }
        Record::Delivered(delivered) => {
            let via = if delivered.was_asked_for() { Via::Internal.as_str() } else { "webhook" };
            facets.set(Word::Actor, &delivered.source).set(Word::Via, via);
        }
        Record::Loaded { playbook, active, stays, .. } => {
            let result = match (active, stays) {
                (true, _) => "active",
                (false, Some(_)) => "refused",
                (false, None) => "not_active",
            };
            facets.set(Word::Object, playbook).set(Word::Result, result);
        }
        Record::Readiness { playbook, ready, .. } => {
            let result = if *ready { "ready" } else { "not_ready" };
            facets.set(Word::Object, playbook).set(Word::Result, result);
        }
        Record::BreakerTripped { .. } => {
            facets.set(Word::Result, "tripped");
        }
        Record::Heartbeat { silent, .. } => {
            facets.set(Word::Result, if *silent { "silent" } else { "heard" });
        }
        Record::Taken { owner, .. } | Record::Claimed { owner, .. } | Record::Started { owner, .. } => {
            facets.set(Word::Actor, owner).set(Word::Via, Via::Internal.as_str());
        }
        Record::Asked { digest, .. } => {
            facets.set(Word::Object, digest.short());
        }
        Record::Undoing { .. } => {
            facets.set(Word::Result, "undoing");
        }
        Record::Sealed(sealed) => {
            if let Some(by) = &sealed.by {
                facets.by(by);
            }
            facets.set(Word::Object, sealed.before);
        }
        // A clock has nothing but its sentence; the others were taken before it came to this.
        Record::Clock { .. }
        | Record::Observed { .. }
        | Record::Intended { .. }
        | Record::Ended { .. }
        | Record::Parked { .. }
        | Record::CommitWindow { .. }
        | Record::Finished { .. }
        | Record::Planned(_)
        | Record::Opened(_)
        | Record::Decided { .. }
        | Record::NotOpened { .. }
        | Record::Told { .. }
        | Record::Acknowledged { .. }
        | Record::BreakerReset { .. }
        | Record::Passed { .. }
        | Record::SignedIn { .. }
        | Record::Overridden(_)
        | Record::OverrideEnded { .. }
        | Record::Disabled(_)
        | Record::Enabled { .. }
        | Record::Frozen { .. }
        | Record::Thawed { .. } => {}
    }
}

/// Longest text of one record that can be searched.
const TEXT: usize = 16 << 10;

/// What free text is looked for in: the sentence, and the values of labels and annotations.
pub fn words(stamped: &Stamped, run: Option<&Resolved>) -> String {
    let opened = if let Record::Opened(spec) = &stamped.record { Some(&**spec) } else { run };
    let mut text = tell(&stamped.record, opened);
    let mut add = |value: &Value| {
        for (name, value) in value.as_object().into_iter().flatten() {
            text.push_str(&format!("\n{name} {}", value.as_str().unwrap_or_default()));
        }
    };
    match &stamped.record {
        Record::NotStarted { labels, .. } => add(labels),
        Record::OccurrenceOpened { labels, annotations, .. } => {
            add(labels);
            add(annotations);
        }
        Record::Opened(spec) => {
            if let Cause::Alert { labels, .. } = &spec.cause {
                add(labels);
            }
        }
        Record::Loaded { problems, .. } => problems.iter().for_each(|p| text.push_str(&format!("\n{p}"))),
        Record::Finished { by_hand, .. } => by_hand.iter().for_each(|p| text.push_str(&format!("\n{p}"))),
        // The others have all of it in their sentence.
        _ => {}
    }
    let end = (0..=TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}
