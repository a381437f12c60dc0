//! Clusters of Patroni as a playbook names them: one, within which the leader is moved, or two that change sides. Read once,
//! when the world is built.

use crate::config::{Config, TargetKind};
use crate::kernel::domain::{Name, Spec};
use crate::provider::patroni::Source;
use crate::simulated::patroni::World;
use serde_json::Value;
use std::collections::BTreeMap;

const PROMOTE: &str = "patroni.promote_standby_cluster";
/// What makes one lead.
const MOVES: [&str; 3] = [PROMOTE, "patroni.switchover", "patroni.failover"];
const DEMOTE: &str = "patroni.demote_cluster";
/// What speaks of one member by name: it leads while all is well.
const SPEAKS: [&str; 2] = ["sql.write_probe", "postgres.lag"];

/// One cluster, and who leads it before or shall lead it then.
#[derive(Clone, Debug)]
pub struct Side {
    pub target: Name,
    pub scope: String,
    /// The server that each member is: its target of kind postgres, else it goes by the member's name.
    pub servers: BTreeMap<Name, Name>,
    /// A member.
    pub leader: Name,
}

/// The same one on both sides where the leader moves within it.
#[derive(Clone, Debug)]
pub struct Clusters {
    pub old: Side,
    pub new: Side,
    /// Where the standby cluster finds the other one's leader.
    source: Source,
}

fn named(spec: &Spec, key: &str) -> Option<Name> {
    spec.with.get(key).and_then(Value::as_str).map(Name::from)
}

impl Side {
    fn of(
        config: &Config,
        target: &Name,
        leads: impl Fn(&BTreeMap<Name, Name>) -> Option<Name>,
    ) -> Option<Side> {
        let TargetKind::Patroni(conf) = &config.target(target)?.kind else { return None };
        let server = |member: &Name| {
            config.patroni_member(target, member).map_or_else(|| member.clone(), |(name, _)| name.clone())
        };
        let servers: BTreeMap<Name, Name> =
            conf.members.keys().map(|member| (member.clone(), server(member))).collect();
        let leader = leads(&servers).or_else(|| servers.keys().next().cloned())?;
        Some(Side { target: target.clone(), scope: conf.scope.clone(), servers, leader })
    }

    pub fn server(&self) -> &Name {
        self.servers.get(&self.leader).unwrap_or(&self.leader)
    }

    /// The leader first.
    fn members(&self) -> Vec<&str> {
        let others = self.servers.keys().filter(|member| **member != self.leader);
        std::iter::once(&self.leader).chain(others).map(Name::as_str).collect()
    }
}

impl Clusters {
    pub fn of(config: &Config, specs: &[&Spec]) -> Result<Option<Clusters>, Vec<String>> {
        let moves: Vec<&&Spec> = specs.iter().filter(|spec| MOVES.contains(&spec.kind.as_str())).collect();
        let of_patroni = specs.iter().find(|spec| spec.kind.as_str().starts_with("patroni."));
        let spec = match (moves.as_slice(), of_patroni) {
            ([], None) => return Ok(None),
            ([], Some(other)) => return Err(vec![format!("{} alone is not yet simulated", other.kind)]),
            ([one], _) => *one,
            (many, _) => return Err(vec![format!("{} promotions; at most one is simulated", many.len())]),
        };
        let sides = if spec.kind.as_str() == PROMOTE { two(config, spec, specs) } else { one(config, spec) };
        let (old, new) = sides.ok_or_else(|| vec![format!("{} names no cluster", spec.kind)])?;
        for demoted in specs.iter().filter(|spec| spec.kind.as_str() == DEMOTE) {
            if demoted.target != old.target {
                return Err(vec![format!("{} is demoted, and {} is replaced", demoted.target, old.target)]);
            }
        }
        let at = config.postgres(old.server()).map(|conf| (conf.address.clone(), conf.port));
        let (host, port) = at.unwrap_or_else(|| (old.server().to_string(), 5432));
        Ok(Some(Clusters { old, new, source: Source { host, port, slot: None } }))
    }

    pub fn are_two(&self) -> bool {
        self.old.target != self.new.target
    }

    /// Servers that must take no write once another leads, who leads before the others.
    pub fn olds(&self) -> Vec<Name> {
        match self.are_two() {
            true => {
                let others = self.old.servers.values().filter(|server| *server != self.old.server());
                std::iter::once(self.old.server()).chain(others).cloned().collect()
            }
            false => vec![self.old.server().clone()],
        }
    }

    pub fn news(&self) -> Vec<Name> {
        match self.are_two() {
            true => self.new.servers.values().cloned().collect(),
            false => {
                let others = self.new.servers.values().filter(|server| *server != self.old.server());
                others.cloned().collect()
            }
        }
    }

    /// As they stand while all is well, by target.
    pub fn worlds(&self) -> BTreeMap<Name, World> {
        let leads = World::cluster(&self.old.scope, &self.old.members());
        let mut worlds = BTreeMap::from([(self.old.target.clone(), leads)]);
        if self.are_two() {
            let mut follows = World::cluster(&self.new.scope, &self.new.members());
            follows.follow(Some(&self.source));
            worlds.insert(self.new.target.clone(), follows);
        }
        worlds
    }
}

/// Two clusters: one that leads, and one that follows it and is promoted.
fn two(config: &Config, spec: &Spec, specs: &[&Spec]) -> Option<(Side, Side)> {
    let speaks = || specs.iter().filter(|spec| SPEAKS.contains(&spec.kind.as_str()));
    let of = |names: Vec<Name>| {
        move |servers: &BTreeMap<Name, Name>| {
            let is = |(_, server): &(&Name, &Name)| names.contains(server);
            servers.iter().find(is).map(|(member, _)| member.clone())
        }
    };
    let old = of(speaks().filter_map(|spec| named(spec, "primary")).collect());
    let new = of(speaks().map(|spec| spec.target.clone()).collect());
    Some((Side::of(config, &named(spec, "primary")?, old)?, Side::of(config, &spec.target, new)?))
}

/// One cluster: its leader, and the member that shall lead.
fn one(config: &Config, spec: &Spec) -> Option<(Side, Side)> {
    let (leader, candidate) = (named(spec, "leader")?, named(spec, "candidate")?);
    let old = Side::of(config, &spec.target, |_| Some(leader.clone()))?;
    let new = Side::of(config, &spec.target, |_| Some(candidate.clone()))?;
    Some((old, new))
}
