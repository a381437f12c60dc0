//! What readiness asks of a zone: would it take our update, would resolvers follow soon, would a sibling stay behind? The
//! update that asks demands the records as they are and takes away a value that is not among them: the server judges the key,
//! the names and the types, and has nothing to change.

use super::{ASK, DnsRecord, State};
use crate::kernel::domain::{Finding, Grade, Observation};
use crate::kernel::port::Ctx;
use crate::provider::dns::port::Updated;
use crate::provider::dns::rrset::{Question, RrSet, RrType, show};
use serde::Deserialize;

impl DnsRecord {
    pub(super) async fn rehearsed(&self, ctx: &Ctx, seen: &Observation) -> Vec<Finding> {
        let Ok(state) = State::deserialize(&seen.state) else { return vec![] };
        // What the servers did not answer is told by the plan.
        let Some(held) = state.servers.first().and_then(|first| first.holds.clone()) else { return vec![] };
        let mine = |set: &RrSet| self.wanted.iter().any(|wanted| wanted.question() == set.question());
        let held: Vec<RrSet> = held.into_iter().filter(mine).collect();
        let mut findings = vec![self.written(ctx, &held).await];
        findings.extend(self.remembered(&held));
        findings.extend(self.left_behind(ctx).await);
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

    /// Resolvers keep what they have for as long as its TTL says.
    fn remembered(&self, held: &[RrSet]) -> Option<Finding> {
        let wanted = self.wanted.iter().filter_map(|set| set.ttl).max()?;
        let longest = held.iter().filter_map(|set| set.ttl).max().filter(|ttl| *ttl > wanted)?;
        let says = format!(
            "resolvers keep the old answer for up to {longest} s after the swap; the playbook wants {wanted} s"
        );
        let fix = format!("set the TTL of {} to {wanted} now, as long as nothing is wrong", self.zone.zone);
        Some(Finding::of(Grade::Warn, "PM5804", says, fix))
    }

    /// A name that is moved for one family of addresses only goes on leading the other half of its users to the old site.
    async fn left_behind(&self, ctx: &Ctx) -> Vec<Finding> {
        let family = |kind| match kind {
            RrType::A => Some(RrType::Aaaa),
            RrType::Aaaa => Some(RrType::A),
            RrType::Cname | RrType::Txt => None,
        };
        let others = self
            .wanted
            .iter()
            .filter_map(|set| Some(Question { name: set.name.clone(), r#type: family(set.r#type)? }));
        let others: Vec<Question> =
            others.filter(|q| self.wanted.iter().all(|set| set.question() != *q)).collect();
        let (Some(server), false) = (self.zone.servers.first(), others.is_empty()) else { return vec![] };
        match self.port.ask(&self.zone.zone, *server, &others, ASK.min(ctx.left())).await {
            Ok(answers) => answers.sets.iter().filter(|set| set.exists()).map(stays).collect(),
            Err(no) => {
                let says = format!(
                    "whether other addresses of these names stay behind is not known ({}: {})",
                    no.layer, no.says
                );
                vec![Finding::of(Grade::Unknown, "PM5805", says, "look again")]
            }
        }
    }
}

fn stays(set: &RrSet) -> Finding {
    let says = format!("{set} is not moved by this step: whoever uses it goes on to the old site");
    let fix = format!("add {} of {} to `records`, or remove it", set.r#type.as_str(), set.name);
    Finding::of(Grade::Bad, "PM5805", says, fix)
}
