//! A small program that makes a run's remote calls in a run's order, as a person would write it down for one failover:
//! look at everything at once, then each step in turn. Nothing is decided, nothing is written down.

use anyhow::{Context, bail, ensure};
use futures_util::future::{BoxFuture, join_all, try_join_all};
use pointsman::kernel::domain::*;
use pointsman::kernel::journal::{Journal, MemoryBackend, Permit};
use pointsman::kernel::port::{Bound, Ctx, Registry as _, Sample, Samples, World};
use pointsman::playbook::{AlertView, Opening};
use pointsman::provider::{Ports, ProviderRegistry};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The word that makes this program of `benches/main`.
pub const BY_HAND: &str = "failover-by-hand";

const POLL: Duration = Duration::from_millis(50);
const POLLS: usize = 600;

/// Prints the seconds from the first call to the last answer.
pub fn run(config: &str, playbook: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let hand = Hand::new(Path::new(config), Path::new(playbook))?;
        let started = Instant::now();
        hand.fail_over().await?;
        println!("{}", started.elapsed().as_secs_f64());
        Ok(())
    })
}

struct Hand {
    registry: ProviderRegistry,
    items: Vec<Item>,
}

impl Hand {
    fn new(config: &Path, playbook: &Path) -> anyhow::Result<Hand> {
        let (parsed, problems) =
            pointsman::config::parse(&std::fs::read_to_string(config)?, "pointsman.toml");
        let config = Arc::new(parsed.with_context(|| format!("{problems:?}"))?);
        let registry =
            ProviderRegistry { ports: Ports::real(Arc::clone(&config)), config: Arc::clone(&config) };
        let text = std::fs::read_to_string(playbook)?;
        let (parsed, problems) = pointsman::playbook::check(&text, "shop.yaml", &config, &registry);
        let playbook = parsed.with_context(|| format!("{problems:?}"))?;
        let labels = [("alertname", "SiteDown"), ("site", "gra"), ("severity", "critical")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let opening = Opening {
            run: "BYHAND".into(),
            epoch: 1,
            owner: "by hand".into(),
            cause: Cause::Person { by: Actor::internal(), reason: "a benchmark".into() },
            alert: Some(AlertView::new("alertmanager".into(), SourceKind::Alertmanager, labels, [].into())),
        };
        let resolved = pointsman::playbook::resolve(&playbook, &config, opening);
        let resolved = resolved.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        Ok(Hand { registry, items: resolved.items })
    }

    async fn fail_over(&self) -> anyhow::Result<()> {
        let ahead = self.items.iter().filter(|item| item.planned_ahead);
        join_all(ahead.map(|item| async {
            for rung in &item.rungs {
                match self.look(rung, &[]).await {
                    Ok((_, StepPlan::Unknown(_))) => {}
                    _ => break,
                }
            }
        }))
        .await;
        let mut proven = vec![];
        for step in self.of(ItemRole::Step) {
            proven.extend(self.step(step, &proven).await?);
        }
        try_join_all(self.of(ItemRole::Verify).map(|item| self.step(item, &proven))).await?;
        Ok(())
    }

    fn of(&self, role: ItemRole) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.role == role)
    }

    /// The first rung that can be taken: looked at, changed, looked at until it is so.
    async fn step(&self, item: &Item, proven: &[Fact]) -> anyhow::Result<Vec<Fact>> {
        for rung in &item.rungs {
            if rung.form.spec().is_none() {
                continue;
            }
            let (bound, plan) = self.look(rung, proven).await?;
            let (mut given, mut applied) = (proven.to_vec(), None);
            match plan {
                StepPlan::Unknown(_) if item.rungs.len() > 1 => continue,
                StepPlan::Refuse(why) => bail!("{}: {why:?}", item.name),
                StepPlan::Change(change) => {
                    let Bound::Action(action) = &bound else { bail!("{} is no action", item.name) };
                    let target = rung.form.spec().context("no target")?.target.clone();
                    given.push(Fact::Ours { target, to: change.to.clone() });
                    applied = Some(change.gives.clone());
                    let end = action.apply(&ctx(), permit(*change).await?).await;
                    ensure!(end.result == CallResult::Applied, "{}: {end:?}", item.name);
                }
                StepPlan::Nothing { .. } | StepPlan::Unknown(_) => {}
            }
            for _ in 0..POLLS {
                // No sampler ran before: whose fork the new primary is, a look cannot tell, and refuses. It was asked.
                let gives = match self.look(rung, &given).await?.1 {
                    StepPlan::Nothing { gives, .. } => Some(gives),
                    StepPlan::Refuse(_) => applied.clone(),
                    StepPlan::Change(_) | StepPlan::Unknown(_) => None,
                };
                if let Some(gives) = gives {
                    return Ok(gives.into_iter().chain(rung.proves.iter().cloned()).collect());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        bail!("{} does not come about", item.name)
    }

    async fn look(&self, rung: &Rung, given: &[Fact]) -> anyhow::Result<(Bound, StepPlan)> {
        let spec = rung.form.spec().context("nothing to look at")?;
        let bound = self.registry.bind(spec).map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
        let seen = bound.check().observe(&ctx()).await?;
        let plan = bound.check().plan(&seen, given, Wall.now());
        Ok((bound, plan))
    }
}

/// Permits come from a journal; this one is in memory and forgotten.
async fn permit(change: Change) -> anyhow::Result<Permit> {
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let spec = Spec { kind: "by.hand".into(), target: "none".into(), with: json!(null) };
    let call = Call { item: 0, rung: 0, attempt: 1, undo: false };
    let record = Record::Intended { call, spec, change: Box::new(change) };
    let receipt = journal.write(Wall.now(), Stream::Run("BYHAND".into()), None, record).await;
    let receipt = receipt.map_err(|e| anyhow::anyhow!("{e:?}"))?;
    receipt.permits.into_iter().next().context("no permit")
}

fn ctx() -> Ctx {
    Ctx {
        world: Arc::new(Wall),
        samples: Arc::new(Forgotten),
        began: Wall.now(),
        deadline: Wall.now() + Span::secs(60),
        run: "BYHAND".into(),
        service: "shop".into(),
        epoch: 1,
        since: None,
    }
}

struct Wall;

impl World for Wall {
    fn now(&self) -> Time {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(at.since(self.now()).as_duration()))
    }
    fn random(&self) -> u64 {
        4
    }
}

/// Nothing was sampled before.
struct Forgotten;

impl Samples for Forgotten {
    fn recent(&self, _target: &Name) -> Vec<Sample> {
        vec![]
    }
}
