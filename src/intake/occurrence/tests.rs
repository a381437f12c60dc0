//! The table of meanings, and that order and copies do not matter.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn alert(status: Status, starts: i64, ends: Option<i64>) -> Alert {
    Alert {
        fingerprint: "f".into(),
        status,
        labels: BTreeMap::from([("alertname".into(), "Down".into())]),
        annotations: BTreeMap::new(),
        starts: Time(starts),
        ends: ends.map(Time),
        generator: String::new(),
    }
}

fn firing(starts: i64) -> Alert {
    alert(Status::Firing, starts, None)
}

fn resolved(starts: i64, ends: i64) -> Alert {
    alert(Status::Resolved, starts, Some(ends))
}

/// A journal's worth of deliveries: decides, keeps the records, applies them as read back.
#[derive(Default)]
struct Story {
    state: Occurrences,
    records: Vec<Record>,
    position: Position,
}

impl Story {
    fn tell(&mut self, at: i64, alerts: &[Alert]) -> Vec<Meaning> {
        self.position += 1;
        let source = Name::from("am");
        let arrival = Arrival { source: &source, delivery: self.position, at: Time(at) };
        let decision = self.state.decide(arrival, alerts);
        for record in &decision.records {
            let read_back = Record::decode(record.kind(), record.version(), &record.encode()).unwrap();
            self.state.apply(&source, &read_back);
        }
        self.records.extend(decision.records);
        decision.meanings
    }

    /// (started, ended) of every occurrence on the record.
    fn history(&self) -> Vec<(i64, Option<i64>)> {
        let mut all: Vec<(OccurrenceId, i64, Option<i64>)> = vec![];
        for record in &self.records {
            match record {
                Record::OccurrenceOpened { occurrence, started, .. } => {
                    all.push((occurrence.clone(), started.0, None));
                }
                Record::OccurrenceClosed { occurrence, ended, .. } => {
                    let open = all.iter_mut().find(|(id, ..)| id == occurrence).unwrap();
                    assert_eq!(open.2, None, "closed once");
                    open.2 = Some(ended.0);
                }
                other => panic!("{other:?}"),
            }
        }
        all.into_iter().map(|(_, s, e)| (s, e)).collect()
    }
}

fn id(n: u64) -> OccurrenceId {
    OccurrenceId::new(format!("am/f/{n}"))
}

/// Every cell of the table in the module's documentation, from both sides of each comparison.
#[test]
fn every_state_meets_every_alert() {
    let nothing: &[Alert] = &[];
    let open = &[firing(100)][..];
    let closed = &[firing(100), resolved(100, 200)][..];
    type History = Vec<(i64, Option<i64>)>;
    let table: Vec<(&[Alert], Alert, Meaning, History)> = vec![
        (nothing, firing(100), Meaning::Opened(id(1)), vec![(100, None)]),
        (nothing, resolved(100, 200), Meaning::OverAlready(id(1)), vec![(100, Some(200))]),
        (open, firing(100), Meaning::Refreshed(id(1)), vec![(100, None)]),
        (open, firing(40), Meaning::Refreshed(id(1)), vec![(100, None)]),
        (open, firing(170), Meaning::Refreshed(id(1)), vec![(100, None)]),
        (open, resolved(100, 200), Meaning::Closed(id(1)), vec![(100, Some(200))]),
        (open, resolved(90, 100), Meaning::Closed(id(1)), vec![(100, Some(100))]),
        (open, resolved(50, 99), Meaning::Late(id(1)), vec![(100, None)]),
        (closed, firing(100), Meaning::Late(id(1)), vec![(100, Some(200))]),
        (closed, firing(200), Meaning::Late(id(1)), vec![(100, Some(200))]),
        (closed, firing(201), Meaning::Opened(id(2)), vec![(100, Some(200)), (201, None)]),
        (closed, resolved(100, 200), Meaning::Late(id(1)), vec![(100, Some(200))]),
        (closed, resolved(100, 250), Meaning::Late(id(1)), vec![(100, Some(200))]),
        (closed, resolved(201, 300), Meaning::OverAlready(id(2)), vec![(100, Some(200)), (201, Some(300))]),
    ];
    for (before, alert, meaning, history) in table {
        let mut story = Story::default();
        for earlier in before {
            story.tell(1_000, std::slice::from_ref(earlier));
        }
        let meant = story.tell(1_000, std::slice::from_ref(&alert));
        assert_eq!(meant, [meaning], "{before:?} then {alert:?}");
        assert_eq!(story.history(), history, "{before:?} then {alert:?}");
    }
}

#[test]
fn an_end_that_the_source_does_not_know_is_the_arrival() {
    let mut story = Story::default();
    story.tell(150, &[firing(100)]);
    story.tell(180, &[alert(Status::Resolved, 100, None)]);
    assert_eq!(story.history(), [(100, Some(180))]);
    // A sender's clock ahead of ours does not make an end before its start.
    story.tell(190, &[firing(500)]);
    story.tell(191, &[alert(Status::Resolved, 500, None)]);
    assert_eq!(story.history()[1], (500, Some(500)));
}

