//! One scenario: a shipped playbook, or any text, resolved, in a world; with mistakes planted where a test says so.

use super::schedules::Life;
use pointsman::kernel::domain::{Cause, Mode, SourceKind};
use pointsman::kernel::drive::Mistake;
use pointsman::playbook::{AlertView, Opening, check, has_errors, resolve};
use pointsman::provider::{Ports, ProviderRegistry};
use pointsman::simulated::world::Start;
pub use pointsman::trial::{Answer, HOLD, NOW, PATIENCE, Plot, Set as Stage, Story, intents};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks")
}

/// Name and text of every playbook that is shipped and promotes a database alone when its site is lost.
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
        .filter(|(_, text)| text.contains("postgres.promote"))
        .filter(|(_, text)| !text.contains("redis.promote") && !text.contains("kind: switchover"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "nothing is shipped");
    found
}

pub trait Staged: Sized {
    fn shipped(file: &str, start: Start) -> Self;
    /// The origin guard asks the application alone: a site whose users are not served is down.
    fn app_only(file: &str, start: Start) -> Self;
    fn of(file: &str, start: Start, change: impl Fn(String) -> String) -> Self;
    /// Any text, with the places of the example; or what `check` says against it.
    fn written(text: &str, file: &str, start: Start) -> Result<Self, String>;
    fn stage(&self, life: &Life, mistake: Mistake) -> Stage;
    fn tell(&self, life: &Life, mistake: Mistake) -> Story;
}

impl Staged for Plot {
    fn shipped(file: &str, start: Start) -> Plot {
        Plot::of(file, start, |text| text)
    }

    fn app_only(file: &str, start: Start) -> Plot {
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

    fn written(text: &str, file: &str, start: Start) -> Result<Plot, String> {
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
        let kind = SourceKind::Alertmanager;
        let alert = AlertView::new("alertmanager".into(), kind, labels, BTreeMap::new());
        let opening =
            Opening { run: "S1M001".into(), epoch: 1, owner: "life 0".into(), cause, alert: Some(alert) };
        let spec = resolve(&playbook.unwrap(), &config, opening).unwrap();
        Ok(Plot { config, spec, start, answer: None, patience: PATIENCE, hold: HOLD })
    }

    fn stage(&self, life: &Life, mistake: Mistake) -> Stage {
        let mut sim = self.sim(life);
        sim.mistake = mistake;
        self.set(sim, life).unwrap()
    }

    fn tell(&self, life: &Life, mistake: Mistake) -> Story {
        self.live_on(self.stage(life, mistake))
    }
}
