//! `patroni.superseded {target, by}`: a server of the cluster that led runs as a primary although another cluster was promoted.
//!
//! A guard that no playbook names: the fence watch looks through it, and puts it before the fence of a server that came back.
//! Whoever is elected there begins a timeline of the same number as the promoted cluster did, so that the servers alone prove
//! nothing. That `by` leads is its Patroni's word; a primary of the same data, on no newer timeline, is then the stale one.

use super::super::port::{Endpoint, Port};
use super::seen::{Side, side};
use crate::config::Config;
use crate::kernel::domain::{Fact, Name, Observation, Spec, StepPlan, Time};
use crate::kernel::port::{Bound, Check, Ctx, ProviderError};
use crate::provider::Ports;
use crate::provider::params::Params;
use crate::provider::postgres::{self, Node, Seen, Standing};
use futures_util::future::{BoxFuture, FutureExt as _, join3};
use serde_json::json;
use std::sync::Arc;

struct Superseded {
    port: Arc<dyn Port>,
    servers: Arc<dyn postgres::Port>,
    target: postgres::Endpoint,
    /// The cluster that it is a member of, and the one that was promoted.
    of: Endpoint,
    by: Endpoint,
}

pub(in super::super) fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let mut params = Params::new(spec);
    let target = postgres::Endpoint::of(config, &spec.target);
    let of = target.as_ref().and_then(|target| Endpoint::of(config, &target.conf.patroni.as_ref()?.cluster));
    if of.is_none() {
        params.problem("it is no server of a cluster of Patroni");
    }
    let by: Option<Name> = params.need("by");
    let by = by.and_then(|by| Endpoint::of(config, &by));
    if by.is_none() {
        params.problem("`by` is no target of kind patroni");
    }
    params.done()?;
    let ((target, of), by) = target.zip(of).zip(by).ok_or_else(Vec::new)?;
    let (port, servers) = (ports.patroni.clone(), ports.postgres.clone());
    Ok(Bound::Check(Box::new(Superseded { port, servers, target, of, by })))
}

/// Pure. What is not known is never "follows" and never "stale".
fn standing(server: &Seen, of: &Side, by: &Side) -> Standing {
    let node = match server {
        Seen::Silent(silent) => return Standing::Silent(format!("{}: {}", silent.layer, silent.says)),
        Seen::Answers(node) => node,
    };
    let same = node.system.is_some() && node.system == by.state.system;
    let unlike = || match (by.answers(), by.leads()) {
        (false, _) => "nobody of the promoted cluster answers".to_owned(),
        (true, None) => "nobody is seen to lead the promoted cluster".to_owned(),
        (true, Some(_)) if !same => "it holds other data than the promoted cluster".to_owned(),
        (true, Some(_)) => format!(
            "its timeline is {}, and that of the promoted cluster {}",
            postgres::said(node.timeline),
            postgres::said(by.state.timeline)
        ),
    };
    let led = by.leads().filter(|_| same).and_then(|_| Some((node.timeline?, by.state.timeline?)));
    match (node.in_recovery, led) {
        (true, Some(_)) if of.follows().is_none() => {
            Standing::Standby("its cluster is not seen to follow another one, and may elect it".into())
        }
        (true, Some((own, newer))) if own >= newer && streams(node) => Standing::Follows { timeline: own },
        (true, Some(_)) if !streams(node) => Standing::Standby("it receives nothing".into()),
        (true, _) => Standing::Standby(unlike()),
        (false, Some((timeline, newer))) if timeline <= newer => Standing::Stale { timeline, newer },
        (false, _) => Standing::Primary(unlike()),
    }
}

fn streams(node: &Node) -> bool {
    node.receiver.as_ref().is_some_and(|receiver| receiver.status.as_deref() == Some("streaming"))
}

impl Check for Superseded {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let within = postgres::within(ctx, postgres::LOOK);
            let port = self.port.as_ref();
            let (server, (of, _), (by, _)) = join3(
                self.servers.node(&self.target, within),
                side(port, &self.of, ctx),
                side(port, &self.by, ctx),
            )
            .await;
            let server = postgres::seen(server)?;
            let system = server.node().and_then(|node| node.system.clone());
            Ok(Observation {
                identity: json!({ "system": system }),
                state: json!(standing(&server, &of, &by)),
                evidence: json!({ "server": server.role(), "leads": by.leads(), "follows": of.follows() }),
                at,
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        postgres::is_superseded(seen, &self.target.name, &self.by.name)
    }
}