#[test]
fn two_replicas_repeats_and_a_late_copy_are_one_occurrence() {
    let mut story = Story::default();
    let other_replica = Alert { generator: "http://other".into(), ..firing(103) };
    for copy in [firing(100), other_replica.clone(), firing(100), firing(100)] {
        story.tell(110, &[copy]);
    }
    story.tell(200, &[resolved(100, 190)]);
    story.tell(201, &[resolved(103, 191)]);
    story.tell(205, &[other_replica]);
    assert_eq!(story.history(), [(100, Some(190))]);
    assert_eq!(story.state.open().count(), 0);
}

#[test]
fn alerts_and_sources_do_not_touch_each_other() {
    let mut story = Story::default();
    let other = Alert { fingerprint: "g".into(), ..firing(100) };
    story.tell(110, &[firing(100), other.clone()]);
    let meant = story.tell(120, &[resolved(100, 115), other]);
    assert_eq!(meant, [Meaning::Closed(id(1)), Meaning::Refreshed(OccurrenceId::from("am/g/1"))]);
    assert_eq!(story.state.newest(&"am2".into(), "f"), None);
    let elsewhere = Name::from("am2");
    let arrival = Arrival { source: &elsewhere, delivery: 9, at: Time(130) };
    let decision = story.state.decide(arrival, &[firing(100)]);
    assert_eq!(decision.meanings, [Meaning::Opened(OccurrenceId::from("am2/f/1"))]);
}

#[test]
fn deciding_changes_nothing() {
    let state = Occurrences::default();
    let source = Name::from("am");
    let arrival = Arrival { source: &source, delivery: 1, at: Time(1) };
    let first = state.decide(arrival, &[firing(100)]);
    assert_eq!(first, state.decide(arrival, &[firing(100)]));
}

/// Outages one after the other, each with its firing and its resolved message.
fn outages() -> impl Strategy<Value = Vec<(i64, i64)>> {
    proptest::collection::vec((1_i64..50, 1_i64..50), 1..5).prop_map(|gaps| {
        let mut clock = 0;
        gaps.into_iter()
            .map(|(quiet, lasting)| {
                let starts = clock + quiet;
                clock = starts + lasting;
                (starts, clock)
            })
            .collect()
    })
}

fn messages(outages: &[(i64, i64)]) -> Vec<Alert> {
    outages.iter().flat_map(|(s, e)| [firing(*s), resolved(*s, *e)]).collect()
}

proptest! {
    /// Copies of what was delivered before, at any later place, change nothing.
    #[test]
    fn late_and_repeated_copies_change_nothing(
        outages in outages(),
        copies in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
        group in 1_usize..4,
    ) {
        let once = messages(&outages);
        let mut many: Vec<(usize, Alert)> = once.iter().cloned().enumerate().collect();
        for (which, place) in copies {
            let original = which.index(once.len());
            let first = many.iter().position(|(n, _)| *n == original).unwrap();
            let place = first + 1 + place.index(many.len() - first);
            many.insert(place, (original, once[original].clone()));
        }
        let many: Vec<Alert> = many.into_iter().map(|(_, a)| a).collect();
        let mut story = Story::default();
        for delivery in many.chunks(group) {
            story.tell(1_000, delivery);
        }
        let truth: Vec<_> = outages.iter().map(|(s, e)| (*s, Some(*e))).collect();
        prop_assert_eq!(story.history(), truth);
    }

    /// Any order at all, copies included: never more occurrences than outages, and once every end has been
    /// delivered nothing is open and the newest end is the true one.
    #[test]
    fn any_order_converges(
        (outages, order) in outages().prop_flat_map(|o| {
            let all: Vec<usize> = (0..o.len() * 2).chain(0..o.len() * 2).collect();
            (Just(o), Just(all).prop_shuffle())
        }),
        group in 1_usize..5,
    ) {
        let once = messages(&outages);
        let shuffled: Vec<Alert> = order.into_iter().map(|i| once[i].clone()).collect();
        let mut story = Story::default();
        for delivery in shuffled.chunks(group) {
            story.tell(1_000, delivery);
        }
        prop_assert!(story.history().len() <= outages.len());
        prop_assert_eq!(story.state.open().count(), 0);
        let newest = story.state.newest(&"am".into(), "f").unwrap();
        prop_assert_eq!(newest.ended, Some(Time(outages.last().unwrap().1)));
    }

    /// One delivery of many alerts means the same as many deliveries of one.
    #[test]
    fn grouping_does_not_matter(order in proptest::collection::vec((0_i64..6, any::<bool>()), 1..12)) {
        let alerts: Vec<Alert> = order
            .into_iter()
            .map(|(n, fires)| if fires { firing(n * 10) } else { resolved(n * 10, n * 10 + 15) })
            .collect();
        let (mut together, mut apart) = (Story::default(), Story::default());
        let meant = together.tell(1_000, &alerts);
        let alone: Vec<_> = alerts.iter().flat_map(|a| apart.tell(1_000, std::slice::from_ref(a))).collect();
        prop_assert_eq!(meant, alone);
        prop_assert_eq!(together.history(), apart.history());
    }
}
