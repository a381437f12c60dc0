//! What ends a page. A run's own incident ends with the run; here is what else does: a person's "alone" and "unfenced", which are
//! incidents of their own, a window that drifted and then was over, and runs that failed once somebody has seen it or a later
//! one succeeded. A page that nothing ends is one that nobody trusts.

use super::Pull;
use super::notice::key;
use crate::kernel::domain::{Outcome, Record, RunId, Stamped, Stream, Told, Via, WindowState};

/// What the record does to a pager, knowing what came before it in its stream.
pub fn pull(stamped: &Stamped, before: &[Stamped], pull: Pull) -> Pull {
    match &stamped.record {
        // Who closes a run as it stands knows how it stands.
        Record::Finished { .. } if pull == Pull::Raise && closed_by_a_person(before) => Pull::Clear,
        // Nothing had been raised.
        Record::CommitWindow { state: WindowState::Over, .. } if !drifted(stamped, before) => Pull::Tell,
        _ => pull,
    }
}

fn closed_by_a_person(before: &[Stamped]) -> bool {
    before
        .iter()
        .any(|s| matches!(&s.record, Record::Told { what: Told::Close, by, .. } if by.via != Via::Internal))
}

fn drifted(stamped: &Stamped, before: &[Stamped]) -> bool {
    let of = |s: &Stamped| key(&s.stream, &s.record, s.position);
    let windows = before.iter().filter(|s| matches!(s.record, Record::CommitWindow { .. }));
    let all = matches!(&stamped.record, Record::CommitWindow { item: None, .. });
    let mine = windows.filter(|s| all || of(s) == of(stamped));
    // Of each item only the last one counts.
    let mut last = std::collections::BTreeMap::new();
    for s in mine {
        if let Record::CommitWindow { state, .. } = &s.record {
            last.insert(of(s), *state == WindowState::Drifted);
        }
    }
    last.into_values().any(|drifted| drifted)
}

/// Whether earlier runs of the service are over with this record.
pub fn ends_earlier_runs(stream: &Stream, record: &Record) -> bool {
    match (stream, record) {
        (Stream::Service(_), Record::Acknowledged { .. }) => true,
        (Stream::Run(_), Record::Finished { outcome, .. }) => {
            matches!(outcome, Outcome::Succeeded | Outcome::Unchanged)
        }
        _ => false,
    }
}

/// Whether a run that ended so raised somebody, and nothing of its own ends that.
pub fn stays_raised(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Succeeded | Outcome::Unchanged | Outcome::Cancelled)
}

/// Keys of what else is over.
pub fn also(stamped: &Stamped, before: &[Stamped], raised: &[RunId]) -> Vec<String> {
    let mut keys: Vec<String> = match &stamped.record {
        Record::Finished { .. } => before
            .iter()
            .filter(|s| {
                matches!(&s.record, Record::Decided { solo, accept_unfenced, .. } if *solo || !accept_unfenced.is_empty())
            })
            .map(|s| key(&s.stream, &s.record, s.position))
            .collect(),
        // Of the whole end state: each item that drifted is a page of its own.
        Record::CommitWindow { state: WindowState::Over, item: None, .. } => before
            .iter()
            .filter(|s| matches!(&s.record, Record::CommitWindow { state: WindowState::Drifted, .. }))
            .map(|s| key(&s.stream, &s.record, s.position))
            .collect(),
        _ => vec![],
    };
    if ends_earlier_runs(&stamped.stream, &stamped.record) {
        keys.extend(raised.iter().map(|run| Stream::Run(run.clone()).to_string()));
    }
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::{Actor, Digest, ItemId, Time};

    fn record(position: u64, record: Record) -> Stamped {
        Stamped { position, stream: Stream::Run("R1".into()), seq: position, at: Time(1), record }
    }
    fn window(item: Option<ItemId>, state: WindowState) -> Record {
        Record::CommitWindow { item, state, says: "s".into() }
    }
    fn bo() -> Actor {
        Actor { via: Via::Web, ..Actor::internal() }
    }
    fn finished(outcome: Outcome) -> Record {
        let (says, rto, rpo, why, by_hand) = ("s".into(), vec![], None, vec![], vec![]);
        Record::Finished { outcome, says, rto, rpo, why, by_hand }
    }

    #[test]
    fn a_window_that_drifted_is_over_and_one_that_did_not_is_no_news() {
        let over = record(9, window(None, WindowState::Over));
        let (two, three) = (window(Some(2), WindowState::Drifted), window(Some(3), WindowState::Drifted));
        let (drifted, back) =
            ([record(7, two.clone()), record(8, three)], window(Some(2), WindowState::Back));
        assert_eq!(pull(&over, &[], Pull::Clear), Pull::Tell);
        assert_eq!(pull(&over, &drifted, Pull::Clear), Pull::Clear);
        assert_eq!(pull(&over, &[record(7, two), record(8, back)], Pull::Clear), Pull::Tell);
        assert_eq!(also(&over, &drifted, &[]), ["run:R1/window/2", "run:R1/window/3"]);
    }

    #[test]
    fn whose_end_was_said_by_a_person_raises_nobody() {
        let (end, close) =
            (finished(Outcome::Partial), |by| Record::Told { what: Told::Close, by, reason: "r".into() });
        assert_eq!(pull(&record(9, end.clone()), &[], Pull::Raise), Pull::Raise);
        assert_eq!(pull(&record(9, end.clone()), &[record(8, close(bo()))], Pull::Raise), Pull::Clear);
        assert_eq!(pull(&record(9, end), &[record(8, close(Actor::internal()))], Pull::Raise), Pull::Raise);
    }

    #[test]
    fn an_end_takes_what_was_said_aloud_along_and_a_good_one_the_runs_before_it() {
        let yes = |solo| Record::Decided {
            digest: Digest::ZERO,
            by: bo(),
            yes: true,
            reason: "r".into(),
            accept_unfenced: vec![],
            solo,
        };
        let before = [record(3, yes(true)), record(4, yes(false))];
        let earlier: [RunId; 1] = ["R0".into()];
        assert_eq!(also(&record(9, finished(Outcome::Partial)), &before, &earlier), ["run:R1/3"]);
        assert_eq!(also(&record(9, finished(Outcome::Succeeded)), &before, &earlier), ["run:R0", "run:R1/3"]);
        let seen = Record::Acknowledged { by: bo(), reason: "r".into() };
        let seen = Stamped { stream: Stream::Service("shop".into()), ..record(9, seen) };
        assert_eq!(also(&seen, &[], &earlier), ["run:R0"]);
    }
}
