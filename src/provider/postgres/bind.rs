//! From a spec to an action or check of this room, with all problems at once.

use super::fence::Fence;
use super::lag::Lag;
use super::port::{Endpoint, Port};
use super::promote::Promote;
use super::standby::Standby;
use super::superseded::Superseded;
use super::unfence::Unfence;
use super::write_probe::WriteProbe;
use crate::config::{Config, TargetKind};
use crate::kernel::domain::{FenceRung, Name, Span, Spec};
use crate::kernel::port::Bound;
use crate::provider::Owner;
use crate::units::{parse_bytes, parse_span};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Unnamed standbys are asked about only up to this many: each that hangs costs every observation its time.
const OTHERS: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FenceWith {
    target: Option<Name>,
    min_rung: FenceRung,
    witness: Option<Name>,
    #[serde(default)]
    planned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromoteWith {
    target: Option<Name>,
    old: Name,
    fence_rung: Option<FenceRung>,
    drain_timeout: Option<String>,
    standbys: Option<Vec<Name>>,
    #[serde(default)]
    planned: bool,
}

/// Written by a fence for its own undo, never by a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnfenceWith {
    rung: FenceRung,
    system: Option<String>,
    sha256: Option<String>,
}

/// Written by a promotion, never by a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandbyWith {
    system: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SupersededWith {
    by: Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LagWith {
    target: Option<Name>,
    primary: Option<Name>,
    max_bytes: String,
    max_seconds: f64,
    max_sample_age: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeWith {
    target: Option<Name>,
    #[serde(rename = "as")]
    who: Option<String>,
}

/// Collects problems while names become things.
struct Binder<'a> {
    config: &'a Config,
    spec: &'a Spec,
    owner: Owner,
    problems: Vec<String>,
}

/// As [`super::bind`], over a port of the caller's choice, and in nobody's name.
pub fn bind_to(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<Bound, Vec<String>> {
    bind_as(spec, config, port, Owner::default())
}

pub(super) fn bind_as(
    spec: &Spec,
    config: &Config,
    port: Arc<dyn Port>,
    owner: Owner,
) -> Result<Bound, Vec<String>> {
    let mut binder = Binder { config, spec, owner, problems: vec![] };
    let bound = match spec.kind.as_str() {
        "postgres.fence" => binder.fence(port).map(|fence| Bound::Action(Box::new(fence))),
        "postgres.promote" => binder.promote(port).map(|promote| Bound::Action(Box::new(promote))),
        "postgres.unfence" => binder.unfence(port).map(|back| Bound::Action(Box::new(back))),
        "postgres.standby" => binder.standby(port).map(|check| Bound::Check(Box::new(check))),
        "postgres.superseded" => binder.superseded(port).map(|superseded| Bound::Check(Box::new(superseded))),
        "postgres.lag" => binder.lag(port).map(|lag| Bound::Check(Box::new(lag))),
        "sql.write_probe" => binder.write_probe(port).map(|probe| Bound::Action(Box::new(probe))),
        other => {
            binder.problems.push(format!("there is no action or check named {other:?} in postgres"));
            None
        }
    };
    match bound {
        Some(bound) if binder.problems.is_empty() => Ok(bound),
        _ => Err(binder.problems),
    }
}

impl Binder<'_> {
    /// What is done underneath a manager it takes back, and meanwhile there may be two writers.
    fn not_managed(&mut self) {
        let Some(of) = self.config.postgres(&self.spec.target).and_then(|at| at.patroni.as_ref()) else {
            return;
        };
        self.problems.push(format!(
            "{} is the member {} of the Patroni cluster {}: what is done underneath Patroni it takes back. Use \
             patroni.switchover while its leader lives, patroni.failover when it is lost",
            self.spec.target, of.member, of.cluster
        ));
    }

    fn fence(&mut self, port: Arc<dyn Port>) -> Option<Fence> {
        self.not_managed();
        let with: Option<FenceWith> = self.with();
        let target = self.own(with.as_ref().and_then(|with| with.target.as_ref()));
        if let Some(at) = &target {
            self.provable(at);
        }
        let with = with?;
        if !matches!(with.min_rung, FenceRung::ReadOnly | FenceRung::Lockout) {
            self.problem(format!(
                "min_rung {} cannot be reached by SQL; use read_only or lockout",
                with.min_rung
            ));
        }
        if with.planned && with.min_rung < FenceRung::Lockout {
            self.problem(format!(
                "planned with min_rung {}: a client could go on writing after the last position was read; use lockout",
                with.min_rung
            ));
        }
        let target = target?;
        let named = with.witness.is_some();
        let witnesses = match &with.witness {
            Some(name) => self.endpoint(name).into_iter().collect(),
            None => self.others(&[&target.name]),
        };
        let FenceWith { min_rung, planned, .. } = with;
        Some(Fence { port, target, min_rung, witnesses, named, planned })
    }

    fn unfence(&mut self, port: Arc<dyn Port>) -> Option<Unfence> {
        let with: Option<UnfenceWith> = self.with();
        let target = self.own(None)?;
        self.provable(&target);
        let UnfenceWith { rung, system, sha256 } = with?;
        Some(Unfence { port, target, rung, system, sha256 })
    }

    fn standby(&mut self, port: Arc<dyn Port>) -> Option<Standby> {
        let with: Option<StandbyWith> = self.with();
        let target = self.own(None)?;
        Some(Standby { port, target, system: with?.system })
    }

    fn promote(&mut self, port: Arc<dyn Port>) -> Option<Promote> {
        self.not_managed();
        let with: Option<PromoteWith> = self.with();
        let target = self.own(with.as_ref().and_then(|with| with.target.as_ref()));
        let with = with?;
        let old = self.endpoint(&with.old);
        let drain_timeout =
            with.drain_timeout.as_deref().map_or(Some(Span::secs(30)), |text| self.span(text));
        let fence_rung = with.fence_rung.unwrap_or(FenceRung::Lockout);
        if fence_rung == FenceRung::None {
            self.problem("fence_rung none is no fence; accept_unfenced is how a person decides that".into());
        }
        let (named, planned) = (with.standbys.is_some(), with.planned);
        let (target, old) = (target?, old?);
        if target.name == old.name {
            self.problem(format!("old and target are the same server, {}", old.name));
        }
        let standbys = match &with.standbys {
            Some(names) => names.iter().filter_map(|name| self.endpoint(name)).collect(),
            None => self.others(&[&target.name, &old.name]),
        };
        let (owner, drain_timeout) = (self.owner.clone(), drain_timeout?);
        Some(Promote { owner, port, target, old, fence_rung, drain_timeout, standbys, named, planned })
    }

    fn superseded(&mut self, port: Arc<dyn Port>) -> Option<Superseded> {
        let with: SupersededWith = self.with()?;
        let (target, by) = (self.own(None), self.endpoint(&with.by));
        Some(Superseded { port, target: target?, by: by? })
    }

    fn lag(&mut self, port: Arc<dyn Port>) -> Option<Lag> {
        let with: Option<LagWith> = self.with();
        let target = self.own(with.as_ref().and_then(|with| with.target.as_ref()));
        let with = with?;
        let primary = with.primary.as_ref().map(|name| self.endpoint(name));
        let max_bytes = parse_bytes(&with.max_bytes).map_err(|why| self.problem(why)).ok();
        let max_sample_age = self.span(&with.max_sample_age);
        if !(with.max_seconds.is_finite() && with.max_seconds >= 0.0) {
            self.problem(format!("max_seconds is {}, and must be a number of seconds", with.max_seconds));
        }
        let primary = match primary {
            Some(found) => Some(found?),
            None => None,
        };
        Some(Lag {
            port,
            target: target?,
            primary,
            max_bytes: max_bytes?,
            max_time: Span((with.max_seconds * 1e6) as u64),
            max_sample_age: max_sample_age?,
        })
    }

    fn write_probe(&mut self, port: Arc<dyn Port>) -> Option<WriteProbe> {
        let with: Option<ProbeWith> = self.with();
        let target = self.own(with.as_ref().and_then(|with| with.target.as_ref()));
        if let Some(at) = &target {
            self.provable(at);
        }
        if let Some(who) = with?.who.filter(|who| who != "app") {
            self.problem(format!(
                "as: {who:?} is not known; the only role to write as is \"app\", the target's app_role"
            ));
        }
        Some(WriteProbe { owner: self.owner.clone(), port, target: target? })
    }

    fn problem(&mut self, says: String) {
        self.problems.push(format!("{}: {says}", self.spec.kind));
    }

    fn with<T: DeserializeOwned>(&mut self) -> Option<T> {
        T::deserialize(&self.spec.with).map_err(|e| self.problem(e.to_string())).ok()
    }

    fn span(&mut self, text: &str) -> Option<Span> {
        parse_span(text).map_err(|why| self.problem(why)).ok()
    }

    /// The spec's own target; a `target` among the parameters must be the same.
    fn own(&mut self, with: Option<&Name>) -> Option<Endpoint> {
        if let Some(other) = with.filter(|name| **name != self.spec.target) {
            self.problem(format!("target is {other} here and {} in the step", self.spec.target));
        }
        self.endpoint(&self.spec.target)
    }

    fn endpoint(&mut self, name: &Name) -> Option<Endpoint> {
        let found = Endpoint::of(self.config, name);
        if found.is_none() {
            let says = match self.config.target(name) {
                Some(target) => format!("target {name} is a {}, not a postgres", target.kind.as_str()),
                None => format!("there is no target {name} in the configuration"),
            };
            self.problem(says);
        }
        found
    }

    /// Only the application's own attempt proves a fence or a write.
    fn provable(&mut self, at: &Endpoint) {
        match &at.conf.app_role {
            None => self
                .problem(format!("target {} needs app_role: its own attempt to write is the proof", at.name)),
            Some(app) if app.user == at.conf.user => self.problem(format!(
                "app_role of target {} is Pointsman's own role {}: a fence keeps that role",
                at.name, app.user
            )),
            Some(_) => {}
        }
    }

    fn others(&self, but: &[&Name]) -> Vec<Endpoint> {
        let postgres = |name: &&Name| {
            matches!(self.config.target(name).map(|target| &target.kind), Some(TargetKind::Postgres(_)))
        };
        let names = self.config.targets.keys().filter(postgres).filter(|name| !but.contains(name));
        names.filter_map(|name| Endpoint::of(self.config, name)).take(OTHERS).collect()
    }
}
