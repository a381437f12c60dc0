//! What readiness asks of a zone: would it take our update, would resolvers follow soon, would a sibling stay behind? The
//! update that asks demands the records as they are and takes away a value that is not among them: the server judges the key,
//! the names and the types, and has nothing to change.

use super::{ASK, DnsRecord, State};
use crate::kernel::domain::{Finding, Grade, Observation};
use crate::kernel::port::Ctx;
use crate::provider::dns::ahead;
use crate::provider::dns::port::Updated;
use crate::provider::dns::rrset::{Question, RrSet, show};
use serde::Deserialize;

impl DnsRecord {
    pub(super) async fn rehearsed(&self, ctx: &Ctx, seen: &Observation) -> Vec<Finding> {
        let Ok(state) = State::deserialize(&seen.state) else { return vec![] };
        // What the servers did not answer is told by the plan.
        let Some(held) = state.servers.first().and_then(|first| first.holds.clone()) else { return vec![] };
        let mine = |set: &RrSet| self.wanted.iter().any(|wanted| wanted.question() == set.question());
        let held: Vec<RrSet> = held.into_iter().filter(mine).collect();
        let mut findings = vec![self.written(ctx, &held).await];
        let wanted: Vec<Question> = self.wanted.iter().map(RrSet::question).collect();
        let [longest, ttl] = [&held, &self.wanted].map(|sets| sets.iter().filter_map(|set| set.ttl).max());
        findings.extend(ahead::remembered(longest, ttl, &self.zone.zone));
        findings.extend(self.left_behind(ctx, &wanted).await);
        findings.extend(ahead::resolvers(self.port.as_ref(), &self.zone.resolvers, &wanted, ctx).await);
        findings
    }

    async fn written(&self, ctx: &Ctx, held: &[RrSet]) -> Finding {
        let server = self.zone.servers.first().map_or_else(|| "no server".to_owned(), ToString::to_string);
        let key = &self.zone.tsig.name;
        let asked = self.port.rehearse(&self.zone, held, ctx.now(), ASK.min(ctx.left())).await;
        match asked {
            Updated::Done => Finding::ok(format!("{server} takes updates of these names by the key {key}")),
            Updated::Refused { rcode, says } if rcode == "NXRRSET" || rcode == "YXRRSET" => {
                Finding::of(Grade::Unknown, "PM5803", format!("{server}: {says}"), "look again")
            }
            Updated::Refused { rcode, says } => {
                let says = format!("{server} refuses our updates ({rcode}): {says}");
                let fix = format!("let the key {key} update {}", show(&self.wanted));
                Finding::of(Grade::Bad, "PM5803", says, fix)
            }
            Updated::NotSent { says, .. } | Updated::Doubt(says) => {
                let says = format!("whether {server} takes our updates is not known: {says}");
                Finding::of(Grade::Unknown, "PM5803", says, "see that it answers on TCP from here")
            }
        }
    }

    /// A name that is moved for one family of addresses only goes on leading the other half of its users to the old site.
    async fn left_behind(&self, ctx: &Ctx, wanted: &[Question]) -> Vec<Finding> {
        let others = ahead::other_families(wanted);
        let (Some(server), false) = (self.zone.servers.first(), others.is_empty()) else { return vec![] };
        match self.port.ask(&self.zone.zone, *server, &others, ASK.min(ctx.left())).await {
            Ok(answers) => ahead::left_behind(&answers.sets),
            Err(no) => vec![ahead::families_unknown(&no)],
        }
    }
}
