//! What readiness says of names, whoever serves them: how long resolvers would keep the old answer, which addresses of the
//! other family would stay behind, which listed resolvers cannot be asked. `dns.record` and the providers' record actions ask.

use super::caches;
use super::port::{NoAnswer, Port};
use super::rrset::{Question, RrSet, RrType};
use crate::kernel::domain::{Finding, Grade};
use crate::kernel::port::Ctx;
use std::net::SocketAddr;

/// Resolvers keep what they have for as long as its TTL says. `longest`: of what stands there now.
pub(crate) fn remembered(longest: Option<u32>, wanted: Option<u32>, zone: &str) -> Option<Finding> {
    let (longest, wanted) = longest.zip(wanted).filter(|(longest, wanted)| longest > wanted)?;
    let says = format!(
        "resolvers keep the old answer for up to {longest} s after the swap; the playbook wants {wanted} s"
    );
    let fix = format!("set the TTL of {zone} to {wanted} now, as long as nothing is wrong");
    Some(Finding::of(Grade::Warn, "PM5804", says, fix))
}

/// The same names in the other family of addresses, where the step does not move them as well.
pub(crate) fn other_families(wanted: &[Question]) -> Vec<Question> {
    let family = |kind| match kind {
        RrType::A => Some(RrType::Aaaa),
        RrType::Aaaa => Some(RrType::A),
        RrType::Cname | RrType::Txt => None,
    };
    let others =
        wanted.iter().filter_map(|q| Some(Question { name: q.name.clone(), r#type: family(q.r#type)? }));
    others.filter(|other| !wanted.contains(other)).collect()
}

/// A name that is moved for one family of addresses only goes on leading the other half of its users to the old site.
pub(crate) fn left_behind(sets: &[RrSet]) -> Vec<Finding> {
    let stays = |set: &RrSet| {
        let says = format!("{set} is not moved by this step: whoever uses it goes on to the old site");
        let fix = format!("add {} of {} to `records`, or remove it", set.r#type.as_str(), set.name);
        Finding::of(Grade::Bad, "PM5805", says, fix)
    };
    sets.iter().filter(|set| set.exists()).map(stays).collect()
}

pub(crate) fn families_unknown(no: &NoAnswer) -> Finding {
    let says = format!(
        "whether other addresses of these names stay behind is not known ({}: {})",
        no.layer, no.says
    );
    Finding::of(Grade::Unknown, "PM5805", says, "look again")
}

/// A resolver that cannot be asked now would not tell what users are given then. Nothing depends on it.
pub(crate) async fn resolvers(
    port: &dyn Port,
    resolvers: &[SocketAddr],
    questions: &[Question],
    ctx: &Ctx,
) -> Vec<Finding> {
    let asked = caches::ask(port, resolvers, questions, ctx).await;
    let silent = asked.into_iter().filter_map(|one| Some((one.resolver, one.silent?)));
    silent
        .map(|(resolver, why)| {
            let says = format!(
                "the resolver {resolver} cannot be asked ({why}): what it gives after a change would not be known, and \
                 `wait_ttl` would wait for the whole old TTL"
            );
            Finding::of(Grade::Warn, "PM5812", says, "let it answer recursive questions from here, or take it out")
        })
        .collect()
}
