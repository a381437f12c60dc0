//! One resolved run in one simulated world, and the telling of a single life in it: the real engine, drive and providers,
//! with whatever the schedule lets go wrong. The crash matrix tells hundreds of them.

use super::space::Life;
use crate::config::Config;
use crate::kernel::domain::{Actor, Digest, Record, Resolved, Role, Rpo, RunId, Span, Time, Via};
use crate::kernel::engine::Command;
use crate::kernel::inject::{Death, Injector};
use crate::kernel::journal::Entry;
use crate::kernel::port::Samples;
use crate::kernel::sim::{End, Fuse, Sim};
use crate::provider::ProviderRegistry;
use crate::simulated::world::{Standing, Start, TwoSites, Watch};
use futures_util::future::{BoxFuture, pending};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// When every simulated alert comes.
pub const NOW: Time = Time(1_750_000_000_000_000);
/// Longer than any step may take.
pub const PATIENCE: Span = Span::mins(8);
/// Five looks.
pub const HOLD: Span = Span::secs(75);

/// What the person says whom a run asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They power the old primary off, and confirm it.
    PowerOff,
    /// They accept by name that it is not fenced.
    AcceptUnfenced,
}

#[derive(Clone)]
pub struct Plot {
    pub config: Arc<Config>,
    pub spec: Resolved,
    pub start: Start,
    pub answer: Option<Answer>,
    /// How long the story goes on while the run works, or is held.
    pub patience: Span,
    pub hold: Span,
}

/// A plot's world and simulator, set for one life.
pub struct Set {
    pub sim: Sim,
    pub sites: Arc<TwoSites>,
    pub registry: Injector,
    pub samples: Arc<dyn Samples>,
    before: Standing,
}

pub struct Story {
    pub end: Result<End, String>,
    pub effects: BTreeMap<String, u32>,
    pub standing: Standing,
    /// How things stood before the run.
    pub before: Standing,
    pub watch: Watch,
    /// Bytes that the old primary had accepted and the new one never got: when we promoted it, else until now.
    pub lost: Option<u64>,
    /// What the run itself says of that.
    pub rpo: Option<Rpo>,
    /// Kind and target of every intent on record.
    pub intents: Vec<(String, String)>,
    /// Boundaries, calls, appends.
    pub counted: (u32, u32, u32),
}

/// The fault `crash` of a playbook: the simulator's process dies.
pub struct Burn(pub Arc<Fuse>);

impl Death for Burn {
    fn die(&self) -> BoxFuture<'static, Infallible> {
        self.0.burn();
        Box::pin(pending())
    }
}

impl Plot {
    /// What this playbook names must be something that can be simulated; all that is not is told.
    pub fn can_be_told(&self) -> Result<(), Vec<String>> {
        let sim = self.sim(&Life::default());
        TwoSites::new(&self.config, &self.spec, sim.fuse.clone(), self.start, None, &sim.world).map(|_| ())
    }

    pub fn sim(&self, life: &Life) -> Sim {
        let mut sim = Sim::new(life.schedule.clone(), NOW);
        let gaps = if life.schedule.gap { life.schedule.deaths.len() as u64 } else { 0 };
        sim.patience = Span(self.patience.0 + Span::mins(60 * gaps).0);
        sim.hold_patience = self.hold;
        sim
    }

    /// The world for one life in a simulator that the caller has prepared.
    pub fn set(&self, sim: Sim, life: &Life) -> Result<Set, Vec<String>> {
        let fuse = sim.fuse.clone();
        let sites = TwoSites::new(&self.config, &self.spec, fuse, self.start, life.hand, &sim.world)?;
        let real = ProviderRegistry { config: self.config.clone(), ports: sites.ports() };
        let registry = Injector::new(Arc::new(real), Arc::new(Burn(sim.fuse.clone())));
        let (samples, before) = (sites.samples(&sim.world), sites.standing());
        Ok(Set { sim, sites, registry, samples, before })
    }

    pub fn live(&self, life: &Life) -> Result<Story, Vec<String>> {
        Ok(self.live_on(self.set(self.sim(life), life)?))
    }

    pub fn live_on(&self, set: Set) -> Story {
        let end = set.sim.open(self.spec.clone()).and_then(|run| {
            let end = set.finish(&run)?;
            match (&end, self.answer) {
                (End::Waits(says), Some(answer)) if says.starts_with("waits for a person") => {
                    say(answer, &set.sim, &set.sites, &run)?;
                    set.finish(&run)
                }
                _ => Ok(end),
            }
        });
        set.story(end)
    }
}

impl Set {
    /// To the end, by as many processes as it takes.
    pub fn finish(&self, run: &RunId) -> Result<End, String> {
        self.sim.finish(run, &self.registry, self.samples.clone())
    }

    pub fn story(self, end: Result<End, String>) -> Story {
        let Set { sim, sites, before, .. } = self;
        Story {
            end,
            effects: sites.effects(),
            standing: sites.standing(),
            before,
            watch: sites.watch(),
            lost: sites.watch().lost.or(sites.lost()),
            rpo: rpo(&sim),
            intents: intents(&sim.backend.inner.entries()),
            counted: sim.fuse.counted(),
        }
    }
}

fn say(answer: Answer, sim: &Sim, sites: &TwoSites, run: &RunId) -> Result<(), String> {
    let by = Actor::token("bo".into(), vec![Role::IncidentLead, Role::Operator], Via::Cli);
    match answer {
        Answer::PowerOff => {
            sites.power_off(&[]);
            sim.say(run, &by, &Command::Confirm { item: None })
        }
        Answer::AcceptUnfenced => {
            sites.accept_unfenced();
            let accept_unfenced = sites.names.olds.clone();
            sim.say(run, &by, &Command::Approve { digest: Digest::ZERO, accept_unfenced, solo: false })
        }
    }
}

/// Kind and target of each intent among these records.
pub fn intents(entries: &[Entry]) -> Vec<(String, String)> {
    let intent = |entry: &Entry| match Record::decode(&entry.kind, entry.version, &entry.body) {
        Ok(Record::Intended { spec, .. }) => Some((spec.kind.to_string(), spec.target.to_string())),
        _ => None,
    };
    entries.iter().filter(|entry| entry.kind == "intended").filter_map(intent).collect()
}

/// From the run's last record.
fn rpo(sim: &Sim) -> Option<Rpo> {
    let last = sim.backend.inner.entries().pop()?;
    match Record::decode(&last.kind, last.version, &last.body) {
        Ok(Record::Finished { rpo, .. }) => rpo,
        _ => None,
    }
}
