//! How often something may be tried: codes from one address, codes asked for one person, answers to one link. So that nobody
//! guesses by the thousand, and nobody's mailbox is filled by somebody else. In memory: a restart opens every door.

use crate::kernel::domain::{Span, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// Callers remembered; with more, all others count as one.
const REMEMBERED: usize = 1_000;

pub struct Door {
    tries: usize,
    within: Span,
    lately: Mutex<BTreeMap<String, VecDeque<Time>>>,
}

/// The doors of one instance.
pub struct Doors {
    /// Codes that are tried, by address.
    pub codes: Door,
    /// Codes that are to be sent, by the address that asks.
    pub wishes: Door,
    /// And by the person who gets them.
    pub sent: Door,
    /// Answers to a link, by link.
    pub answers: Door,
}

impl Default for Doors {
    fn default() -> Self {
        Doors {
            codes: Door::new(10, Span::mins(1)),
            wishes: Door::new(10, Span::mins(1)),
            sent: Door::new(5, Span::mins(10)),
            answers: Door::new(10, Span::mins(1)),
        }
    }
}

impl Door {
    fn new(tries: usize, within: Span) -> Door {
        Door { tries, within, lately: Mutex::default() }
    }

    /// Counts a try before it is known to be right: many at once are counted too. False: too many.
    pub fn try_once(&self, who: &str, now: Time) -> bool {
        let mut lately = self.lately.lock().expect("invariant: no panic while holding the lock");
        lately.retain(|_, times| times.back().is_some_and(|at| now.since(*at) < self.within));
        let known = lately.contains_key(who) || lately.len() < REMEMBERED;
        let times = lately.entry(if known { who.to_owned() } else { "others".to_owned() }).or_default();
        while times.front().is_some_and(|at| now.since(*at) >= self.within) {
            times.pop_front();
        }
        if times.len() >= self.tries {
            return false;
        }
        times.push_back(now);
        true
    }

    /// It was right: earlier tries are forgiven.
    pub fn forget(&self, who: &str) {
        self.lately.lock().expect("invariant: no panic while holding the lock").remove(who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_tried_by_the_thousand() {
        let (door, start) = (Door::new(10, Span::mins(1)), Time(1_000_000_000));
        let let_in = (0..100).filter(|_| door.try_once("a", start)).count();
        assert_eq!(let_in, 10);
        assert!(door.try_once("b", start), "another address is another door");
        assert!(door.try_once("a", start + Span::mins(1)), "and it opens again");
        for n in 0..5_000 {
            door.try_once(&n.to_string(), start);
        }
        assert!(door.lately.lock().unwrap().len() <= REMEMBERED + 1);
    }
}
