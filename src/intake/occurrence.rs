//! Occurrences: one outage of one alert, from its opening to its close, however often and by whomever it is
//! delivered. Triage folds this from the source streams and asks it about each new delivery.
//!
//! | known      | firing                              | resolved                                     |
//! |------------|-------------------------------------|----------------------------------------------|
//! | nothing    | opens                               | opened and closed at once: it is over         |
//! | open       | refreshed, whatever `startsAt` says | closes, unless it ended before this one began |
//! | closed     | opens if it starts after that end, else a late copy | nothing, or over at once as above |
//!
//! A resolved alert of which no firing copy was seen goes on the record too, so that a copy which arrives late
//! opens nothing. Withdrawn is as resolved, in other words. Where the source gives each outage an identity of its own
//! (`Alert::once`), what is closed stays closed and an end closes what is open, whatever the times say.
//!
//! Closed ones are forgotten after a week, for memory's sake. That changes no meaning: only an alert that began before
//! the newest forgotten end can be a late copy of a forgotten one, [`Occurrences::perhaps_forgotten`] names those, and
//! triage reads the record before it decides about them. Where the record itself is sealed away,
//! [`Occurrences::perhaps_gone`] names those that nobody can decide about any more.

use super::alertmanager::MAX_LABEL;
use super::{Alert, Status};
use crate::kernel::domain::{Name, OccurrenceId, Position, Record, SourceKind, Span, Time};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// The newest occurrence of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub id: OccurrenceId,
    /// Counts the occurrences of this alert, from 1 or from where its earlier ones were forgotten.
    pub number: u64,
    pub started: Time,
    /// None: open.
    pub ended: Option<Time>,
}

/// What an alert of a delivery meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Opened(OccurrenceId),
    /// A repeat, or the copy of another replica.
    Refreshed(OccurrenceId),
    Closed(OccurrenceId),
    /// It was over before we heard of it; nothing may start for it.
    OverAlready(OccurrenceId),
    /// Speaks of an outage that the record already holds as ended.
    Late(OccurrenceId),
}

/// Records to append to the source's stream, and what each alert meant, in the delivery's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    pub records: Vec<Record>,
    pub meanings: Vec<Meaning>,
}

/// Where and when a delivery came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub source: &'a Name,
    pub kind: SourceKind,
    /// Position of its `Delivered`.
    pub delivery: Position,
    pub at: Time,
}

/// Closed ones are kept in memory for so long after their end, and at most so many.
const KEPT: Span = Span::mins(7 * 24 * 60);
const KEPT_AT_MOST: usize = 200_000;
/// A source that cannot say when something began may be wrong by so much, with messages that waited.
const GUESSED: Span = Span::mins(2 * 24 * 60);
/// Fewer are not looked through.
const SWEPT_AT_LEAST: usize = 1_024;

/// The newest occurrence of every alert, by source and fingerprint; closed ones for a while.
#[derive(Clone, Debug, Default)]
pub struct Occurrences {
    known: HashMap<(Name, String), Occurrence>,
    /// Closing records name the occurrence only.
    fingerprints: HashMap<OccurrenceId, String>,
    /// By source: the newest end among those that were forgotten.
    forgotten: HashMap<Name, Time>,
    /// By source: the newest end among those whose records are sealed away, so that nobody can look them up any more.
    gone: HashMap<Name, Time>,
    sweep_at: usize,
}

impl Occurrences {
    /// Counts one record of the stream `source:NAME`; records of other kinds change nothing.
    pub fn apply(&mut self, source: &Name, record: &Record) {
        match record {
            Record::OccurrenceOpened { occurrence, fingerprint, started, delivery, .. } => {
                let key = (source.clone(), fingerprint.clone());
                let before = self.known.remove(&key);
                if let Some(before) = &before {
                    self.fingerprints.remove(&before.id);
                }
                let counted = before.map_or(0, |o| o.number) + 1;
                let is_counted = *occurrence == name(source, fingerprint, counted);
                let number = if is_counted { counted } else { after_forgetting(*delivery) };
                let opened = Occurrence { id: occurrence.clone(), number, started: *started, ended: None };
                self.known.insert(key, opened);
                self.fingerprints.insert(occurrence.clone(), fingerprint.clone());
            }
            Record::OccurrenceClosed { occurrence, ended, .. } => {
                let Some(fingerprint) = self.fingerprints.get(occurrence) else { return };
                let key = (source.clone(), fingerprint.clone());
                if let Some(open) = self.known.get_mut(&key).filter(|o| o.id == *occurrence) {
                    open.ended = Some(*ended);
                }
            }
            _ => {}
        }
    }

