//! Changes begun by every run of this instance within the hour: what `changes_per_hour` counts. The journal's intents are
//! the truth; this is their count, read once at the start and kept while `drive` writes them.

use super::super::App;
use super::LOOK_BACK;
use super::history::HOUR;
use crate::kernel::domain::{Record, RunId, Spent, Stream, Time};
use crate::kernel::engine::Run;
use crate::kernel::journal::ReadError;
use crate::kernel::port::Ledger;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Booked {
    /// Oldest first.
    begun: VecDeque<(Time, RunId)>,
    /// Of runs under way: what is left of their plans.
    left: BTreeMap<RunId, Left>,
}

/// Kept for a run for as long as its last change counts: one that stands still for an hour asks again when it goes on.
#[derive(Clone, Copy, Default)]
struct Left {
    changes: u32,
    since: Time,
}

impl Left {
    fn at(self, now: Time) -> u32 {
        if now.since(self.since) < HOUR { self.changes } else { 0 }
    }
}

pub struct Changes {
    most: u32,
    booked: Mutex<Booked>,
}

impl Booked {
    fn spent(&self, run: &RunId, now: Time, most: u32) -> Spent {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let others = self.left.iter().filter(|(other, _)| *other != run).map(|(_, left)| left.at(now));
        Spent {
            begun: count(self.begun.iter().filter(|(at, _)| now.since(*at) < HOUR).count()),
            reserved: others.fold(0, u32::saturating_add),
            own: self.left.get(run).map_or(0, |left| left.at(now)),
            most,
        }
    }
}

impl Changes {
    pub fn new(most: u32) -> Changes {
        Changes { most, booked: Mutex::default() }
    }

    fn booked(&self) -> MutexGuard<'_, Booked> {
        self.booked.lock().expect("invariant: no panic while holding the lock")
    }

    /// Of no run in particular, for `status`.
    pub fn now(&self, now: Time) -> Spent {
        self.booked().spent(&RunId::from(""), now, self.most)
    }
}

impl Ledger for Changes {
    fn spent(&self, run: &RunId, now: Time) -> Result<Spent, String> {
        Ok(self.booked().spent(run, now, self.most))
    }

    fn begin(&self, run: &RunId, now: Time, left: u32, room: &dyn Fn(&Spent) -> bool) -> bool {
        let mut booked = self.booked();
        while booked.begun.front().is_some_and(|(at, _)| now.since(*at) >= HOUR) {
            booked.begun.pop_front();
        }
        if !room(&booked.spent(run, now, self.most)) {
            return false;
        }
        booked.begun.push_back((now, run.clone()));
        let own = booked.left.entry(run.clone()).or_insert(Left { changes: left, since: now });
        *own = Left { changes: own.at(now).saturating_sub(1), since: now };
        true
    }

    fn take_back(&self, run: &RunId, calls: usize) {
        let mut booked = self.booked();
        for _ in 0..calls {
            if let Some(last) = booked.begun.iter().rposition(|(_, of)| of == run) {
                booked.begun.remove(last);
                booked.left.entry(run.clone()).or_default().changes += 1;
            }
        }
    }

    fn release(&self, run: &RunId) {
        self.booked().left.remove(run);
    }
}

impl App {
    /// Counts what the journal holds. Called once, before any task starts.
    pub(super) async fn load_changes(&self) -> Result<(), ReadError> {
        let now = self.world.now();
        let (mut begun, mut left) = (vec![], BTreeMap::new());
        for summary in self.summaries(LOOK_BACK).await? {
            let open = summary.outcome.is_none();
            if !open && now.since(summary.updated) >= HOUR {
                continue;
            }
            let records = self.journal.read(&Stream::Run(summary.run.clone()), 1).await?;
            let intents =
                records.iter().filter(|r| matches!(r.record, Record::Intended { .. })).map(|r| r.at);
            let last = intents.clone().next_back();
            begun.extend(intents.filter(|at| now.since(*at) < HOUR).map(|at| (at, summary.run.clone())));
            let run = Run::fold(&records).map_err(|e| ReadError(e.to_string()))?;
            if let Some(since) = last.filter(|_| open) {
                left.insert(summary.run, Left { changes: run.changes_left(), since });
            }
        }
        begun.sort();
        *self.changes.booked() = Booked { begun: begun.into(), left };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Span;

    const FREE: &dyn Fn(&Spent) -> bool = &|_| true;

    #[test]
    fn an_hour_is_counted_over_all_runs_and_a_run_under_way_keeps_what_it_needs() {
        let (changes, start) = (Changes::new(5), Time(86_400_000_000));
        let (a, b) = (RunId::from("A"), RunId::from("B"));
        assert!(changes.begin(&a, start, 3, FREE));
        let seen = changes.spent(&b, start + Span::mins(1)).unwrap();
        assert_eq!(seen, Spent { begun: 1, reserved: 2, own: 0, most: 5 });
        assert_eq!(changes.spent(&a, start).unwrap().own, 2);
        assert!(!changes.begin(&b, start, 3, &|spent| spent.begun + spent.reserved + 3 <= spent.most));
        assert_eq!(changes.now(start).begun, 1, "what was refused is not booked");
        changes.take_back(&a, 1);
        assert_eq!(changes.spent(&a, start).unwrap(), Spent { begun: 0, reserved: 0, own: 3, most: 5 });
        assert!(changes.begin(&a, start, 3, FREE));
        changes.release(&a);
        assert_eq!(changes.now(start + Span::mins(59)), Spent { begun: 1, reserved: 0, own: 0, most: 5 });
        assert_eq!(changes.now(start + Span::mins(60)).begun, 0, "an hour is over");
    }

    #[test]
    fn a_run_that_stands_still_for_an_hour_gives_back_what_was_kept_for_it() {
        let (changes, start) = (Changes::new(5), Time(86_400_000_000));
        let (parked, other) = (RunId::from("P"), RunId::from("O"));
        assert!(changes.begin(&parked, start, 4, FREE));
        let reserved = |at| changes.spent(&other, at).unwrap().reserved;
        assert_eq!((reserved(start + Span::mins(59)), reserved(start + Span::mins(60))), (3, 0));
        let own = |at| changes.spent(&parked, at).unwrap().own;
        assert_eq!(
            (own(start + Span::mins(59)), own(start + Span::mins(60))),
            (3, 0),
            "it asks for each again"
        );
        let later = start + Span::mins(90);
        assert!(changes.begin(&parked, later, 3, FREE));
        assert_eq!((own(later), reserved(later)), (0, 0), "nor is it kept again");
        assert_eq!(changes.now(later).begun, 1);
    }
}
