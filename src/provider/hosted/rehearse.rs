//! What readiness asks of a provider's zone: do our credentials allow the change, as far as that is told; would resolvers follow
//! soon; would a sibling stay behind? Questions only.

use super::cached;
use super::record::{ASK, HostedRecord, State};
use super::set::Held;
use crate::kernel::domain::{Finding, Observation};
use crate::kernel::port::Ctx;
use crate::provider::dns::{Question, RrSet, ahead};
use futures_util::future::join;
use serde::Deserialize as _;

impl HostedRecord {
    pub(super) async fn rehearsed(&self, ctx: &Ctx, seen: &Observation) -> Vec<Finding> {
        // What the API did not answer is told by the plan.
        let Some(held) = State::deserialize(&seen.state).ok().and_then(|state| state.holds) else {
            return vec![];
        };
        let (sets, _) = cached::comparable(&self.with.wanted);
        let served: Vec<Question> = sets.iter().map(RrSet::question).collect();
        let zone = &self.with.zone;
        let (rights, silent) = join(
            self.port.rights(zone, ctx.now(), ASK.min(ctx.left())),
            ahead::resolvers(self.dns.as_ref(), &zone.resolvers, &served, ctx),
        )
        .await;
        let wanted: Vec<Question> = self.with.wanted.iter().map(Held::question).collect();
        let ours = held.iter().filter(|set| wanted.contains(&set.question()));
        let longest = ours.filter_map(|set| set.ttl).max();
        let ttl = self.with.wanted.iter().filter_map(|set| set.ttl).max();
        let others = ahead::other_families(&wanted);
        let stays: Vec<RrSet> =
            held.iter().filter(|set| others.contains(&set.question())).map(Held::rrset).collect();
        let mut findings: Vec<Finding> = rights.into_iter().map(|right| right.finding()).collect();
        findings.extend(ahead::remembered(longest, ttl, &zone.zone));
        findings.extend(ahead::left_behind(&stays));
        findings.extend(silent);
        findings
    }
}
