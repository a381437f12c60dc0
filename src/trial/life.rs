//! One resolved run in one simulated world, and the telling of a single life in it: the real engine, drive and providers,
//! with whatever the schedule lets go wrong. The crash matrix tells hundreds of them.

use super::space::Life;
use crate::config::Config;
use crate::kernel::domain::{Actor, Digest, Record, Resolved, Role, Rpo, RunId, Span, Time, Via};
use crate::kernel::engine::Command;
use crate::kernel::sim::{End, Sim};
use crate::provider::ProviderRegistry;
use crate::simulated::world::{Standing, Start, TwoSites, Watch};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When every simulated alert comes.
pub const NOW: Time = Time(1_750_000_000_000_000);
/// Longer than any step may take.
const PATIENCE: Span = Span::mins(8);
/// Five looks.
const HOLD: Span = Span::secs(75);

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
    /// Boundaries, calls, appends.
    pub counted: (u32, u32, u32),
    /// Intents in the journal.
    pub intended: u32,
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
        sim.patience = Span(PATIENCE.0 + Span::mins(60 * gaps).0);
        sim.hold_patience = HOLD;
        sim
    }

    pub fn live(&self, life: &Life) -> Result<Story, Vec<String>> {
        self.live_in(&self.sim(life), life)
    }

    /// The same in a simulator that the caller has prepared.
    pub fn live_in(&self, sim: &Sim, life: &Life) -> Result<Story, Vec<String>> {
        let fuse = sim.fuse.clone();
        let sites = TwoSites::new(&self.config, &self.spec, fuse, self.start, life.hand, &sim.world)?;
        let registry = ProviderRegistry { config: self.config.clone(), ports: sites.ports() };
        let samples = sites.samples(&sim.world);
        let before = sites.standing();
        let end = sim.open(self.spec.clone()).and_then(|run| {
            let end = sim.finish(&run, &registry, samples.clone())?;
            match (&end, self.answer) {
                (End::Waits(says), Some(answer)) if says.starts_with("waits for a person") => {
                    say(answer, sim, &sites, &run)?;
                    sim.finish(&run, &registry, samples)
                }
                _ => Ok(end),
            }
        });
        Ok(Story {
            end,
            effects: sites.effects(),
            standing: sites.standing(),
            before,
            watch: sites.watch(),
            lost: sites.watch().lost.or(sites.lost()),
            rpo: rpo(sim),
            counted: sim.fuse.counted(),
            intended: intended(sim),
        })
    }
}

fn say(answer: Answer, sim: &Sim, sites: &TwoSites, run: &RunId) -> Result<(), String> {
    let by = Actor { name: "bo".into(), roles: vec![Role::IncidentLead, Role::Operator], via: Via::Cli };
    match answer {
        Answer::PowerOff => {
            sites.power_off_old();
            sim.say(run, &by, &Command::Confirm { item: None })
        }
        Answer::AcceptUnfenced => {
            sites.accept_unfenced();
            let accept_unfenced = vec![sites.names.old.clone()];
            sim.say(run, &by, &Command::Approve { digest: Digest::ZERO, accept_unfenced })
        }
    }
}

fn intended(sim: &Sim) -> u32 {
    let entries = sim.backend.inner.entries();
    u32::try_from(entries.iter().filter(|entry| entry.kind == "intended").count()).unwrap_or(u32::MAX)
}

/// From the run's last record.
fn rpo(sim: &Sim) -> Option<Rpo> {
    let last = sim.backend.inner.entries().pop()?;
    match Record::decode(&last.kind, last.version, &last.body) {
        Ok(Record::Finished { rpo, .. }) => rpo,
        _ => None,
    }
}
