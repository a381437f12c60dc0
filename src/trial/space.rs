//! The space of lives: what can go wrong, at every place where it can. Called by the crash matrix.

use super::life::Story;
use crate::kernel::domain::Span;
use crate::kernel::sim::{Leap, Schedule, Strike};
use crate::simulated::world::Hand;

/// One life: where it is struck, and what somebody does by hand when `Strike::ByHand` comes.
#[derive(Clone, Debug, Default)]
pub struct Life {
    pub schedule: Schedule,
    pub hand: Option<Hand>,
}

impl From<Schedule> for Life {
    fn from(schedule: Schedule) -> Life {
        Life { schedule, hand: None }
    }
}

/// The size of the undisturbed run.
pub struct Space {
    boundaries: u32,
    appends: u32,
    /// Whether each call can change anything.
    calls: Vec<bool>,
}

/// Places beyond the undisturbed run: a life after a death is longer.
const MORE: u32 = 8;

impl Space {
    pub fn of(calm: &Story) -> Space {
        let (boundaries, _, appends) = calm.counted;
        Space { boundaries, appends, calls: calm.watch.calls.iter().map(|(_, mutates)| *mutates).collect() }
    }

    fn calls(&self, mutates: Option<bool>) -> impl Iterator<Item = u32> {
        let wanted = move |(_, is): &(u32, &bool)| mutates.is_none_or(|wanted| wanted == **is);
        (0..).zip(&self.calls).filter(wanted).map(|(call, _)| call)
    }

    fn strikes(&self, mutates: Option<bool>, strike: Strike) -> Vec<Life> {
        let one = |call| Schedule { strikes: vec![(call, strike)], ..Schedule::default() }.into();
        self.calls(mutates).map(one).collect()
    }

    pub fn deaths(&self) -> Vec<Life> {
        (0..self.boundaries + MORE).map(|at| death(vec![at]).into()).collect()
    }

    pub fn deaths_with_a_gap(&self) -> Vec<Life> {
        let gap = |at| Schedule { gap: true, ..death(vec![at]) }.into();
        (0..self.boundaries + MORE).map(gap).collect()
    }

    pub fn lost_replies(&self) -> Vec<Life> {
        self.strikes(None, Strike::LoseReply)
    }

    pub fn rejections(&self) -> Vec<Life> {
        self.strikes(Some(true), Strike::Reject)
    }

    pub fn stale_reads(&self) -> Vec<Life> {
        self.strikes(Some(false), Strike::Stale)
    }

    pub fn doubtful_appends(&self) -> Vec<Life> {
        let one = |at| Schedule { doubtful_appends: vec![at], ..Schedule::default() }.into();
        (0..self.appends).map(one).collect()
    }

    pub fn by_hand(&self, hands: &[Hand]) -> Vec<Life> {
        let of = |hand: &Hand| {
            let hand = *hand;
            self.strikes(None, Strike::ByHand).into_iter().map(move |life| Life { hand: Some(hand), ..life })
        };
        hands.iter().flat_map(of).collect()
    }

    /// At most `most` pairs, evenly spread over all of them.
    pub fn two_deaths(&self, most: usize) -> Vec<Life> {
        let end = self.boundaries + MORE;
        let pairs =
            (0..self.boundaries).flat_map(|first| (first + 1..end).map(move |then| vec![first, then]));
        spread(pairs.collect(), most).into_iter().map(|pair| death(pair).into()).collect()
    }

    /// A reply of a mutating call is lost, and the process dies before or after it; at most `most` of them.
    pub fn death_and_lost_reply(&self, most: usize) -> Vec<Life> {
        let lost: Vec<u32> = self.calls(Some(true)).collect();
        let pairs = lost.iter().flat_map(|call| (0..self.boundaries + MORE).map(move |at| (*call, at)));
        let one =
            |(call, at)| Schedule { strikes: vec![(call, Strike::LoseReply)], ..death(vec![at]) }.into();
        spread(pairs.collect(), most).into_iter().map(one).collect()
    }

    /// The wall clock is set at every place, and nobody dies.
    pub fn leaps(&self, leap: Leap) -> Vec<Life> {
        let one = |at| Schedule { leaps: vec![(at, leap)], ..Schedule::default() }.into();
        (0..self.boundaries).map(one).collect()
    }

    /// The process is gone, the clock is set, a new process starts.
    pub fn deaths_with_a_leap(&self, leap: Leap) -> Vec<Life> {
        let one = |at| Schedule { leaps: vec![(at, leap)], ..death(vec![at]) }.into();
        (0..self.boundaries).map(one).collect()
    }

    /// The clock is set ahead, and set right again while no process runs: the journal is ahead of it by then. At most `most`.
    pub fn leaps_set_right(&self, by: Span, most: usize) -> Vec<Life> {
        let end = self.boundaries + MORE;
        let pairs = (0..self.boundaries).flat_map(|wrong| (wrong + 1..end).map(move |right| (wrong, right)));
        let one = |(wrong, right)| {
            let leaps = vec![(wrong, Leap::Ahead(by)), (right, Leap::Back(by))];
            Schedule { leaps, ..death(vec![right]) }.into()
        };
        spread(pairs.collect(), most).into_iter().map(one).collect()
    }

    /// Two places of the undisturbed run, the second later; at most `most`, evenly spread, and how many there are.
    pub fn pairs(&self, most: usize) -> (Vec<(u32, u32)>, usize) {
        let end = self.boundaries;
        let pairs: Vec<_> =
            (2..end).flat_map(|first| (first + 1..end).map(move |then| (first, then))).collect();
        let all = pairs.len();
        (spread(pairs, most), all)
    }

    pub fn boundaries(&self) -> u32 {
        self.boundaries
    }

    /// Three reads in a row that show the world before its last change.
    pub fn stale_for_a_while(&self) -> Vec<Life> {
        let three = |call| (call..call + 3).map(|at| (at, Strike::Stale)).collect();
        self.calls(Some(false))
            .map(|call| Schedule { strikes: three(call), ..Schedule::default() }.into())
            .collect()
    }

    /// One fault, exhaustively.
    pub fn single_faults(&self) -> Vec<Life> {
        let mut all = vec![Life::default()];
        all.extend(self.deaths());
        all.extend(self.deaths_with_a_gap());
        all.extend(self.lost_replies());
        all.extend(self.rejections());
        all.extend(self.stale_reads());
        all.extend(self.doubtful_appends());
        all
    }
}

fn death(deaths: Vec<u32>) -> Schedule {
    Schedule { deaths, ..Schedule::default() }
}

/// A stride that shares no factor with usual periods, so that no phase of the run is passed over.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let stride = (all.len() / most.max(1)).max(1) | 1;
    all.into_iter().step_by(stride).collect()
}
