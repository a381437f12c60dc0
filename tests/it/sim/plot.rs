//! One scenario: a shipped playbook, resolved, in a world; and the telling of one life in it.

use super::schedules::Life;
use futures_util::future::BoxFuture;
use pointsman::config::Config;
use pointsman::kernel::domain::{
    Actor, Cause, Digest, Mode, Record, Resolved, Role, Rpo, RunId, Span, Time, Via,
};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::engine::Command;
use pointsman::kernel::inject::{Death, Injector};
use pointsman::kernel::journal::Entry;
use pointsman::kernel::port::Samples;
use pointsman::kernel::sim::{End, Fuse, Sim};
use pointsman::playbook::{AlertView, Opening, check, has_errors, resolve};
use pointsman::provider::{Ports, ProviderRegistry};
use pointsman::simulated::world::{Standing, Start, TwoSites, Watch};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
pub struct Stage {
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

/// The fault `crash`: the simulator's process dies.
struct Burn(Arc<Fuse>);

impl Death for Burn {
    fn die(&self) -> BoxFuture<'static, Infallible> {
        self.0.burn();
        Box::pin(pending())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

/// Name and text of every playbook that is shipped.
pub fn shipped() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let playbook = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml");
    let mut found: Vec<(String, String)> = files
        .filter(playbook)
        .filter(|path| !path.to_string_lossy().ends_with(".test.yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "nothing is shipped");
    found
}

impl Plot {
    pub fn shipped(file: &str, start: Start) -> Plot {
        Plot::of(file, start, |text| text)
    }

    /// The origin guard asks the application alone: a site whose users are not served is down.
    pub fn app_only(file: &str, start: Start) -> Plot {
        Plot::of(file, start, |text| {
            let changed = text.replace("probes: [gra-app, gra-db]", "probes: [gra-app]");
            assert_ne!(changed, text, "the guard is not written as this test knows it");
            changed
        })
    }

    fn of(file: &str, start: Start, change: impl Fn(String) -> String) -> Plot {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        let text = change(text).replace("mode: observe", "mode: auto");
        let plot = Plot::written(&text, file, start).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(plot.spec.mode, Mode::Auto, "a playbook that only observes shows nothing here");
        plot
    }

    /// Any text, with the places of the example; or what `check` says against it.
    pub fn written(text: &str, file: &str, start: Start) -> Result<Plot, String> {
        let example = std::fs::read_to_string(folder().join("pointsman.example.toml")).unwrap();
        let (config, problems) = pointsman::config::parse(&example, "example.toml");
        assert!(!has_errors(&problems), "{problems:?}");
        let config = Arc::new(config.unwrap());
        let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
        let (playbook, problems) = check(text, file, &config, &registry);
        if has_errors(&problems) {
            return Err(format!("{problems:?}"));
        }
        let labels = BTreeMap::from([
            ("alertname".to_owned(), "SiteDown".to_owned()),
            ("severity".to_owned(), "critical".to_owned()),
            ("site".to_owned(), "gra".to_owned()),
        ]);
        let cause = Cause::Alert {
            occurrences: vec![],
            started: NOW,
            delivered: NOW,
            labels: serde_json::to_value(&labels).unwrap(),
        };
        let alert = AlertView {
            source: "alertmanager".into(),
            format: "alertmanager".into(),
            name: "SiteDown".into(),
            labels,
            annotations: BTreeMap::new(),
        };
        let opening =
            Opening { run: "S1M001".into(), epoch: 1, owner: "life 0".into(), cause, alert: Some(alert) };
        let spec = resolve(&playbook.unwrap(), &config, opening).unwrap();
        Ok(Plot { config, spec, start, answer: None, patience: PATIENCE, hold: HOLD })
    }

    pub fn stage(&self, life: &Life, mistake: Mistake) -> Stage {
        let mut sim = Sim::new(life.schedule.clone(), NOW);
        sim.mistake = mistake;
        let gaps = if life.schedule.gap { life.schedule.deaths.len() as u64 } else { 0 };
        sim.patience = Span(self.patience.0 + Span::mins(60 * gaps).0);
        sim.hold_patience = self.hold;
        let sites =
            TwoSites::new(&self.config, &self.spec, sim.fuse.clone(), self.start, life.hand, &sim.world)
                .unwrap();
        let real = ProviderRegistry { config: self.config.clone(), ports: sites.ports() };
        let registry = Injector::new(Arc::new(real), Arc::new(Burn(sim.fuse.clone())));
        let (samples, before) = (sites.samples(&sim.world), sites.standing());
        Stage { sim, sites, registry, samples, before }
    }

    pub fn tell(&self, life: &Life, mistake: Mistake) -> Story {
        let stage = self.stage(life, mistake);
        let end = stage.sim.open(self.spec.clone()).and_then(|run| {
            let end = stage.finish(&run)?;
            match (&end, self.answer) {
                (End::Waits(says), Some(answer)) if says.starts_with("waits for a person") => {
                    self.say(answer, &stage.sim, &stage.sites, &run)?;
                    stage.finish(&run)
                }
                _ => Ok(end),
            }
        });
        stage.story(end)
    }

    fn say(&self, answer: Answer, sim: &Sim, sites: &TwoSites, run: &RunId) -> Result<(), String> {
        let by = Actor::token("bo".into(), vec![Role::IncidentLead, Role::Operator], Via::Cli);
        match answer {
            Answer::PowerOff => {
                sites.power_off_old();
                sim.say(run, &by, &Command::Confirm { item: None })
            }
            Answer::AcceptUnfenced => {
                sites.accept_unfenced();
                let accept_unfenced = vec![sites.names.old.clone()];
                sim.say(run, &by, &Command::Approve { digest: Digest::ZERO, accept_unfenced, solo: false })
            }
        }
    }
}

impl Stage {
    /// To the end, by as many processes as it takes.
    pub fn finish(&self, run: &RunId) -> Result<End, String> {
        self.sim.finish(run, &self.registry, self.samples.clone())
    }

    pub fn story(self, end: Result<End, String>) -> Story {
        let Stage { sim, sites, before, .. } = self;
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

/// From the run's last record.
fn rpo(sim: &Sim) -> Option<Rpo> {
    match record(&sim.backend.inner.entries().pop()?) {
        Record::Finished { rpo, .. } => rpo,
        _ => None,
    }
}

pub fn intents(entries: &[Entry]) -> Vec<(String, String)> {
    let intent = |entry: &Entry| match record(entry) {
        Record::Intended { spec, .. } => Some((spec.kind.to_string(), spec.target.to_string())),
        _ => None,
    };
    entries.iter().filter(|entry| entry.kind == "intended").filter_map(intent).collect()
}

fn record(entry: &Entry) -> Record {
    Record::decode(&entry.kind, entry.version, &entry.body).unwrap()
}
