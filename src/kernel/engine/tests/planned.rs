//! The word that lets a living primary be fenced: only in a switchover, and only of a person.

use super::scene::*;
use crate::domain::*;
use crate::engine::{Command, Refused, Run};

fn run(kind: RunKind, cause: Cause) -> Run {
    let mut run = planned(Mode::Auto);
    let mut spec = (*run.spec).clone();
    (spec.kind, spec.cause) = (kind, cause);
    run.spec = spec.into();
    run
}

fn person_asked() -> Cause {
    Cause::Person { by: person(&[Role::Operator]), reason: "maintenance".into() }
}

fn alert() -> Cause {
    let labels = serde_json::json!({});
    Cause::Alert { occurrences: vec!["a".into()], started: NOW, delivered: NOW, labels }
}

fn is_planned(run: &Run) -> bool {
    let word = |facts: Vec<Fact>| facts.iter().any(|fact| matches!(fact, Fact::Planned { .. }));
    let (promised, proven) = (word(run.promised(1)), word(run.proven(1)));
    assert_eq!(promised, proven, "what the plan shows is what the write stands on");
    promised
}

#[test]
fn a_planned_move_is_a_switchover_that_a_person_opened_and_nothing_else() {
    use RunKind::*;
    for kind in [Failover, Switchover, Failback, Drill, Other, Refence] {
        assert_eq!(is_planned(&run(kind, person_asked())), kind == Switchover, "{kind:?}");
        assert!(!is_planned(&run(kind, alert())), "{kind:?} of an alert");
    }
}

/// It is said to no need: whatever asks for a fence asks for a fence.
#[test]
fn the_word_meets_no_need() {
    let word = Fact::Planned { service: "shop".into() };
    let down = Fact::Down { site: "shop".into() };
    assert!(!word.meets(&fenced()) && !word.meets(&down) && !fenced().meets(&word));
}

#[test]
fn an_alert_that_joined_a_planned_move_does_not_end_it() {
    let by = Actor::internal();
    let said = |run: &Run| run.decide(&Command::Resolved, &by, "", NOW);
    let refused = said(&run(RunKind::Switchover, person_asked()));
    assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
    assert!(said(&run(RunKind::Switchover, alert())).is_ok());
    assert!(said(&run(RunKind::Failover, person_asked())).is_ok());
}
