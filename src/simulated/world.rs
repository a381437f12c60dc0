//! One world for a whole playbook: a pair of PostgreSQL or of Redis, or clusters of Patroni, their machines, the application,
//! the zone and everything that can be looked at, all built from what the playbook and the configuration name, and all of
//! one piece: when the primary dies its application does too, and a name leads where the zone says.
//!
//! The crash matrix of the shipped playbooks runs the real providers against it. It counts effects, lets people
//! change things by hand, and watches at every moment that there are never two writers.

mod clusters;
mod names;
mod pair;
mod samples;
mod sights;
mod start;
mod things;
mod watch;
mod zones;

use clusters::Clusters;
pub use names::{App, Names};
pub use samples::Sampled;
pub use start::{Hand, Patroni, Sentinels, Standby, Start};
pub use watch::Watch;

use super::patroni::{self, Cluster};
use super::postgres::Servers;
use super::redis::Servers as RedisServers;
use super::{DnsModel, HostModel, HostedModel, HttpModel, ResourceModel};
use crate::config::Config;
use crate::kernel::domain::{Form, Name, Resolved, Spec, Time};
use crate::kernel::port::{Sample, World as _};
use crate::kernel::sim::{Fuse, SimWorld};
use crate::provider::dns::RrSet;
use crate::provider::hosted::Held;
use crate::provider::http::ProbeMemory;
use crate::provider::resource::Fields;
use crate::provider::{Owner, Ports};
use names::Ends;
use pair::{Clustered, OfPostgres, OfRedis, Pair, Together};
use sights::{Sightseer, View};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use things::Things;
use watch::FusedCalls;

/// The end state that users see, for comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub writers: Vec<Name>,
    /// How often each began a life of its own: timelines, or promotions.
    pub terms: BTreeMap<Name, u32>,
    pub old_is_fenced: bool,
    /// Servers that a move holds still.
    pub held: Vec<Name>,
    pub files: BTreeMap<Name, String>,
    pub running: BTreeMap<Name, String>,
    pub zone: Vec<RrSet>,
    /// Of providers, several sets of one name among them.
    pub hosted: Vec<Held>,
    pub things: BTreeMap<String, Fields>,
}

pub struct TwoSites {
    pub names: Names,
    pub postgres: Arc<Servers>,
    pub redis: Arc<RedisServers>,
    patroni: Arc<patroni::Pair>,
    pair: Arc<dyn Pair>,
    /// The last look of the sampler while all was well.
    healthy: OnceLock<Vec<(Name, Sample)>>,
    pub hosts: Arc<HostModel>,
    pub dns: Arc<DnsModel>,
    pub hosted: Arc<HostedModel>,
    pub resources: Arc<ResourceModel>,
    things: Things,
    http: Arc<HttpModel>,
    start: Start,
    hand: Option<Hand>,
    seen: Mutex<Watch>,
}

impl TwoSites {
    /// What is not in the playbook or the configuration cannot be simulated: all of it is told.
    pub fn new(
        config: &Config,
        spec: &Resolved,
        fuse: Arc<Fuse>,
        start: Start,
        hand: Option<Hand>,
        clock: &SimWorld,
    ) -> Result<Arc<TwoSites>, Vec<String>> {
        let names = Names::of(config, spec)?;
        start.fits(&names)?;
        let things = Things::of(config, spec, &names)?;
        let forms = spec.items.iter().flat_map(|item| &item.rungs).map(|rung| &rung.form);
        let specs: Vec<&Spec> = forms.filter_map(Form::spec).collect();
        let sets = zones::hosted(&specs, &names)?;
        let world = Arc::new_cyclic(|me: &Weak<TwoSites>| {
            let hook = Arc::new(FusedCalls {
                fuse,
                clock: clock.clone(),
                latency: start.latency,
                world: me.clone(),
            });
            let postgres = Arc::new(Servers::new(names.postgres(), hook.clone()));
            let redis = Arc::new(RedisServers::new(names.redis_pair(), hook.clone()));
            let clusters: BTreeMap<Name, Arc<Cluster>> = names
                .clusters
                .iter()
                .flat_map(Clusters::worlds)
                .map(|(name, world)| (name, Arc::new(Cluster::new(world, hook.clone()))))
                .collect();
            let patroni = Arc::new(patroni::Pair::new(clusters.clone()));
            let pair = pair_of(&names, (&postgres, &redis, clusters));
            let hosts = Arc::new(HostModel::new(hook.clone()));
            let ours = |set: &&RrSet| !sets.iter().any(|held| held.question() == set.question());
            let zone: Vec<RrSet> =
                names.zone.iter().map(|(before, _)| before).filter(ours).cloned().collect();
            let dns = Arc::new(DnsModel::new(hook.clone(), zone.into_iter().filter(RrSet::exists)));
            let hosted = Arc::new(HostedModel::new(hook.clone(), sets));
            let resources = Arc::new(ResourceModel::new(hook.clone()));
            let http = Arc::new(HttpModel::new(hook, Arc::new(Sightseer(me.clone()))));
            let seen = Mutex::default();
            let healthy = OnceLock::new();
            TwoSites {
                names,
                postgres,
                redis,
                patroni,
                pair,
                healthy,
                hosts,
                dns,
                hosted,
                resources,
                things,
                http,
                start,
                hand,
                seen,
            }
        });
        world.furnish(clock.now());
        world.remember_probes(config, clock.now());
        Ok(world)
    }

    /// The ways out for the real registry.
    pub fn ports(&self) -> Ports {
        Ports {
            postgres: self.postgres.clone(),
            patroni: self.patroni.clone(),
            redis: self.redis.clone(),
            dns: Arc::new(zones::Servers { dns: self.dns.clone(), hosted: self.hosted.clone() }),
            host: self.hosts.clone(),
            hosted: self.hosted.clone(),
            resource: self.resources.clone(),
            http: self.http.clone(),
            owner: Owner::named("simulated"),
        }
    }

