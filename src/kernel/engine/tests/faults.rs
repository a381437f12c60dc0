//! Each fault on purpose at each step: the run ends well without help, or stops for a person with nothing made twice.

use super::*;
use crate::inject::{Death, Inject, Injector};
use crate::journal::Journal;
use std::convert::Infallible;
use std::future::pending;

/// The simulator's process dies.
struct Burn(Arc<Fuse>);

impl Death for Burn {
    fn die(&self) -> BoxFuture<'static, Infallible> {
        self.0.burn();
        Box::pin(pending())
    }
}

/// The end, the changes of each register, and the records.
fn tell(fault: Inject, step: &str) -> (End, BTreeMap<Name, u32>, Vec<Stamped>) {
    let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
    let registers = Arc::new(Mutex::new(Registers::default()));
    let mut spec = spec(Mode::Auto);
    assert!(fault.plant(&mut spec, step), "{step}");
    assert!(!fault.plant(&mut spec, "nobody") && !fault.plant(&mut spec, "guard"));
    let toy = Arc::new(Toy::new(&sim, &registers));
    let registry = Injector::new(toy, Arc::new(Burn(sim.fuse.clone())));
    let run = sim.open(spec).unwrap();
    let end = sim.finish(&run, &registry, Arc::new(NoSamples)).unwrap();
    let journal = Journal::new(sim.backend.clone());
    let records = sim.block_on(journal.read(&Stream::Run(run), 1)).unwrap().unwrap();
    let changes = registers.lock().unwrap().changes.clone();
    (end, changes, records)
}

#[test]
fn every_fault_at_every_step_ends_well_or_stops() {
    for step in SET {
        for fault in Inject::ALL {
            let (end, changes, records) = tell(fault, step);
            let of = |kind: &str| records.iter().filter(|r| r.record.kind() == kind).count();
            let once = changes.values().all(|n| *n == 1);
            match fault {
                Inject::Fail => {
                    assert!(
                        matches!(&end, End::Waits(says) if says.contains("inject: fail")),
                        "{step}: {end:?}"
                    );
                    assert!(once && !changes.contains_key(&Name::from(step)), "{step}: {changes:?}");
                }
                _ => {
                    assert_eq!(end, End::Finished(Outcome::Succeeded), "{fault:?} at {step}");
                    assert!(once && changes.len() == SET.len(), "{fault:?} at {step}: {changes:?}");
                }
            }
            assert_eq!(of("taken"), usize::from(fault == Inject::Crash), "{fault:?} at {step}");
            let doubt = |r: &&Stamped| matches!(&r.record, Record::Ended { end, .. } if end.result == CallResult::Indeterminate);
            let doubts = records.iter().filter(doubt).count();
            assert_eq!(doubts, usize::from(fault == Inject::TimeoutAfterApplied), "{fault:?} at {step}");
            let verify = |r: &&Stamped| {
                let of_step =
                    |item: &ItemId| spec(Mode::Auto).items[usize::from(*item)].name.as_str() == step;
                matches!(&r.record, Record::Observed { item, why: WhyObserved::Verify, .. } if of_step(item))
            };
            let looks = records.iter().filter(verify).count();
            assert_eq!(looks > 1, fault == Inject::StaleRead, "{fault:?} at {step}: {looks} looks");
        }
    }
}

#[test]
fn a_fault_that_nobody_wraps_is_no_fault_of_this_name() {
    let (sim, registers) = (Sim::new(Schedule::default(), Time(1)), Arc::default());
    let registry = Injector::new(Arc::new(Toy::new(&sim, &registers)), Arc::new(Burn(sim.fuse.clone())));
    let bind = |kind: &str, word: &str| {
        let with = json!({ "inject": word });
        registry.bind(&Spec { kind: kind.into(), target: "x".into(), with }).is_ok()
    };
    assert!(bind("toy.set", "crash") && !bind("toy.set", "crsh"));
    assert!(!bind("toy.up", "fail"), "a check changes nothing");
}
