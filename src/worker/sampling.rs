//! Looks at pairs and probes all the time, so that what was true before an outage is known when it comes.

use super::App;
use crate::kernel::domain::Time;
use crate::kernel::domain::{Actor, Cause, Name, Span};
use crate::kernel::journal::ReadError;
use crate::kernel::port::Sample;
use crate::kernel::port::Samples as _;
use crate::provider::http::{self, ProbeMemory};
use crate::provider::{postgres, redis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SAMPLE_EVERY: Span = Span::secs(1);
const PROBE_EVERY: Span = Span::secs(10);
const WITHIN: Span = Span::secs(2);

/// A primary and the standby whose lag is watched.
type Pair = (Name, Name);

/// Every primary and standby whose lag some playbook guards, and every pair of Redis that one promotes from.
fn pairs(app: &App) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    let playbooks = app.playbooks();
    for (loaded, playbook) in playbooks.active() {
        let cause = Cause::Person { by: Actor::internal(), reason: "which pairs to sample".into() };
        let Ok(spec) = app.resolve(playbook, cause, None) else {
            tracing::warn!(playbook = %loaded.name, "it needs an alert to be resolved; its pairs are not sampled ahead");
            continue;
        };
        let specs = spec.items.iter().flat_map(|i| &i.rungs).filter_map(|r| r.form.spec());
        for spec in specs {
            let named = |key: &str| spec.with.get(key).and_then(|v| v.as_str()).map(Name::from);
            let target = || Some(spec.target.clone());
            let pair = match spec.kind.as_str() {
                "postgres.lag" => named("primary").zip(target()),
                "redis.promote" => named("old").zip(target()),
                "sentinel.failover" => named("old").zip(named("new")),
                _ => continue,
            };
            pairs.extend(pair);
        }
    }
    pairs
}

/// What was sampled before this process, or this playbook, began.
async fn load_samples(app: &App, standby: &Name) -> Result<(), ReadError> {
    if app.samples.recent(standby).is_empty() {
        app.samples.load(standby, app.store.samples(standby).await?);
    }
    Ok(())
}

/// Of all pairs, before anything can start.
pub async fn load_all_samples(app: &App) -> Result<(), ReadError> {
    for (_, standby) in pairs(app) {
        load_samples(app, &standby).await?;
    }
    Ok(())
}

/// Samples each pair every second, one task for each, so that a dead one holds up no other. Other playbooks have other
/// pairs.
pub async fn sample_pairs(app: Arc<App>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut sampled: BTreeMap<Pair, CancellationToken> = BTreeMap::new();
    loop {
        let wanted = pairs(&app);
        sampled.retain(|pair, stop| {
            let stays = wanted.contains(pair);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for pair in wanted.into_iter().filter(|pair| !sampled.contains_key(pair)).collect::<Vec<_>>() {
            let (primary, standby) = pair.clone();
            let own = stop.child_token();
            sampled.insert(pair, own.clone());
            tasks.spawn(sample_pair(app.clone(), primary, standby, own));
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = app.wakes.playbooks.notified() => {}
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Both ends, by what they are.
enum Ends {
    Postgres(Box<[postgres::Endpoint; 2]>),
    Redis(Box<[redis::Endpoint; 2]>),
}

impl Ends {
    fn of(app: &App, primary: &Name, standby: &Name) -> Option<Ends> {
        let config = &app.registry.config;
        let of_postgres = |name| postgres::Endpoint::of(config, name);
        let of_redis = |name| redis::Endpoint::of(config, name);
        match (of_postgres(primary), of_postgres(standby)) {
            (Some(from), Some(to)) => Some(Ends::Postgres(Box::new([from, to]))),
            _ => Some(Ends::Redis(Box::new([of_redis(primary)?, of_redis(standby)?]))),
        }
    }

    async fn sample(&self, app: &App, at: Time) -> Sample {
        let ports = &app.registry.ports;
        match self {
            Ends::Postgres(ends) => {
                let [from, to] = ends.as_ref();
                postgres::sampler::sample(ports.postgres.as_ref(), from, to, at, WITHIN).await
            }
            Ends::Redis(ends) => {
                let [from, to] = ends.as_ref();
                redis::sampler::sample(ports.redis.as_ref(), from, to, at, WITHIN).await
            }
        }
    }
}

async fn sample_pair(app: Arc<App>, primary: Name, standby: Name, stop: CancellationToken) {
    let Some(ends) = Ends::of(&app, &primary, &standby) else {
        tracing::error!(%primary, %standby, "a pair that is not configured cannot be sampled");
        return;
    };
    if let Err(error) = load_samples(&app, &standby).await {
        tracing::error!(%standby, %error, "its samples of before cannot be read: its lag then is unknown");
    }
    loop {
        let at = app.world.now();
        let sample = ends.sample(&app, at).await;
        app.store.put_sample(&standby, sample.clone());
        app.samples.push(&standby, sample);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(at + SAMPLE_EVERY) => {}
        }
    }
}

/// Every probe from every vantage that could be asked of it.
fn places(app: &App) -> Vec<(Name, Name)> {
    let vantages: BTreeSet<Name> = app.config.vantages.keys().cloned().chain([http::LOCAL.into()]).collect();
    let pair = |probe: &Name| vantages.iter().map(|v| (probe.clone(), v.clone())).collect::<Vec<_>>();
    let askable = |(probe, vantage): &(Name, Name)| {
        let sql = app.config.probes.get(probe).is_some_and(|p| p.sql.is_some());
        !sql || app.config.vantages.get(vantage).is_none_or(|v| v.blackbox.is_none())
    };
    app.config.probes.keys().flat_map(pair).filter(askable).collect()
}

/// What was seen up before this process began.
pub async fn load_probes(app: &App) -> Result<(), ReadError> {
    for (probe, vantage) in places(app) {
        let Some(definition) = app.config.probes.get(&probe) else { continue };
        let key = Name::from(ProbeMemory::key(&probe, definition, &vantage));
        let seen = app.store.probe_seen(&key).await?;
        app.registry.ports.http.memory().load(seen.into_iter().map(|(_, at)| (key.to_string(), at)));
    }
    Ok(())
}

/// Asks every probe from every vantage, so that "it was up before" is known; without that a probe is blind.
pub async fn watch_probes(app: Arc<App>, stop: CancellationToken) {
    loop {
        let due = app.world.now() + PROBE_EVERY;
        let mut looks = JoinSet::new();
        for (probe, vantage) in places(&app) {
            let app = app.clone();
            looks.spawn(async move {
                let port = app.registry.ports.http.as_ref();
                let now = app.world.now();
                http::look(&app.registry.config, port, &probe, &vantage, now, WITHIN).await
            });
        }
        while looks.join_next().await.is_some() {}
        for (key, at) in app.registry.ports.http.memory().entries() {
            app.store.put_probe_seen(&key.into(), &http::LOCAL.into(), at);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}
