//! From a spec to an action or check of this room, with all problems at once.

use super::failover::Failover;
use super::fence::Fence;
use super::node::MinReplicas;
use super::port::{Endpoint, Port};
use super::promote::Promote;
use super::replica::Replica;
use super::replicate::Replicate;
use super::sentinel::{Move, Sentinels};
use super::superseded::Superseded;
use super::unfence::Unfence;
use super::unreplicate::Unreplicate;
use super::write_probe::WriteProbe;
use crate::config::{Config, TargetKind};
use crate::kernel::domain::{FenceRung, Name, Span, Spec};
use crate::kernel::port::Bound;
use crate::provider::params::Params;
use crate::units::parse_bytes;
use std::sync::Arc;

/// Unnamed servers are asked about only up to this many: each that hangs costs every observation its time.
const OTHERS: usize = 4;

/// A hand-over ends by itself within the step's time.
const LONGEST: Span = Span::secs(60);
/// Beyond that writes would wait for too long.
const MAX_BEHIND: u64 = 16 << 20;

struct Binder<'a> {
    config: &'a Config,
    params: Params<'a>,
    port: Arc<dyn Port>,
}

pub(super) fn bind(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<Bound, Vec<String>> {
    let mut binder = Binder { config, params: Params::new(spec), port };
    if spec.kind.as_str() == "sentinel.failover" {
        let moves = binder.by_sentinels(&spec.target);
        binder.params.done()?;
        let moves =
            moves.ok_or_else(|| vec![format!("{} on {}: cannot be bound", spec.kind, spec.target)])?;
        return Ok(Bound::Action(Box::new(moves)));
    }
    let target = binder.endpoint(&spec.target);
    let bound = match spec.kind.as_str() {
        "redis.fence" => binder.fence(target).map(|fence| Bound::Action(Box::new(fence))),
        "redis.unfence" => binder.unfence(target).map(|back| Bound::Action(Box::new(back))),
        "redis.promote" => binder.promote(target).map(|promote| Bound::Action(Box::new(promote))),
        "redis.failover" => binder.failover(target).map(|over| Bound::Action(Box::new(over))),
        "redis.replicate" => binder.replicate(target).map(|follow| Bound::Action(Box::new(follow))),
        "redis.unreplicate" => binder.unreplicate(target).map(|back| Bound::Action(Box::new(back))),
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

    fn replicate(&mut self, target: Option<Endpoint>) -> Option<Replicate> {
        let primary: Option<Name> = self.params.need("primary");
        let discard = self.params.maybe("discard").unwrap_or(false);
        let primary = self.endpoint(&primary?);
        let (target, primary) = (target?, primary?);
        if target.name == primary.name || target.place() == primary.place() {
            self.params.problem(format!("`primary` and `target` are the same server, {}", primary.address()));
        }
        Some(Replicate { port: self.port.clone(), target, primary, discard })
    }

    fn unreplicate(&mut self, target: Option<Endpoint>) -> Option<Unreplicate> {
        let primary: Option<Name> = self.params.need("primary");
        let before = self.params.maybe("before");
        let primary = self.endpoint(&primary?);
        Some(Unreplicate { port: self.port.clone(), target: target?, primary: primary?, before })
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

    fn failover(&mut self, target: Option<Endpoint>) -> Option<Failover> {
        let old: Option<Name> = self.params.need("old");
        let timeout = self.params.span("timeout").unwrap_or(Span::secs(10));
        if !(Span::millis(100)..=LONGEST).contains(&timeout) {
            self.params.problem(format!("`timeout` must be 100ms to {LONGEST}: writes wait for that long"));
        }
        let max_behind = self.params.maybe::<String>("max_behind").map(|text| parse_bytes(&text));
        if let Some(Err(says)) = &max_behind {
            self.params.problem(format!("`max_behind`: {says}"));
        }
        let max_behind = max_behind.and_then(Result::ok).unwrap_or(MAX_BEHIND);
        let old = self.endpoint(&old?);
        let (target, old) = (target?, old?);
        if target.name == old.name || target.place() == old.place() {
            self.params.problem(format!("`old` and `target` are the same server, {}", old.address()));
        }
        Some(Failover { port: self.port.clone(), target, old, timeout, max_behind })
    }

    fn by_sentinels(&mut self, name: &Name) -> Option<Move> {
        let at = Sentinels::of(self.config, name);
        if at.is_none() {
            self.params.problem("there is no target of kind sentinel with this name");
        }
        let (old, new): (Option<Name>, Option<Name>) = (self.params.need("old"), self.params.need("new"));
        let fence_rung = self.params.maybe("fence_rung").unwrap_or(FenceRung::Lockout);
        if fence_rung == FenceRung::None {
            self.params
                .problem("`fence_rung` none is no fence; accept_unfenced is how a person decides that");
        }
        let drain_timeout = self.params.span("drain_timeout").unwrap_or(Span::secs(10));
        let may_be_empty = self.params.maybe("may_be_empty").unwrap_or(false);
        let (old, new) = (old.and_then(|old| self.endpoint(&old)), new.and_then(|new| self.endpoint(&new)));
        let (old, new) = (old?, new?);
        if old.name == new.name || old.place() == new.place() {
            self.params.problem(format!("`old` and `new` are the same server, {}", old.address()));
        }
        let port = self.port.clone();
        Some(Move { port, at: at?, old, new, fence_rung, drain_timeout, may_be_empty })
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
