//! `pointsman.toml`: what playbooks only name. One typed struct per concern; credentials by reference only.
//!
//! Read by every room that binds a name to a real thing; parsing with all problems at once is [`parse`].

mod balancer;
mod channel;
mod check;
mod generic;
mod hosted;
mod limit;
mod parse;
mod patroni;
mod people;
mod public;
mod reach;
mod redis;
mod resource;
mod retention;
mod secret;
mod sentinel;
mod servers;
mod target;
mod watch;
mod watchdog;
mod web;

pub use balancer::{CloudflareBalancer, Route53HealthCheck};
pub use channel::{Address, Channel, ChannelKind, Email, EmailTls, Heartbeat, Slack, Topic};
pub use generic::{Generic, HeaderScheme, Mapping, PRESETS, Pairs, Scheme};
pub use hosted::{Account, AwsKeys, HostedTarget, OvhAccess, is_private};
pub use limit::Storm;
pub use parse::parse;
pub use patroni::{PatroniLogin, PatroniTarget};
pub use people::{Person, SlackUser};
pub use reach::{Carrier, Reach};
pub use redis::{RedisRole, RedisTarget};
pub use resource::{HaproxySocket, OpenstackLogin, ResourceTarget};
pub use retention::LEAST_AGE;
pub use secret::{SecretError, SecretRef};
pub use sentinel::SentinelTarget;
pub use servers::LostWith;
pub use target::{
    AppRole, HostTarget, HostsTarget, MemberOf, PostgresTarget, Rfc2136Target, Target, TargetKind, TlsMode,
    Tsig,
};
pub use watch::{Probe, Source, Vantage};
pub use watchdog::Watchdog;
pub use web::{Tls, Web};

use crate::kernel::domain::{Name, Span};
use std::collections::BTreeMap;

/// The whole configuration. Every table may be missing; an unknown key is an error.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this instance runs; never a playbook's `from`. Without it only `mode: observe` is allowed.
    pub site: Option<Name>,
    pub targets: BTreeMap<Name, Target>,
    pub probes: BTreeMap<Name, Probe>,
    pub vantages: BTreeMap<Name, Vantage>,
    pub sources: BTreeMap<Name, Source>,
    pub people: BTreeMap<Name, Person>,
    pub web: Web,
    pub channels: BTreeMap<Name, Channel>,
    /// `[heartbeat]`: who waits for signs of life.
    pub heartbeat: Option<Heartbeat>,
    /// `[ready]`: how often playbooks are looked at; none: only when a person asks.
    pub ready_every: Option<Span>,
    /// `[limits.storm]`
    pub storm: Storm,
    /// `[limits]`: changes begun within an hour, over all runs.
    pub changes_per_hour: u32,
    /// `[retention]`: records older than that may go. Without it the journal keeps everything.
    pub older_than: Option<Span>,
}

/// Without a configuration there is nothing to change; the limit is there all the same.
impl Default for Config {
    fn default() -> Self {
        Config {
            site: None,
            targets: BTreeMap::new(),
            probes: BTreeMap::new(),
            vantages: BTreeMap::new(),
            sources: BTreeMap::new(),
            people: BTreeMap::new(),
            web: Web::default(),
            channels: BTreeMap::new(),
            heartbeat: None,
            ready_every: Some(watch::READY_EVERY),
            storm: Storm::default(),
            changes_per_hour: limit::CHANGES_PER_HOUR,
            older_than: None,
        }
    }
}

impl Config {
    /// Channels of Slack, by name.
    pub fn slacks(&self) -> impl Iterator<Item = (&Name, &Channel, &Slack)> {
        self.channels.iter().filter_map(|(name, channel)| match &channel.kind {
            ChannelKind::Slack(slack) => Some((name, channel, slack)),
            _ => None,
        })
    }
    /// Who this is here. Never by name or e-mail: those can be changed over there.
    pub fn slack_person(&self, team: &str, user: &str) -> Option<&Name> {
        let is = |person: &Person| person.slack.as_ref().is_some_and(|at| at.team == team && at.user == user);
        self.people.iter().find(|(_, person)| is(person)).map(|(name, _)| name)
    }
    pub fn target(&self, name: &Name) -> Option<&Target> {
        self.targets.get(name)
    }
    pub fn postgres(&self, name: &Name) -> Option<&PostgresTarget> {
        match &self.targets.get(name)?.kind {
            TargetKind::Postgres(target) => Some(target),
            _ => None,
        }
    }
    pub fn redis(&self, name: &Name) -> Option<&RedisTarget> {
        match &self.targets.get(name)?.kind {
            TargetKind::Redis(target) => Some(target),
            _ => None,
        }
    }
    /// The target of kind postgres that is this member of a cluster.
    pub fn patroni_member(&self, cluster: &Name, member: &Name) -> Option<(&Name, &PostgresTarget)> {
        self.targets.keys().filter_map(|name| Some((name, self.postgres(name)?))).find(|(_, target)| {
            target.patroni.as_ref().is_some_and(|of| of.cluster == *cluster && of.member == *member)
        })
    }
    pub fn host(&self, name: &Name) -> Option<&HostTarget> {
        match &self.targets.get(name)?.kind {
            TargetKind::Host(target) => Some(target),
            _ => None,
        }
    }
    pub fn zone(&self, name: &Name) -> Option<&Rfc2136Target> {
        match &self.targets.get(name)?.kind {
            TargetKind::Rfc2136(target) => Some(target),
            _ => None,
        }
    }
    pub fn resource(&self, name: &Name) -> Option<&ResourceTarget> {
        match &self.targets.get(name)?.kind {
            TargetKind::Resource(target) => Some(target),
            _ => None,
        }
    }
    pub fn hosted(&self, name: &Name) -> Option<&HostedTarget> {
        match &self.targets.get(name)?.kind {
            TargetKind::Hosted(target) => Some(target),
            _ => None,
        }
    }
}

/// The only place that reads the environment.
#[expect(clippy::disallowed_methods, reason = "this is the one module that may")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A configuration for tests of other rooms, odd ones too: what the parser would refuse, a provider must survive.
#[cfg(test)]
pub fn for_test(text: &str) -> Config {
    parse::unchecked(text)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod source_tests;
