//! What waits in one channel: a lane for each stream of the journal, in order; what must wake somebody goes before what only
//! informs. Pure: times and chance are handed in, so that the rules can be tried by the thousand.

use crate::kernel::domain::{Position, Span, Stream, Time};
use std::collections::{BTreeMap, VecDeque};

/// Answered failures of one notice, while others got through, until it is taken for poison.
const POISON: u32 = 10;
/// Failures in a row until the channel itself is taken for broken, and is only tried from time to time.
const BREAKS: u32 = 5;
const FIRST_PAUSE: Span = Span::millis(500);
const LONGEST_PAUSE: Span = Span::secs(30);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub position: Position,
    pub urgent: bool,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// Of the first that waits.
    tries: u32,
    answered: u32,
    /// How many the channel had delivered when this one failed first.
    mark: u64,
    not_before: Time,
}

#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<Stream, Lane>,
    count: usize,
    delivered: u64,
    in_a_row: u32,
    not_before: Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    At(Time),
    Now(Stream, Position),
}

/// What a failure means for the notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again,
    /// It alone cannot be delivered.
    Poison,
}

impl Lanes {
    pub fn len(&self) -> usize {
        self.count
    }

    /// In the order of the journal.
    pub fn push(&mut self, stream: Stream, waiting: Waiting) {
        self.lanes.entry(stream).or_default().waiting.push_back(waiting);
        self.count += 1;
    }

    /// The oldest that is not dealt with.
    pub fn oldest(&self) -> Option<Position> {
        self.lanes.values().filter_map(|lane| lane.waiting.front()).map(|w| w.position).min()
    }

    pub fn next(&self, now: Time) -> Next {
        let ready = |lane: &&(&Stream, &Lane)| lane.1.not_before <= now;
        let urgent = |lane: &Lane| lane.waiting.iter().any(|w| w.urgent);
        let all: Vec<(&Stream, &Lane)> = self.lanes.iter().collect();
        let Some(soonest) = all.iter().map(|(_, lane)| lane.not_before).min() else { return Next::Nothing };
        if self.not_before.max(soonest) > now {
            return Next::At(self.not_before.max(soonest));
        }
        let first = |lane: &Lane| lane.waiting.front().map_or(0, |w| w.position);
        let best = all.iter().filter(ready).min_by_key(|(_, lane)| (!urgent(lane), lane.tries, first(lane)));
        best.map_or(Next::Nothing, |(stream, lane)| Next::Now((*stream).clone(), first(lane)))
    }

    /// Told, or given up: the next of its lane comes.
    pub fn done(&mut self, stream: &Stream, told: bool, now: Time, pace: Span) {
        if told {
            self.delivered += 1;
            self.in_a_row = 0;
            self.not_before = now + pace;
            // Those that found nobody there find somebody now.
            self.lanes.values_mut().filter(|lane| lane.answered == 0).for_each(|lane| lane.not_before = now);
        }
        let Some(lane) = self.lanes.get_mut(stream) else { return };
        self.count -= usize::from(lane.waiting.pop_front().is_some());
        (lane.tries, lane.answered, lane.not_before) = (0, 0, now);
        if lane.waiting.is_empty() {
            self.lanes.remove(stream);
        }
    }

    /// `chance`: any number, so that many do not come back at the same moment.
    pub fn failed(
        &mut self,
        stream: &Stream,
        now: Time,
        after: Option<Span>,
        answered: bool,
        chance: u64,
    ) -> Verdict {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let (delivered, in_a_row) = (self.delivered, self.in_a_row);
        let Some(lane) = self.lanes.get_mut(stream) else { return Verdict::Again };
        if lane.tries == 0 {
            lane.mark = delivered;
        }
        lane.tries = lane.tries.saturating_add(1);
        lane.answered = lane.answered.saturating_add(u32::from(answered));
        lane.not_before = now + pause(lane.tries, chance);
        if let Some(after) = after {
            // The whole channel was asked to wait.
            self.not_before = now + after;
        } else if in_a_row >= BREAKS {
            self.not_before = now + pause(in_a_row - BREAKS + 1, chance);
        }
        match lane.answered >= POISON && delivered > lane.mark {
            true => Verdict::Poison,
            false => Verdict::Again,
        }
    }
}

