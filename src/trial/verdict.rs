//! What a case expected against what was told. Every difference is named; a test that expects nothing does not exist.

use super::diff::nearest_line;
use super::faults::means;
use super::model::{Case, Expect, Named};
use super::scene::{Ending, Told};
use crate::document::{At, nearest};
use crate::kernel::domain::{Form, Item, ItemId, ItemRole, Record, Stamped, WhyObserved};
use crate::kernel::engine::tell::tell;
use crate::kernel::engine::{ItemPhase, Run};
use crate::units::show_bytes;

/// One expectation that was not met.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Where in the test file.
    pub at: At,
    pub says: String,
    /// Line by line, for whoever wants to see the difference.
    pub expected: Vec<String>,
    pub got: Vec<String>,
}

impl Failure {
    fn new(at: &At, says: impl Into<String>) -> Failure {
        Failure { at: at.clone(), says: says.into(), expected: vec![], got: vec![] }
    }
    fn lines(self, expected: Vec<String>, got: Vec<String>) -> Failure {
        Failure { expected, got, ..self }
    }
}

pub fn failures(case: &Case, told: &Told) -> Vec<Failure> {
    let mut all = vec![];
    let expect = &case.expect;
    for what in &told.violations {
        all.push(Failure::new(&case.at, format!("what must never be: {what}")));
    }
    for what in &told.unsaid {
        all.push(Failure::new(&case.at, what.clone()));
    }
    ending(expect, told, &case.at, &mut all);
    steps(expect, told, &mut all);
    order(expect, told, &case.at, &mut all);
    journal(expect, told, &case.at, &mut all);
    measures(expect, told, &case.at, &mut all);
    all
}

/// The last words, with the reasons.
pub fn last_words(told: &Told) -> String {
    match &told.ending {
        Ending::NotStarted(why) => why.iter().map(|r| r.says.as_str()).collect::<Vec<_>>().join("; "),
        Ending::Rests { says, .. } => says.clone(),
        Ending::Finished(_) => told
            .records
            .iter()
            .rev()
            .find_map(|stamped| match &stamped.record {
                Record::Finished { says, .. } => Some(says.clone()),
                _ => None,
            })
            .unwrap_or_default(),
    }
}

fn ending(expect: &Expect, told: &Told, at: &At, all: &mut Vec<Failure>) {
    let (got, words) = (told.ending.word(), last_words(told));
    if let Some((wanted, at)) = &expect.outcome
        && wanted != got
    {
        let failure = Failure::new(at, format!("expected {wanted}, but it came to {got}: {words}"));
        all.push(failure.lines(vec![wanted.clone()], vec![got.to_owned()]));
    }
    for wanted in expect.says.iter().filter(|wanted| !words.contains(wanted.as_str())) {
        let failure = Failure::new(at, format!("its last words do not say {wanted:?}: {words}"));
        all.push(failure.lines(vec![wanted.clone()], vec![words.clone()]));
    }
}

fn items<'a>(told: &'a Told, name: &'a str) -> Vec<(ItemId, &'a Item)> {
    let all = told.spec.iter().flat_map(|spec| (0..ItemId::MAX).zip(&spec.items));
    all.filter(|(_, item)| means(name, item)).collect()
}

fn no_such(told: &Told, (name, at): &Named) -> Failure {
    let known: Vec<&str> = told.spec.iter().flat_map(|spec| &spec.items).map(|i| i.name.as_str()).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => format!("; there are: {}", known.join(", ")),
    };
    match told.spec {
        None => Failure::new(at, format!("nothing was opened, so that step {name:?} does not stand at all")),
        Some(_) => Failure::new(at, format!("there is no step {name:?}{hint}")),
    }
}

fn steps(expect: &Expect, told: &Told, all: &mut Vec<Failure>) {
    for (name, (wanted, at)) in &expect.steps {
        let found = items(told, &name.0);
        if found.is_empty() {
            all.push(no_such(told, name));
        }
        for (id, item) in found {
            let got = told.run.as_ref().map_or("not begun", |run| stands(run, id));
            if got != wanted {
                let failure = Failure::new(at, format!("{}: expected {wanted}, but it is {got}", item.name));
                let line = |word: &str| vec![format!("{}: {word}", item.name)];
                all.push(failure.lines(line(wanted), line(got)));
            }
        }
    }
}

