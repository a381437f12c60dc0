//! A checked playbook with its configuration: what every case of a test file, and the crash matrix, begin with.

use super::life::{HOLD, NOW, PATIENCE, Plot};
use super::model::{Case, Incoming};
use super::people;
use crate::config::Config;
use crate::document::Problem;
use crate::intake::{Format, Status};
use crate::kernel::domain::{Actor, Cause, Mode, Name, Reason, Resolved, SourceKind, Span};
use crate::playbook::{self, AlertView, Opening, Playbook};
use crate::provider::{Ports, ProviderRegistry};
use crate::simulated::world::Start;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest recorded payload that is read.
const MOST_BYTES: u64 = 8 << 20;

pub struct Stage {
    pub config: Arc<Config>,
    pub playbook: Playbook,
    /// Where payloads lie.
    pub folder: PathBuf,
}

/// What an alert came to.
pub enum Began {
    Run { spec: Box<Resolved>, confirmed_for: Span },
    Not(Vec<Reason>),
}

impl Stage {
    /// Checks the playbook. `None`: it has errors, which are among the problems.
    pub fn new(text: &str, file: &str, config: Arc<Config>, folder: &Path) -> (Option<Stage>, Vec<Problem>) {
        let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
        let (playbook, problems) = playbook::check(text, file, &config, &registry);
        (playbook.map(|playbook| Stage { config, playbook, folder: folder.to_owned() }), problems)
    }

    /// The run that this case begins, or why there is none. `Err`: the test itself cannot be carried out.
    pub fn begin(&self, case: &Case) -> Result<Began, String> {
        let (cause, alert, confirmed_for) = match &case.started_by {
            Some(person) => {
                let by = people::actor(&self.config, person, &self.playbook.service)?;
                (Cause::Person { by, reason: "as the test says".into() }, None, Span::ZERO)
            }
            None => {
                let mut why = vec![];
                let mut taken = None;
                for alert in self.alerts(case)? {
                    match playbook::match_alert(&self.playbook, &alert) {
                        Ok(trigger) => {
                            taken = Some((alert, trigger.confirmed_for));
                            break;
                        }
                        Err(reason) => why.push(reason),
                    }
                }
                let Some((alert, confirmed_for)) = taken else { return Ok(Began::Not(why)) };
                (caused_by(&alert), Some(alert), confirmed_for)
            }
        };
        match self.resolved(cause, alert) {
            Err(problems) => {
                let why = problems.into_iter().map(|p| Reason::new(p.code, p.says)).collect();
                Ok(Began::Not(why))
            }
            Ok(mut spec) => {
                spec.mode = case.mode.unwrap_or(spec.mode);
                Ok(Began::Run { spec: Box::new(spec), confirmed_for })
            }
        }
    }

    /// For the crash matrix: the alert that this playbook waits for, or the person who starts it where it waits for none;
    /// with nobody to be asked.
    pub fn plot(&self, start: Start) -> Result<Plot, Vec<String>> {
        let says = |problems: Vec<Problem>| problems.into_iter().map(|p| p.says).collect::<Vec<_>>();
        let stand_in = self.playbook.stand_in();
        let (cause, alert) = match self.playbook.triggers.is_empty() {
            false => (caused_by(&stand_in), Some(stand_in)),
            true => (Cause::Person { by: Actor::internal(), reason: "the crash matrix".into() }, None),
        };
        let mut spec = self.resolved(cause, alert).map_err(says)?;
        spec.mode = Mode::Auto;
        let plot =
            Plot { config: self.config.clone(), spec, start, answer: None, patience: PATIENCE, hold: HOLD };
        plot.can_be_told()?;
        Ok(plot)
    }

    fn resolved(&self, cause: Cause, alert: Option<AlertView>) -> Result<Resolved, Vec<Problem>> {
        let opening = Opening { run: "TRIAL1".into(), epoch: 1, owner: "life 0".into(), cause, alert };
        playbook::resolve(&self.playbook, &self.config, opening)
    }

    fn alerts(&self, case: &Case) -> Result<Vec<AlertView>, String> {
        let mut all = vec![];
        for incoming in &case.alerts {
            match incoming {
                Incoming::Labels { from, source, labels, annotations } => {
                    all.push(view(*from, source.as_ref(), labels.clone(), annotations.clone()));
                }
                Incoming::Payload { from, source, file: (file, _) } => {
                    let path = self.folder.join(file);
                    let size = std::fs::metadata(&path).map(|m| m.len()).unwrap_or(0);
                    if size > MOST_BYTES {
                        return Err(format!(
                            "{}: {size} bytes, at most {MOST_BYTES} are read",
                            path.display()
                        ));
                    }
                    let body = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                    let known = source.as_ref().and_then(|name| self.config.sources.get(name));
                    let generic = known.and_then(|source| source.generic.as_ref());
                    if let (Some(name), SourceKind::Generic, None) = (source, from, generic) {
                        return Err(format!(
                            "the configuration has no source {name:?} with a preset or a mapping"
                        ));
                    }
                    let read = Format::read_file(*from, generic, &body);
                    let delivery = read.map_err(|e| format!("{}: {e}", path.display()))?;
                    let firing = delivery.alerts.into_iter().filter(|alert| alert.status == Status::Firing);
                    all.extend(
                        firing.map(|alert| view(*from, source.as_ref(), alert.labels, alert.annotations)),
                    );
                }
            }
        }
        Ok(all)
    }
}

type Pairs = std::collections::BTreeMap<String, String>;

fn view(from: SourceKind, source: Option<&Name>, labels: Pairs, annotations: Pairs) -> AlertView {
    let source = source.cloned().unwrap_or_else(|| from.as_str().into());
    AlertView::new(source, from, labels, annotations)
}

fn caused_by(alert: &AlertView) -> Cause {
    let labels = serde_json::to_value(&alert.labels).unwrap_or_default();
    Cause::Alert { occurrences: vec!["alert-1".into()], started: NOW, delivered: NOW, labels }
}
