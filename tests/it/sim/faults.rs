//! Each fault on purpose at each step of the shipped playbook that changes something: the real engine, drive and providers,
//! around models of real servers.

use super::plot::{Plot, Staged as _, Story};
use super::schedules::Life;
use super::{APP_DEAD, KILLED};
use pointsman::kernel::domain::{Form, Name, Outcome};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::inject::Inject;
use pointsman::kernel::sim::End;
use pointsman::simulated::world::Start;

fn tell(start: Start, fault: Option<(&Name, Inject)>) -> Story {
    let mut plot = match start.app_dead {
        true => Plot::app_only("postgres-two-sites.yaml", start),
        false => Plot::shipped("postgres-two-sites.yaml", start),
    };
    if let Some((step, fault)) = fault {
        assert!(fault.plant(&mut plot.spec, step.as_str()), "{step}");
    }
    plot.tell(&Life::default(), Mistake::None)
}

/// Steps and verifications that change something.
fn steps() -> Vec<Name> {
    let plot = Plot::shipped("postgres-two-sites.yaml", KILLED);
    let acts = |item: &&pointsman::kernel::domain::Item| {
        item.rungs.iter().any(|rung| matches!(rung.form, Form::Act(_)))
    };
    plot.spec.items.iter().filter(acts).map(|item| item.name.clone()).collect()
}

#[test]
fn every_fault_at_every_step_of_the_shipped_playbook() {
    let (mut served, mut stopped) = (0, 0);
    for start in [KILLED, APP_DEAD] {
        let calm = tell(start, None);
        assert_eq!(calm.end, Ok(End::Finished(Outcome::Succeeded)));
        for step in steps() {
            for fault in Inject::ALL {
                let story = tell(start, Some((&step, fault)));
                let what = format!("{fault:?} at {step}");
                assert!(story.watch.violations.is_empty(), "{what}: {:?}", story.watch.violations);
                let promoted = |story: &Story| {
                    story.effects.iter().find(|(name, _)| name.ends_with(" promoted")).map(|(_, n)| *n)
                };
                assert!(promoted(&story).is_none_or(|n| n == 1), "{what}: {:?}", story.effects);
                match (&story.end, fault) {
                    (Ok(End::Waits(_)), Inject::Fail) => stopped += 1,
                    (Ok(End::Finished(Outcome::Succeeded)), Inject::Fail) => {
                        panic!("{what}: nothing was done there")
                    }
                    (Ok(End::Finished(Outcome::Succeeded)), _) => {
                        assert_eq!(story.standing, calm.standing, "{what}");
                        served += 1;
                    }
                    (end, _) => panic!("{what}: {end:?}"),
                }
            }
        }
    }
    println!("faults on purpose: {served} ended well by themselves, {stopped} stopped for a person");
    assert!(served >= 40 && stopped >= 10, "{served} {stopped}");
}
