//! From a spec to an action or check of this room, with all problems at once.

use super::fence::Fence;
use super::node::MinReplicas;
use super::port::{Endpoint, Port};
use super::promote::Promote;
use super::replica::Replica;
use super::superseded::Superseded;
use super::unfence::Unfence;
use super::write_probe::WriteProbe;
use crate::config::{Config, TargetKind};
use crate::kernel::domain::{FenceRung, Name, Span, Spec};
use crate::kernel::port::Bound;
use crate::provider::params::Params;
use std::sync::Arc;

/// Unnamed servers are asked about only up to this many: each that hangs costs every observation its time.
const OTHERS: usize = 4;

struct Binder<'a> {
    config: &'a Config,
    params: Params<'a>,
    port: Arc<dyn Port>,
}

pub(super) fn bind(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<Bound, Vec<String>> {
    let mut binder = Binder { config, params: Params::new(spec), port };
    let target = binder.endpoint(&spec.target);
    let bound = match spec.kind.as_str() {
        "redis.fence" => binder.fence(target).map(|fence| Bound::Action(Box::new(fence))),
        "redis.unfence" => binder.unfence(target).map(|back| Bound::Action(Box::new(back))),
        "redis.promote" => binder.promote(target).map(|promote| Bound::Action(Box::new(promote))),
        "redis.replica" => binder.replica(target).map(|check| Bound::Check(Box::new(check))),
        "redis.superseded" => binder.superseded(target).map(|check| Bound::Check(Box::new(check))),
        "redis.write_probe" => binder.write_probe(target).map(|probe| Bound::Action(Box::new(probe))),
        other => {
            binder.params.problem(format!("there is no action or check named {other:?} in redis"));
            None
        }
    };
    binder.params.done()?;
    bound.ok_or_else(|| vec![format!("{} on {}: cannot be bound", spec.kind, spec.target)])
}

impl Binder<'_> {
    fn fence(&mut self, target: Option<Endpoint>) -> Option<Fence> {
        let min_rung: Option<FenceRung> = self.params.need("min_rung");
        let named: Option<Name> = self.params.maybe("witness");
        if let Some(rung) = min_rung.filter(|r| !matches!(r, FenceRung::ReadOnly | FenceRung::Lockout)) {
            self.params.problem(format!(
                "`min_rung` {rung} cannot be reached by commands; use read_only or lockout"
            ));
        }
        let target = target?;
        self.distinct(&target);
        let witnesses = match &named {
            Some(name) => self.endpoint(name).into_iter().collect(),
            None => self.others(&[&target.name]),
        };
        Some(Fence { port: self.port.clone(), target, min_rung: min_rung?, witnesses, named })
    }

    fn unfence(&mut self, target: Option<Endpoint>) -> Option<Unfence> {
        let (before, rung): (Option<MinReplicas>, _) = (self.params.need("before"), self.params.need("rung"));
        Some(Unfence { port: self.port.clone(), target: target?, before: before?, rung: rung? })
    }

    fn replica(&mut self, target: Option<Endpoint>) -> Option<Replica> {
        let replid = self.params.need("replid");
        Some(Replica { port: self.port.clone(), target: target?, replid: replid? })
    }

    fn superseded(&mut self, target: Option<Endpoint>) -> Option<Superseded> {
        let by: Option<Name> = self.params.need("by");
        let by = self.endpoint(&by?);
        Some(Superseded { port: self.port.clone(), target: target?, by: by? })
    }

    fn promote(&mut self, target: Option<Endpoint>) -> Option<Promote> {
        let old: Option<Name> = self.params.need("old");
        let fence_rung = self.params.maybe("fence_rung").unwrap_or(FenceRung::Lockout);
        let drain_timeout = self.params.span("drain_timeout").unwrap_or(Span::secs(30));
        let named: Option<Vec<Name>> = self.params.maybe("replicas");
        let may_be_empty = self.params.maybe("may_be_empty").unwrap_or(false);
        if fence_rung == FenceRung::None {
            self.params
                .problem("`fence_rung` none is no fence; accept_unfenced is how a person decides that");
        }
        let old = self.endpoint(&old?);
        let (target, old) = (target?, old?);
        if target.name == old.name {
            self.params.problem(format!("`old` and `target` are the same server, {}", old.name));
        }
        let others = match &named {
            Some(names) => names.iter().filter_map(|name| self.endpoint(name)).collect(),
            None => self.others(&[&target.name, &old.name]),
        };
        let (port, named) = (self.port.clone(), named.unwrap_or_default());
        Some(Promote { port, target, old, fence_rung, drain_timeout, others, named, may_be_empty })
    }

    fn write_probe(&mut self, target: Option<Endpoint>) -> Option<WriteProbe> {
        if let Some(who) = self.params.maybe::<String>("as").filter(|who| who != "app") {
            let says = format!("`as`: {who:?} is not known; the only user to write as is \"app\"");
            self.params.problem(says);
        }
        Some(WriteProbe { port: self.port.clone(), target: target? })
    }

    fn endpoint(&mut self, name: &Name) -> Option<Endpoint> {
        let found = Endpoint::of(self.config, name);
        if found.is_none() {
            self.params.problem(match self.config.target(name) {
                Some(target) => format!("target {name} is a {}, not a redis", target.kind.as_str()),
                None => format!("there is no target {name} in the configuration"),
            });
        }
        found
    }

    /// An application that writes as Pointsman's own user proves nothing of its own.
    fn distinct(&mut self, at: &Endpoint) {
        let own = at.conf.user.as_deref().unwrap_or("default");
        if at.conf.app_role.as_ref().is_some_and(|app| app.user == own) {
            let says = format!("app_role of target {} is Pointsman's own user {own}: leave it out", at.name);
            self.params.problem(says);
        }
    }

    fn others(&self, but: &[&Name]) -> Vec<Endpoint> {
        let redis = |name: &&Name| {
            matches!(self.config.target(name).map(|target| &target.kind), Some(TargetKind::Redis(_)))
        };
        let names = self.config.targets.keys().filter(redis).filter(|name| !but.contains(name));
        names.filter_map(|name| Endpoint::of(self.config, name)).take(OTHERS).collect()
    }
}
