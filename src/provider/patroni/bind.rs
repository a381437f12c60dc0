//! From a spec to a move, with all problems at once.

use super::port::{Endpoint, Verb};
use super::{Move, Server};
use crate::config::Config;
use crate::kernel::domain::{Name, Spec};
use crate::kernel::port::Bound;
use crate::provider::Ports;
use crate::provider::params::Params;
use crate::units::parse_bytes;

/// All problems at once: unknown parameters, a target that is not there or not of this kind, names of no member.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    if spec.kind.as_str().ends_with("_cluster") {
        return super::cluster::bind(spec, config, ports);
    }
    if spec.kind.as_str() == "patroni.superseded" {
        return super::cluster::bind_superseded(spec, config, ports);
    }
    let mut params = Params::new(spec);
    let verb = if spec.kind.as_str() == "patroni.failover" { Verb::Failover } else { Verb::Switchover };
    let at = Endpoint::of(config, &spec.target);
    if at.is_none() {
        params.problem("there is no target of kind patroni with this name");
    }
    let (leader, candidate): (Option<Name>, Option<Name>) = (params.need("leader"), params.need("candidate"));
    for member in [&leader, &candidate].into_iter().flatten() {
        if at.as_ref().is_some_and(|at| !at.conf.members.contains_key(member)) {
            params.problem(format!("{member} is none of the `members` of {}", spec.target));
        }
    }
    if leader.is_some() && leader == candidate {
        params.problem("`leader` and `candidate` are the same member");
    }
    let max_lag = max_lag(&mut params);
    let while_paused = params.maybe("while_paused").unwrap_or(false);
    let server = |member: &Option<Name>| server(config, &spec.target, member.as_ref()?);
    let (old, new) = (server(&leader), server(&candidate));
    if let (Verb::Failover, None, Some(leader)) = (verb, &old, &leader) {
        params.problem(format!(
            "no target of kind postgres is the member {leader} (patroni = {:?}, member = {:?}): a failover needs the \
             proof that it is fenced",
            spec.target.as_str(),
            leader.as_str()
        ));
    }
    params.done()?;
    let (at, leader, candidate) =
        at.zip(leader).zip(candidate).map(|((a, l), c)| (a, l, c)).ok_or_else(Vec::new)?;
    let port = ports.patroni.clone();
    Ok(Bound::Action(Box::new(Move { port, at, verb, leader, candidate, old, new, max_lag, while_paused })))
}

pub(super) fn max_lag(params: &mut Params<'_>) -> Option<u64> {
    match parse_bytes(&params.maybe::<String>("max_lag")?) {
        Ok(bytes) => Some(bytes),
        Err(says) => {
            params.problem(format!("`max_lag`: {says}"));
            None
        }
    }
}

/// The target of kind postgres that is this member.
pub(super) fn server(config: &Config, cluster: &Name, member: &Name) -> Option<Server> {
    let (name, _) = config.patroni_member(cluster, member)?;
    Some(Server { name: name.clone(), site: config.target(name)?.site.clone() })
}
