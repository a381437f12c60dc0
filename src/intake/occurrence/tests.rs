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
        starts: Some(Time(starts)),
        ends: ends.map(Time),
        once: false,
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
        let arrival = Arrival {
            source: &source,
            kind: SourceKind::Alertmanager,
            delivery: self.position,
            at: Time(at),
        };
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
fn where_each_outage_has_an_identity_of_its_own_times_do_not_matter() {
    let once = |alert: Alert| Alert { once: true, ..alert };
    let mut story = Story::default();
    assert_eq!(story.tell(150, &[once(firing(140))]), [Meaning::Opened(id(1))]);
    // It ended before we heard of it, says the source's own clock.
    assert_eq!(story.tell(160, &[once(resolved(90, 100))]), [Meaning::Closed(id(1))]);
    assert_eq!(story.history(), [(140, Some(140))]);
    assert_eq!(story.tell(900, &[once(firing(899))]), [Meaning::Late(id(1))]);
    assert_eq!(story.tell(900, &[once(resolved(899, 900))]), [Meaning::Late(id(1))]);
}

#[test]
fn a_beginning_that_nobody_says_is_the_arrival() {
    let unsaid = |alert: Alert| Alert { starts: None, ..alert };
    let mut story = Story::default();
    assert_eq!(story.tell(150, &[unsaid(firing(0))]), [Meaning::Opened(id(1))]);
    assert_eq!(story.tell(160, &[unsaid(resolved(0, 155))]), [Meaning::Closed(id(1))]);
    assert_eq!(story.tell(170, &[unsaid(resolved(0, 155))]), [Meaning::Late(id(1))], "said twice");
    assert_eq!(story.tell(180, &[unsaid(firing(0))]), [Meaning::Opened(id(2))], "it may be a new one");
    assert_eq!(story.history(), [(150, Some(155)), (180, None)]);
    let mut unheard = Story::default();
    unheard.tell(200, &[unsaid(resolved(0, 170))]);
    assert_eq!(unheard.history(), [(170, Some(170))], "never behind the end that is known");
}

#[test]
fn what_is_withdrawn_ends_and_does_not_begin() {
    let withdrawn = alert(Status::Withdrawn, 100, None);
    let mut story = Story::default();
    assert_eq!(story.tell(110, std::slice::from_ref(&withdrawn)), [Meaning::OverAlready(id(1))]);
    assert_eq!(story.tell(120, &[firing(115)]), [Meaning::Opened(id(2))]);
    assert_eq!(story.tell(130, &[withdrawn]), [Meaning::Closed(id(2))]);
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
    let arrival = Arrival { source: &elsewhere, kind: SourceKind::Alertmanager, delivery: 9, at: Time(130) };
    let decision = story.state.decide(arrival, &[firing(100)]);
    assert_eq!(decision.meanings, [Meaning::Opened(OccurrenceId::from("am2/f/1"))]);
}

#[test]
fn deciding_changes_nothing() {
    let state = Occurrences::default();
    let source = Name::from("am");
    let arrival = Arrival { source: &source, kind: SourceKind::Alertmanager, delivery: 1, at: Time(1) };
    let first = state.decide(arrival, &[firing(100)]);
    assert_eq!(first, state.decide(arrival, &[firing(100)]));
}

#[test]
fn annotations_go_on_the_record_but_not_what_is_too_long_for_an_expression() {
    let long = "x".repeat(MAX_LABEL + 1);
    let annotations = BTreeMap::from([("runbook".into(), "move".into()), ("long".into(), long)]);
    let mut story = Story::default();
    story.tell(1, &[Alert { annotations, ..firing(1) }]);
    let Record::OccurrenceOpened { annotations, labels, .. } = &story.records[0] else { panic!() };
    assert_eq!(
        (annotations, labels),
        (&serde_json::json!({"runbook": "move"}), &serde_json::json!({"alertname": "Down"}))
    );
    // As older records have it.
    let mut older = serde_json::to_value(&story.records[0]).unwrap();
    older["occurrence_opened"].as_object_mut().unwrap().remove("annotations");
    let read = Record::decode("occurrence_opened", 1, older.to_string().as_bytes()).unwrap();
    assert!(matches!(read, Record::OccurrenceOpened { annotations: Value::Null, .. }));
}