/// How a step stands in the end, in one of `words::STEPS`.
pub fn stands(run: &Run, id: ItemId) -> &'static str {
    let state = run.state(id);
    match &state.phase {
        ItemPhase::Done { .. } if state.back.is_some() => "taken back",
        ItemPhase::Done { .. } if state.changed => "done",
        ItemPhase::Done { .. } => match run.form(id) {
            Form::Act(_) => "already right",
            Form::Check(_) | Form::Manual { .. } => "done",
        },
        ItemPhase::Skipped { .. } => "skipped",
        ItemPhase::GaveUp { .. } => "given up",
        ItemPhase::Parked { doubt: false, .. } => "parked",
        ItemPhase::Parked { doubt: true, .. } => "in doubt",
        ItemPhase::InFlight { .. } | ItemPhase::Doubt { .. } | ItemPhase::Applied { .. } => "in doubt",
        ItemPhase::AwaitingPerson => "waits",
        ItemPhase::Idle => "not begun",
    }
}

/// The items as they were begun, guards left out.
pub fn begun(told: &Told) -> Vec<String> {
    let Some(spec) = &told.spec else { return vec![] };
    let mut order: Vec<ItemId> = vec![];
    for stamped in &told.records {
        let item = match &stamped.record {
            Record::Intended { call, .. } if !call.undo => call.item,
            Record::Asked { item: Some(item), .. } => *item,
            Record::Observed { item, why: WhyObserved::Recheck, undo: false, .. } => *item,
            _ => continue,
        };
        let guard = spec.items.get(usize::from(item)).is_none_or(|i| i.role == ItemRole::Guard);
        if !guard && !order.contains(&item) {
            order.push(item);
        }
    }
    order.into_iter().map(|id| spec.items[usize::from(id)].name.to_string()).collect()
}

fn order(expect: &Expect, told: &Told, at: &At, all: &mut Vec<Failure>) {
    if expect.order.is_empty() {
        return;
    }
    let begun = begun(told);
    for name in expect.order.iter().filter(|name| items(told, &name.0).is_empty()) {
        all.push(no_such(told, name));
    }
    let is = |wanted: &str, name: &str| name == wanted || name.starts_with(&format!("{wanted} ["));
    let mut left = begun.iter();
    for (wanted, _) in &expect.order {
        if !left.any(|name| is(wanted, name)) {
            let says =
                format!("{wanted:?} does not come where it is expected; the order is: {}", begun.join(", "));
            let expected = expect.order.iter().map(|(name, _)| name.clone()).collect();
            all.push(Failure::new(at, says).lines(expected, begun.clone()));
            return;
        }
    }
}

/// Each record of the run as the sentence that every surface shows.
pub fn sentences(told: &Told) -> Vec<String> {
    let sentence = |stamped: &Stamped| tell(&stamped.record, told.spec.as_ref());
    told.records.iter().map(sentence).collect()
}

fn journal(expect: &Expect, told: &Told, at: &At, all: &mut Vec<Failure>) {
    let sentences = sentences(told);
    let mut left = sentences.iter();
    for wanted in &expect.journal {
        if !left.any(|sentence| sentence.contains(wanted.as_str())) {
            let anywhere = sentences.iter().any(|sentence| sentence.contains(wanted.as_str()));
            let why = match (anywhere, nearest_line(wanted, &sentences)) {
                (true, _) => "; it does, but earlier".to_owned(),
                (false, Some(near)) => format!("; nearest: {near:?}"),
                (false, None) => String::new(),
            };
            let failure = Failure::new(at, format!("the journal does not say {wanted:?}{why}"));
            all.push(failure.lines(expect.journal.clone(), sentences.clone()));
            break;
        }
    }
    for banned in &expect.never {
        if let Some(said) = sentences.iter().find(|sentence| sentence.contains(banned.as_str())) {
            all.push(Failure::new(at, format!("the journal says {banned:?}, which must never be: {said:?}")));
        }
    }
}

fn measures(expect: &Expect, told: &Told, at: &At, all: &mut Vec<Failure>) {
    if let Some(most) = expect.within.filter(|most| told.took > *most) {
        all.push(Failure::new(at, format!("it took {}, and at most {most} was expected", told.took)));
    }
    if let Some(most) = expect.loses_at_most {
        match told.lost {
            Some(lost) if lost <= most => {}
            Some(lost) => {
                let (lost, most) = (show_bytes(lost), show_bytes(most));
                all.push(Failure::new(at, format!("{lost} were lost, and at most {most} were expected")));
            }
            None => all.push(Failure::new(at, "what was lost is not known: nothing was promoted")),
        }
    }
    if let Some(wanted) = &expect.writers {
        let writers = told.standing.iter().flat_map(|standing| &standing.writers);
        let got: Vec<String> = writers.map(ToString::to_string).collect();
        if got != *wanted {
            let says = format!("writes are taken by [{}], expected [{}]", got.join(", "), wanted.join(", "));
            all.push(Failure::new(at, says).lines(wanted.clone(), got));
        }
    }
}
