//! Looks at pairs and probes all the time, so that what was true before an outage is known when it comes.

use super::App;
use crate::kernel::domain::{Name, Span};
use crate::provider::http;
use crate::provider::postgres::{Endpoint, sampler};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SAMPLE_EVERY: Span = Span::secs(1);
const PROBE_EVERY: Span = Span::secs(10);
const WITHIN: Span = Span::secs(2);

/// A primary and the standby whose lag is watched.
pub type Pair = (Name, Name);

/// Samples each pair every second, one task for each, so that a dead one holds up no other.
pub async fn sample_pairs(app: Arc<App>, pairs: BTreeSet<Pair>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for (primary, standby) in pairs {
        tasks.spawn(sample_pair(app.clone(), primary, standby, stop.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn sample_pair(app: Arc<App>, primary: Name, standby: Name, stop: CancellationToken) {
    let config = &app.registry.config;
    let ends = (Endpoint::of(config, &primary), Endpoint::of(config, &standby));
    let (Some(from), Some(to)) = ends else {
        tracing::error!(%primary, %standby, "a pair that is not configured cannot be sampled");
        return;
    };
    loop {
        let at = app.world.now();
        let sample = sampler::sample(app.registry.ports.postgres.as_ref(), &from, &to, at, WITHIN).await;
        app.store.put_sample(&standby, sample.clone());
        app.samples.push(&standby, sample);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(at + SAMPLE_EVERY) => {}
        }
    }
}

/// Asks every probe from every vantage, so that "it was up before" is known; without that a probe is blind.
pub async fn watch_probes(app: Arc<App>, stop: CancellationToken) {
    let local = Name::from("local");
    let vantages: Vec<Name> =
        app.config.vantages.keys().cloned().chain([local]).collect::<BTreeSet<_>>().into_iter().collect();
    loop {
        let due = app.world.now() + PROBE_EVERY;
        let mut looks = JoinSet::new();
        for probe in app.config.probes.keys().cloned() {
            for vantage in vantages.iter().cloned() {
                let (app, probe) = (app.clone(), probe.clone());
                looks.spawn(async move {
                    let deadline = app.world.now() + WITHIN;
                    let (config, ports) = (&app.registry.config, &app.registry.ports);
                    let answer = http::look(config, ports, &probe, &vantage, deadline).await;
                    if answer.is_up() {
                        let now = app.world.now();
                        app.probes.note(&probe, &vantage, now);
                        app.store.put_probe_seen(&probe, &vantage, now);
                    }
                });
            }
        }
        while looks.join_next().await.is_some() {}
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}