#[test]
fn the_closed_are_forgotten_in_time_and_the_open_never() {
    let named = |n: usize, alert: Alert| Alert { fingerprint: format!("f{n}"), ..alert };
    let mut state = Occurrences::default();
    let source = Name::from("am");
    let tell = |state: &mut Occurrences, delivery, alerts: &[Alert]| {
        let decision = state.decide(
            Arrival { source: &source, kind: SourceKind::Alertmanager, delivery, at: Time(0) },
            alerts,
        );
        decision.records.iter().for_each(|r| state.apply(&source, r));
    };
    let week = i64::try_from(KEPT.0).unwrap();
    for n in 0..3_000 {
        let at = i64::try_from(n).unwrap();
        tell(&mut state, n as u64, &[named(n, firing(at))]);
        if n % 10 > 0 {
            tell(&mut state, n as u64, &[named(n, resolved(at, at + 1))]);
        }
    }
    state.forget(Time(week));
    assert_eq!(state.known.len(), 3_000, "not before their time");
    state.sweep_at = 0;
    state.forget(Time(week + 2_000));
    let (closed, open) = state.known.values().partition::<Vec<_>, _>(|o| o.ended.is_some());
    assert_eq!(open.len(), 300, "an open one is never forgotten");
    assert!(closed.iter().all(|o| o.ended >= Some(Time(2_000))) && closed.len() == 901, "{}", closed.len());
    assert_eq!(state.known.len(), state.fingerprints.len());
    state.forget_but(Time(0), KEPT, 100);
    assert_eq!(state.known.len(), 300 + 100, "however many there are");
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

    /// Forgetting everything closed after every delivery, and reading the record where it is asked for, means the same
    /// as never forgetting; and no two occurrences have one name.
    #[test]
    fn forgetting_changes_no_meaning(
        (outages, order) in outages().prop_flat_map(|o| {
            let all: Vec<usize> = (0..o.len() * 2).chain(0..o.len() * 2).collect();
            (Just(o), Just(all).prop_shuffle())
        }),
        group in 1_usize..4,
    ) {
        let once = messages(&outages);
        let shuffled: Vec<Alert> = order.into_iter().map(|i| once[i].clone()).collect();
        let (mut keeps, mut forgets, source) = (Story::default(), Story::default(), Name::from("am"));
        for delivery in shuffled.chunks(group) {
            // Every record has a position of its own, and so has the delivery.
            let position = forgets.position + 1 + forgets.records.len() as u64;
            (keeps.position, forgets.position) = (position, position);
            let asked = forgets.state.perhaps_forgotten(&source, delivery);
            if !asked.is_empty() {
                let records = forgets.records.clone();
                records.iter().for_each(|r| forgets.state.apply(&source, r));
            }
            let kind = |m: &Meaning| std::mem::discriminant(m);
            let meant: Vec<_> = forgets.tell(1_000, delivery).iter().map(kind).collect();
            prop_assert_eq!(meant, keeps.tell(1_000, delivery).iter().map(kind).collect::<Vec<_>>());
            forgets.state.forget_but(Time(i64::MAX), Span::ZERO, 0);
            prop_assert!(forgets.state.known.values().all(|o| o.ended.is_none()));
        }
        prop_assert_eq!(forgets.history(), keeps.history());
        let mut names = std::collections::BTreeSet::new();
        for record in &forgets.records {
            if let Record::OccurrenceOpened { occurrence, .. } = record {
                prop_assert!(names.insert(occurrence.clone()), "{} twice", occurrence);
            }
        }
        // A start folds the whole record, without having forgotten: its next names are new as well.
        let mut restarted = Occurrences::default();
        forgets.records.iter().for_each(|r| restarted.apply(&source, r));
        let arrival = Arrival { source: &source, kind: SourceKind::Alertmanager, delivery: forgets.position + 1_000, at: Time(2_000) };
        for state in [&restarted, &forgets.state] {
            for meaning in state.decide(arrival, &[firing(5_000)]).meanings {
                if let Meaning::Opened(id) = meaning {
                    prop_assert!(!names.contains(&id), "{} again", id);
                }
            }
        }
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

#[test]
fn what_may_belong_to_records_that_are_sealed_away_is_named_and_gets_a_number_of_its_own() {
    let mut story = Story::default();
    let am = Name::from("am");
    story.state.sealed_away(&am, Time(100));
    let named = |state: &Occurrences, alert: Alert| !state.perhaps_gone(&am, &[alert]).is_empty();
    assert!(named(&story.state, firing(100)) && !named(&story.state, firing(101)));
    assert!(!story.state.perhaps_forgotten(&am, &[firing(7)]).is_empty(), "what is left is read first");
    assert!(story.state.perhaps_gone(&Name::from("other"), &[firing(7)]).is_empty());
    // An earlier number may have been given: this one is greater than any that was.
    story.tell(200, &[firing(150)]);
    let known = story.state.newest(&am, "f").unwrap();
    assert_eq!((known.id.as_str(), known.number), ("am/f/2", 2));
    assert!(!named(&story.state, firing(7)), "what is known is judged as ever");
}