    /// The sampler's ring: a minute of good looks until `now`, then what each later look shows.
    pub fn samples(&self, clock: &SimWorld) -> Arc<Sampled> {
        Arc::new(Sampled::new(self, clock.clone(), clock.now()))
    }

    fn furnish(&self, now: Time) {
        for (server, machine) in &self.names.machines {
            self.database_host(server, machine);
        }
        for app in &self.names.apps {
            let text = app.text(&self.names.old_address);
            self.hosts.app(app.host.as_str(), &app.file, &text, &app.restart, &app.is_current);
        }
        for (key, (fields, evidence)) in &self.things.start {
            self.resources.put(key, fields.clone(), evidence.clone());
        }
        self.dns.lag(self.names.primary_server, self.start.dns_lag);
        self.pair.furnish(&self.start);
        self.healthy.get_or_init(|| self.pair.samples(now));
        self.pair.strike(&self.start);
        for server in self.names.secondaries.iter().filter(|_| self.start.dns_silent) {
            self.dns.silence(*server, true);
        }
        for resolver in self.names.resolvers.iter().filter(|_| self.start.resolvers_silent) {
            self.dns.silence(*resolver, true);
        }
        let view = self.view();
        let mut seen = self.seen();
        (seen.before, seen.now) = (view.clone(), view);
    }

    /// A machine that an old server runs on: stopped and masked by one command, as it was by another.
    fn database_host(&self, server: &Name, machine: &Name) {
        let was_up = Arc::new(AtomicBool::new(false));
        let stop = {
            let (was_up, pair, server) = (was_up.clone(), self.pair.clone(), server.clone());
            move || {
                was_up.fetch_or(pair.is_up(&server), Ordering::SeqCst);
                pair.stop_and_mask(&server);
            }
        };
        let (pair, server) = (self.pair.clone(), server.clone());
        let unmask = move || {
            pair.unmask(&server);
            if was_up.load(Ordering::SeqCst) {
                pair.start(&server);
            }
        };
        self.hosts.database_host(machine.as_str(), stop, unmask);
        self.hosts.cut_off(machine.clone(), self.start.ssh_cut);
    }

    /// Every probe was up until a moment ago: otherwise its silence would be worth nothing.
    fn remember_probes(&self, config: &Config, now: Time) {
        use crate::provider::http::{LOCAL, Port as _};
        let places: Vec<Name> = config.vantages.keys().cloned().chain([LOCAL.into()]).collect();
        for (name, probe) in &config.probes {
            for place in &places {
                self.http.memory().note(ProbeMemory::key(name, probe, place), now);
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Watch> {
        self.seen.lock().expect("invariant: no panic while the watch is held")
    }

    /// What the watch has written down so far.
    pub fn watch(&self) -> Watch {
        self.seen().clone()
    }

    fn view(&self) -> View {
        View::of(self)
    }

    /// How often each of *our* effects happened.
    pub fn effects(&self) -> BTreeMap<String, u32> {
        let by_hand = self.seen().promoted_by_hand.clone();
        let mut effects = self.hosts.effects();
        for (name, what, count) in self.pair.effects() {
            let theirs = by_hand.iter().filter(|promoted| *promoted == name && what == "promoted").count();
            effects.insert(format!("{name} {what}"), count - u32::try_from(theirs).unwrap_or(u32::MAX));
        }
        effects.insert("zone updated".into(), self.dns.updates() + self.hosted.writes());
        effects.extend(self.resources.effects());
        effects.retain(|_, count| *count > 0);
        effects
    }

    pub fn standing(&self) -> Standing {
        let file = |app: &App| self.hosts.see(app.host.clone()).files.get(&app.file).cloned();
        let running = |app: &App| self.hosts.see(app.host.clone()).running.get(&app.file).cloned();
        let of = |look: &dyn Fn(&App) -> Option<String>| {
            let one = |app: &App| (app.host.clone(), look(app).unwrap_or_default());
            self.names.apps.iter().map(one).collect()
        };
        Standing {
            writers: self.pair.writers(),
            terms: self.pair.terms(),
            old_is_fenced: self.pair.old_is_fenced(),
            held: self.pair.held(),
            files: of(&file),
            running: of(&running),
            zone: self.names.zone.iter().map(|(set, _)| self.dns.holds(&set.question())).collect(),
            hosted: self.hosted.holds(),
            things: self.resources.all(),
        }
    }

    /// Bytes that the old primary has accepted and the new one was promoted without.
    pub fn lost(&self) -> Option<u64> {
        self.pair.lost()
    }
}

/// The servers that this playbook moves a service between.
fn pair_of(
    names: &Names,
    (postgres, redis, clusters): (&Arc<Servers>, &Arc<RedisServers>, BTreeMap<Name, Arc<Cluster>>),
) -> Arc<dyn Pair> {
    let mut pairs: Vec<Arc<dyn Pair>> = vec![];
    if let Some(names) = &names.clusters {
        pairs.push(Arc::new(Clustered { names: names.clone(), clusters, postgres: postgres.clone() }));
    }
    if let Some(Ends { old, new }) = names.postgres.clone() {
        pairs.push(Arc::new(OfPostgres { old, new, servers: postgres.clone() }));
    }
    if let Some(Ends { old, new }) = names.redis.clone() {
        let sentinels = names.sentinels.as_ref().map(|(target, _)| target.clone());
        pairs.push(Arc::new(OfRedis { old, new, sentinels, servers: redis.clone() }));
    }
    Arc::new(Together(pairs))
}
