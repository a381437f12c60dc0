//! Positions of a pair, taken while both answer: what a failover needs cannot be asked once the primary is
//! gone.
//!
//! The worker calls [`sample`] every second for each pair that a playbook names, pushes it into the [`Ring`]
//! and stores it. No clock, no sleep, no task here.

use super::port::{Endpoint, Port};
use crate::kernel::domain::{Name, Span, Time};
use crate::kernel::port::{Sample, Samples};
use futures_util::future::join;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Asks both at once. `at` is read by the caller before the call.
pub async fn sample(
    port: &dyn Port,
    primary: &Endpoint,
    standby: &Endpoint,
    at: Time,
    within: Span,
) -> Sample {
    let (first, second) = join(port.progress(primary, within), port.progress(standby, within)).await;
    let first = first.ok().filter(|progress| !progress.in_recovery);
    let second = second.ok().filter(|progress| progress.in_recovery);
    let lineage = first.as_ref().or(second.as_ref()).and_then(|progress| progress.system.clone());
    Sample {
        at,
        timeline: first.as_ref().and_then(|progress| progress.timeline),
        primary: first.and_then(|progress| progress.position),
        standby: second.and_then(|progress| progress.position),
        lineage,
    }
}

/// The last sample that reached the primary, and the first after it that did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub last_good: Option<Sample>,
    pub first_failed: Option<Time>,
}

impl Window {
    pub fn of(samples: &[Sample]) -> Window {
        let good = samples.iter().rposition(|sample| sample.primary.is_some());
        Window {
            last_good: good.map(|index| samples[index].clone()),
            first_failed: good.and_then(|index| samples.get(index + 1)).map(|sample| sample.at),
        }
    }
}

/// Bounded, per standby. A long outage keeps what was seen before it: of samples that failed in a row only
/// the first and the latest stay.
pub struct Ring {
    size: usize,
    pairs: Mutex<BTreeMap<Name, VecDeque<Sample>>>,
}

impl Ring {
    pub fn new(size: usize) -> Ring {
        Ring { size: size.max(3), pairs: Mutex::new(BTreeMap::new()) }
    }

    pub fn push(&self, standby: &Name, sample: Sample) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = pairs.entry(standby.clone()).or_default();
        let failed = |sample: Option<&Sample>| sample.is_some_and(|sample| sample.primary.is_none());
        let count = ring.len();
        if sample.primary.is_none()
            && count >= 2
            && failed(ring.get(count - 1))
            && failed(ring.get(count - 2))
        {
            ring.pop_back();
        }
        ring.push_back(sample);
        while ring.len() > self.size {
            ring.pop_front();
        }
    }

    /// What the store kept, oldest first, at start.
    pub fn load(&self, standby: &Name, samples: Vec<Sample>) {
        for sample in samples {
            self.push(standby, sample);
        }
    }
}

impl Samples for Ring {
    fn recent(&self, target: &Name) -> Vec<Sample> {
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.get(target).map(|ring| ring.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Lsn;

    fn sample(at: i64, primary: Option<u64>) -> Sample {
        Sample { at: Time(at), primary: primary.map(Lsn), standby: None, timeline: None, lineage: None }
    }

    #[test]
    fn an_hour_of_failures_does_not_push_out_what_was_seen_before() {
        let (ring, name) = (Ring::new(4), Name::from("b"));
        ring.load(&name, vec![sample(1, Some(10)), sample(2, Some(20))]);
        for at in 3..3_600 {
            ring.push(&name, sample(at, None));
        }
        let kept: Vec<i64> = ring.recent(&name).iter().map(|sample| sample.at.0).collect();
        assert_eq!(kept, [1, 2, 3, 3_599]);
        let window = Window::of(&ring.recent(&name));
        assert_eq!(window.last_good.map(|sample| sample.at), Some(Time(2)));
        assert_eq!(window.first_failed, Some(Time(3)), "the first that failed, not the latest");
    }

    #[test]
    fn the_ring_is_bounded_and_nothing_is_nothing() {
        let (ring, name) = (Ring::new(3), Name::from("b"));
        (0..9).for_each(|at| ring.push(&name, sample(at, Some(1))));
        assert_eq!(ring.recent(&name).len(), 3);
        assert!(ring.recent(&"other".into()).is_empty());
        assert_eq!(Window::of(&[sample(1, None)]), Window { last_good: None, first_failed: None });
    }
}
