//! What the people of a test say to the run, through the same decision that every surface asks, and who they are.

use super::faults::means;
use super::model::{Person, Says, Word};
use crate::config::Config;
use crate::kernel::domain::{Actor, Digest, Fact, Item, ItemId, Name, Role, RunId, Via};
use crate::kernel::engine::{Command, Consent, ItemPhase, Run};
use crate::kernel::sim::Sim;
use crate::simulated::world::TwoSites;
use std::collections::BTreeSet;

/// Whoever may let a run go on, leave something out or end it.
const OPERATORS: [Role; 3] = [Role::Operator, Role::IncidentLead, Role::Admin];

/// `Err`: there is nobody of this name.
pub fn actor(config: &Config, person: &Person, service: &Name) -> Result<Actor, String> {
    let name = person.name.0.as_str();
    let known = config.people.get(&Name::from(name));
    let roles = match (&person.roles, known) {
        (Some(roles), _) => roles.clone(),
        (None, Some(known)) => known.roles_for(service),
        (None, None) => {
            return Err(format!(
                "{name} is not among [people] of the configuration; add them, or say as: [role] here"
            ));
        }
    };
    let groups = known.map(|known| known.groups.clone()).unwrap_or_default();
    Ok(Actor { person: known.is_some(), groups, ..Actor::token(name.into(), roles, Via::Cli) })
}

/// `Ok(Err(why))`: the run refused it.
pub fn say(
    word: &Word,
    by: &Actor,
    sim: &Sim,
    sites: &TwoSites,
    run: &Run,
    id: &RunId,
) -> Result<Result<(), String>, String> {
    let item = match &word.step {
        Some((name, _)) => {
            Some(waiting(run, name).ok_or(format!("no step {name:?} of the run is stopped or waits"))?)
        }
        None => None,
    };
    if word.powers_off {
        sites.power_off(&item.map(|id| fenced(run.item(id))).unwrap_or_default());
    }
    let command = match word.says {
        Says::Approve => Command::Approve { digest: asked(run), accept_unfenced: vec![], solo: false },
        Says::ApproveAlone => Command::Approve { digest: asked(run), accept_unfenced: vec![], solo: true },
        Says::Pass => Command::Pass,
        Says::AcceptUnfenced => {
            let accept_unfenced = item.map_or_else(|| unfenced(run, sites), |id| fenced(run.item(id)));
            Command::Approve { digest: Digest::ZERO, accept_unfenced, solo: false }
        }
        Says::Reject => Command::Reject,
        Says::Confirm => Command::Confirm { item },
        Says::Retry => Command::Retry { item },
        Says::Skip => Command::Skip { item },
        Says::Abort => Command::Abort,
        Says::Close => Command::Close,
    };
    let decides = matches!(
        word.says,
        Says::Approve | Says::ApproveAlone | Says::AcceptUnfenced | Says::Reject | Says::Pass
    );
    if !decides && !OPERATORS.iter().any(|role| by.has(*role)) {
        return Ok(Err(format!("{by} has none of the roles operator, incident-lead, admin")));
    }
    let said = sim.say(id, by, &command);
    if said.is_ok() && word.says == Says::AcceptUnfenced {
        sites.accept_unfenced();
    }
    Ok(said)
}

fn asked(run: &Run) -> Digest {
    match &run.consent {
        Consent::Asked { digest, .. } => *digest,
        Consent::None | Consent::Given { .. } | Consent::Denied { .. } => Digest::ZERO,
    }
}

/// The servers that a step fences, whichever way.
fn fenced(item: &Item) -> Vec<Name> {
    let proven = item.rungs.iter().flat_map(|rung| &rung.proves).filter_map(|fact| match fact {
        Fact::Fenced { target, .. } => Some(target),
        _ => None,
    });
    let specs = item.rungs.iter().filter_map(|rung| rung.form.spec());
    let commands = specs.filter(|spec| spec.kind.as_str().ends_with(".fence")).map(|spec| &spec.target);
    let all: BTreeSet<&Name> = proven.chain(commands).collect();
    all.into_iter().cloned().collect()
}

/// Old servers whose fence the run asks about now; without any, all of them.
fn unfenced(run: &Run, sites: &TwoSites) -> Vec<Name> {
    let stopped =
        |id: &ItemId| matches!(run.state(*id).phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson);
    let rules = ids(run).filter(stopped).filter_map(|id| run.item(id).accept_unfenced.as_ref());
    let asked: Vec<Name> = rules.map(|rule| rule.target.clone()).collect();
    if asked.is_empty() { sites.names.olds.clone() } else { asked }
}

fn ids(run: &Run) -> impl Iterator<Item = ItemId> {
    0..ItemId::try_from(run.items.len()).unwrap_or(ItemId::MAX)
}

fn waiting(run: &Run, name: &str) -> Option<ItemId> {
    let stopped =
        |id: &ItemId| matches!(run.state(*id).phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson);
    ids(run).filter(|id| means(name, run.item(*id))).find(stopped)
}