    /// The newest occurrence of an alert.
    pub fn newest(&self, source: &Name, fingerprint: &str) -> Option<&Occurrence> {
        self.known.get(&(source.clone(), fingerprint.to_owned()))
    }

    /// Forgets what is closed for long, now and then; open ones never.
    pub fn forget(&mut self, now: Time) {
        if self.known.len() >= self.sweep_at.max(SWEPT_AT_LEAST) {
            self.forget_but(now, KEPT, KEPT_AT_MOST);
            self.sweep_at = self.known.len() * 2;
        }
    }

    fn forget_but(&mut self, now: Time, kept: Span, at_most: usize) {
        let mut ends: Vec<Time> = self.known.values().filter_map(|o| o.ended).collect();
        ends.sort_unstable();
        let surplus = ends.len().saturating_sub(at_most);
        // Ends that are alike go together: a few more than the surplus.
        let too_many = surplus.checked_sub(1).map(|last| ends[last]);
        let (forgotten, fingerprints) = (&mut self.forgotten, &mut self.fingerprints);
        self.known.retain(|(source, _), occurrence| {
            let old = |ended: &Time| *ended + kept < now || too_many.is_some_and(|last| *ended <= last);
            let Some(ended) = occurrence.ended.filter(old) else { return true };
            let newest = forgotten.entry(source.clone()).or_insert(ended);
            *newest = ended.max(*newest);
            fingerprints.remove(&occurrence.id);
            false
        });
    }

    /// Fingerprints of alerts that may belong to a forgotten occurrence: their records must be applied again before
    /// anything is decided. All others began after everything forgotten had ended.
    pub fn perhaps_forgotten(&self, source: &Name, alerts: &[Alert]) -> BTreeSet<String> {
        self.unknown_before(self.forgotten.get(source), source, alerts)
    }

    /// Retention took records of this source; the newest end among them.
    pub fn sealed_away(&mut self, source: &Name, ended: Time) {
        for of in [&mut self.forgotten, &mut self.gone] {
            let newest = of.entry(source.clone()).or_insert(ended);
            *newest = ended.max(*newest);
        }
    }

    /// Once what was forgotten was read again: alerts that may belong to an occurrence whose records are gone. Nobody can
    /// tell whether they are a late copy of it.
    pub fn perhaps_gone(&self, source: &Name, alerts: &[Alert]) -> BTreeSet<String> {
        self.unknown_before(self.gone.get(source), source, alerts)
    }

    fn unknown_before(&self, end: Option<&Time>, source: &Name, alerts: &[Alert]) -> BTreeSet<String> {
        let Some(newest) = end else { return BTreeSet::new() };
        let old = |alert: &Alert| match alert.starts {
            Some(starts) if alert.once => starts <= *newest + GUESSED,
            Some(starts) => starts <= *newest,
            None => alert.once,
        };
        let unknown = |a: &&Alert| old(a) && self.newest(source, &a.fingerprint).is_none();
        alerts.iter().filter(unknown).map(|a| a.fingerprint.clone()).collect()
    }

    /// All open ones, in no order.
    pub fn open(&self) -> impl Iterator<Item = (&Name, &Occurrence)> {
        self.known.iter().filter(|(_, o)| o.ended.is_none()).map(|((source, _), o)| (source, o))
    }

    /// What a delivery means. Changes nothing: the caller appends the records, and then applies them.
    pub fn decide(&self, arrival: Arrival<'_>, alerts: &[Alert]) -> Decision {
        let mut decision = Decision::default();
        // The same alert may stand twice in one body; the second is judged after the first.
        let mut scratch = Occurrences::default();
        for alert in alerts {
            let key = (arrival.source.clone(), alert.fingerprint.clone());
            if let (false, Some(known)) = (scratch.known.contains_key(&key), self.known.get(&key)) {
                scratch.fingerprints.insert(known.id.clone(), alert.fingerprint.clone());
                scratch.known.insert(key.clone(), known.clone());
            }
            let fresh = if self.forgotten.contains_key(arrival.source) {
                after_forgetting(arrival.delivery)
            } else {
                1
            };
            let (meaning, records) = judge(arrival, alert, scratch.known.get(&key), fresh);
            for record in records {
                scratch.apply(arrival.source, &record);
                decision.records.push(record);
            }
            decision.meanings.push(meaning);
        }
        decision
    }
}

fn name(source: &Name, fingerprint: &str, number: u64) -> OccurrenceId {
    OccurrenceId::new(format!("{source}/{fingerprint}/{number}"))
}