/// Twice as long each time, up to half a minute; between three quarters of that and all of it.
fn pause(tries: u32, chance: u64) -> Span {
    let full = FIRST_PAUSE.0.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST_PAUSE.0);
    Span(full - chance % (full / 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::RunId;
    use proptest::prelude::*;

    fn run(name: &str) -> Stream {
        Stream::Run(RunId::new(name))
    }

    fn filled(of: &[(&str, Position, bool)]) -> Lanes {
        let mut lanes = Lanes::default();
        for (name, position, urgent) in of {
            lanes.push(run(name), Waiting { position: *position, urgent: *urgent });
        }
        lanes
    }

    const NOW: Time = Time(1_000_000_000);

    #[test]
    fn a_page_goes_before_the_chat_of_other_runs_and_never_before_its_own() {
        let mut lanes =
            filled(&[("A", 1, false), ("A", 2, false), ("B", 3, false), ("B", 4, true), ("C", 5, false)]);
        let mut order = vec![];
        while let Next::Now(stream, position) = lanes.next(NOW) {
            order.push(position);
            lanes.done(&stream, true, NOW, Span::ZERO);
        }
        assert_eq!(order, [3, 4, 1, 2, 5]);
        assert_eq!((lanes.len(), lanes.next(NOW)), (0, Next::Nothing));
    }

    #[test]
    fn one_bad_notice_holds_up_its_own_run_and_is_given_up_once_others_got_through() {
        let mut lanes = filled(&[("A", 1, false), ("A", 2, false)]);
        let mut now = NOW;
        for n in 1..=30 {
            let Next::Now(stream, 1) = lanes.next(now) else { panic!("{n}: {:?}", lanes.next(now)) };
            assert_eq!(lanes.failed(&stream, now, None, true, n), Verdict::Again, "nothing else got through");
            now = now + Span::mins(1);
        }
        lanes.push(run("B"), Waiting { position: 3, urgent: false });
        assert_eq!(lanes.next(now), Next::Now(run("B"), 3), "others are not held up");
        lanes.done(&run("B"), true, now, Span::ZERO);
        assert_eq!(lanes.failed(&run("A"), now, None, true, 7), Verdict::Poison);
        lanes.done(&run("A"), false, now, Span::ZERO);
        assert_eq!(lanes.next(now), Next::Now(run("A"), 2));
    }

    #[test]
    fn a_channel_that_is_not_there_is_left_alone_for_longer_and_loses_nothing() {
        let mut lanes = filled(&[("A", 1, false), ("B", 2, true), ("C", 3, false)]);
        let (mut now, mut tries) = (NOW, 0);
        while now < NOW + Span::mins(10) {
            match lanes.next(now) {
                Next::At(at) => now = at,
                Next::Now(stream, _) => {
                    tries += 1;
                    assert_eq!(lanes.failed(&stream, now, None, false, 0), Verdict::Again);
                }
                Next::Nothing => panic!("nothing may be lost"),
            }
        }
        assert!(lanes.in_a_row >= BREAKS && tries < 40, "{tries} tries within ten minutes");
        let Next::Now(stream, _) = lanes.next(now) else { panic!("its pause is over") };
        lanes.failed(&stream, now, None, false, 0);
        let Next::At(at) = lanes.next(now) else { panic!("a pause") };
        assert!(at <= now + LONGEST_PAUSE);
        let Next::Now(stream, _) = lanes.next(at) else { panic!("then one is tried") };
        lanes.done(&stream, true, at, Span::ZERO);
        assert!(
            matches!(lanes.next(at), Next::Now(_, _)) && lanes.len() == 2,
            "and the rest follows at once"
        );
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_by_all() {
        let mut lanes = filled(&[("A", 1, true), ("B", 2, true)]);
        lanes.failed(&run("A"), NOW, Some(Span::secs(7)), true, 0);
        assert_eq!(lanes.next(NOW + Span::secs(6)), Next::At(NOW + Span::secs(7)));
    }

    proptest! {
        /// Whatever fails and however often: each lane is told in order, once each, and nothing is forgotten.
        #[test]
        fn order_is_kept(of in prop::collection::vec((0_u8..4, any::<bool>()), 1..40), fate in any::<[u8; 64]>()) {
            let mut lanes = Lanes::default();
            for (position, (stream, urgent)) in of.iter().enumerate() {
                lanes.push(run(&stream.to_string()), Waiting { position: position as u64 + 1, urgent: *urgent });
            }
            let (mut now, mut told, mut turn) = (NOW, vec![], 0_usize);
            loop {
                match lanes.next(now) {
                    Next::Nothing => break,
                    Next::At(at) => { prop_assert!(at > now); now = at; }
                    Next::Now(stream, position) => {
                        let fate = fate[turn % 64];
                        turn += 1;
                        let fails = turn < 400 && fate % 3 == 0;
                        if fails && lanes.failed(&stream, now, None, fate % 2 == 0, u64::from(fate)) == Verdict::Again {
                            continue;
                        }
                        told.push((stream.clone(), position));
                        lanes.done(&stream, !fails, now, Span::millis(u64::from(fate)));
                    }
                }
            }
            prop_assert_eq!(told.len(), of.len());
            for stream in 0..4_u8 {
                let of: Vec<u64> = told.iter().filter(|(s, _)| *s == run(&stream.to_string())).map(|(_, p)| *p).collect();
                prop_assert!(of.is_sorted(), "{:?}", of);
            }
        }
    }
}
