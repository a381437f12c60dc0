//! What the driver does beside deciding: how long it waits for an answer, in which order it judges what it saw, and when
//! it writes down what it knows.

use super::*;
use crate::journal::Journal;

/// Drives the toy run to its good end; its records.
fn records(plot: Plot) -> Vec<Stamped> {
    let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let toy = Toy { plot, ..Toy::new(&sim, &registers) };
    let run = sim.open(spec(Mode::Auto)).unwrap();
    assert_eq!(sim.finish(&run, &toy, Arc::new(NoSamples)), Ok(End::Finished(Outcome::Succeeded)));
    let journal = Journal::new(sim.backend.clone());
    sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap()
}

/// Where the first look for the plan is, of each item.
fn planned(records: &[Stamped], of: ItemId) -> Vec<usize> {
    let is =
        |r: &Stamped| matches!(r.record, Record::Observed { item, why: WhyObserved::Plan, .. } if item == of);
    (0..records.len()).filter(|at| is(&records[*at])).collect()
}

fn ended(records: &[Stamped], of: ItemId) -> (Time, CallResult) {
    let mut ends = records.iter().filter_map(|r| match &r.record {
        Record::Ended { call, end } if call.item == of => Some((r.at, end.result)),
        _ => None,
    });
    ends.next().expect("it was called")
}

#[test]
fn what_a_step_builds_on_is_judged_first_however_long_the_look_at_it_takes() {
    let records = records(Plot { silent: vec![("fence".into(), Span::secs(5))], ..Plot::default() });
    let (fence, promote) = (planned(&records, 1), planned(&records, 2));
    assert_eq!((fence.len(), promote.len()), (1, 1), "nobody looks again at what waits to be judged");
    assert!(fence < promote, "what the promotion needs was not promised yet");
}

#[test]
fn an_answer_within_its_time_counts_however_late_it_is() {
    let late = Span::secs(19);
    let looked = records(Plot { silent: vec![("fence".into(), late)], ..Plot::default() });
    let unseen = |r: &&Stamped| matches!(&r.record, Record::Observed { seen: Err(_), .. });
    assert_eq!(looked.iter().find(unseen), None);
    let called = records(Plot { slow: Some(("fence".into(), late)), ..Plot::default() });
    assert!(matches!(ended(&called, 1).1, CallResult::Applied), "{:?}", ended(&called, 1));
}

#[test]
fn an_end_is_written_at_once_and_not_when_the_step_beside_it_has_ended() {
    let slow = Span::secs(15);
    let records = records(Plot { slow: Some(("right".into(), slow)), ..Plot::default() });
    let (left, right) = (ended(&records, 3).0, ended(&records, 4).0);
    assert!(right.since(left) >= slow, "a death in between would not know that it was done");
}