/// What its source knows the alert of this occurrence by.
pub fn fingerprint<'a>(source: &Name, occurrence: &'a OccurrenceId) -> Option<&'a str> {
    let rest = occurrence.as_str().strip_prefix(source.as_str())?.strip_prefix('/')?;
    rest.rsplit_once('/').map(|(fingerprint, _)| fingerprint)
}

/// The number of an alert whose earlier ones, if any, are forgotten. Greater than any of theirs: each occurrence is a
/// record with a position of its own before this delivery.
fn after_forgetting(delivery: Position) -> u64 {
    delivery + 1
}

/// `fresh`: the number of an alert of which nothing is known.
fn judge(
    arrival: Arrival<'_>,
    alert: &Alert,
    known: Option<&Occurrence>,
    fresh: u64,
) -> (Meaning, Vec<Record>) {
    let over = |o: &Occurrence| o.ended.is_some_and(|ended| is_over(alert, ended));
    match (alert.status, known) {
        (Status::Firing, Some(o)) if o.ended.is_none() => (Meaning::Refreshed(o.id.clone()), vec![]),
        (Status::Resolved | Status::Withdrawn, Some(o)) if o.ended.is_none() => close(arrival, alert, o),
        (_, Some(o)) if over(o) => (Meaning::Late(o.id.clone()), vec![]),
        (Status::Firing, known) => {
            let (id, opened) = open(arrival, alert, known.map_or(fresh, |o| o.number + 1));
            (Meaning::Opened(id), vec![opened])
        }
        (Status::Resolved | Status::Withdrawn, known) => {
            let (id, opened) = open(arrival, alert, known.map_or(fresh, |o| o.number + 1));
            let says = "it was over before any firing copy was seen";
            let closed = closed(arrival, alert, &id, started(arrival, alert), says);
            (Meaning::OverAlready(id), vec![opened, closed])
        }
    }
}

/// It speaks of what ended then. A time that the source does not say proves nothing new for an end, and nothing old for a
/// beginning.
fn is_over(alert: &Alert, ended: Time) -> bool {
    match alert.starts {
        _ if alert.once => true,
        Some(starts) => starts <= ended,
        None => alert.status != Status::Firing,
    }
}

/// Without a beginning of the source's own it is the arrival, but never behind an end that the source knows.
fn started(arrival: Arrival<'_>, alert: &Alert) -> Time {
    alert.starts.unwrap_or_else(|| alert.ends.unwrap_or(arrival.at).min(arrival.at))
}

/// A resolved copy of an earlier occurrence must not close the one that is open now.
fn close(arrival: Arrival<'_>, alert: &Alert, open: &Occurrence) -> (Meaning, Vec<Record>) {
    if !alert.once && alert.ends.is_some_and(|ended| ended < open.started) {
        return (Meaning::Late(open.id.clone()), vec![]);
    }
    let says = match (alert.status, alert.annotations.get("note")) {
        (Status::Withdrawn, Some(note)) => {
            format!("the source withdrew it and will not say how it ends: {note}")
        }
        (Status::Withdrawn, None) => "the source withdrew it and will not say how it ends".to_owned(),
        (Status::Firing | Status::Resolved, _) => "the source says that it is resolved".to_owned(),
    };
    let record = closed(arrival, alert, &open.id, open.started, &says);
    (Meaning::Closed(open.id.clone()), vec![record])
}

fn open(arrival: Arrival<'_>, alert: &Alert, number: u64) -> (OccurrenceId, Record) {
    let id = name(arrival.source, &alert.fingerprint, number);
    let pair = |(name, value): (&String, &String)| (name.clone(), Value::String(value.clone()));
    // Bounded as labels are. A longer one is left out whole: half a text could mean something else.
    let short = alert.annotations.iter().filter(|(_, value)| value.len() <= MAX_LABEL);
    let annotations: serde_json::Map<String, Value> = short.map(pair).collect();
    let record = Record::OccurrenceOpened {
        occurrence: id.clone(),
        kind: arrival.kind,
        fingerprint: alert.fingerprint.clone(),
        labels: Value::Object(alert.labels.iter().map(pair).collect()),
        annotations: if annotations.is_empty() { Value::Null } else { Value::Object(annotations) },
        started: started(arrival, alert),
        delivery: arrival.delivery,
    };
    (id, record)
}

/// Without an end of the source's own, the arrival is the end; never before the start.
fn closed(arrival: Arrival<'_>, alert: &Alert, id: &OccurrenceId, started: Time, says: &str) -> Record {
    Record::OccurrenceClosed {
        occurrence: id.clone(),
        ended: alert.ends.unwrap_or(arrival.at).max(started),
        delivery: Some(arrival.delivery),
        says: says.to_owned(),
    }
}

#[cfg(test)]
mod tests;
