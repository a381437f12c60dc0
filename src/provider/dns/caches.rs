//! What users get: they ask recursive resolvers, which keep an answer for as long as its TTL said. The resolvers that a
//! target lists are asked once the zone's own servers hold the new records: `dns.record` and the record actions of
//! providers tell what each gives, and wait for them where `wait_ttl` says so.
//!
//! An old answer within the old TTL is right, and no failure. Silence is no answer.

use super::port::Port;
use super::rrset::{Question, RrSet};
use crate::kernel::domain::{Lingers, Span, StepPlan, Time};
use crate::kernel::port::Ctx;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A resolver that is not there must not hold up what its silence cannot change.
const ASK: Span = Span::secs(2);
/// Of a name that did not exist, where nobody says how long that is remembered.
const UNTOLD: u32 = 60;
const LONGEST: Span = Lingers::LONGEST;

/// What one resolver answered; TTLs are what is left of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub resolver: SocketAddr,
    /// `None`: it gave no usable answer.
    pub holds: Option<Vec<RrSet>>,
    /// Why, when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

/// What the parameters and the target say about resolvers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caches<'a> {
    pub resolvers: &'a [SocketAddr],
    pub wait: bool,
}

pub(crate) async fn ask(
    port: &dyn Port,
    resolvers: &[SocketAddr],
    questions: &[Question],
    ctx: &Ctx,
) -> Vec<Asked> {
    if questions.is_empty() {
        return vec![];
    }
    let (now, within) = (ctx.now(), ASK.min(ctx.left()));
    join_all(resolvers.iter().map(|resolver| one(port, *resolver, questions, now, within))).await
}

async fn one(
    port: &dyn Port,
    resolver: SocketAddr,
    questions: &[Question],
    now: Time,
    within: Span,
) -> Asked {
    match port.resolve(resolver, questions, now, within).await {
        Ok(sets) => Asked { resolver, holds: Some(sets), silent: None },
        Err(no) => Asked { resolver, holds: None, silent: Some(format!("{}: {}", no.layer, no.says)) },
    }
}

/// What one resolver gives, against what is wanted.
enum Gives<'a> {
    New,
    /// The first set that is not new, and what is left of the longest of them.
    Old(&'a RrSet, Option<u32>),
    Nothing(&'a str),
}

fn gives<'a>(asked: &'a Asked, wanted: &[RrSet]) -> Gives<'a> {
    let Some(holds) = &asked.holds else {
        return Gives::Nothing(asked.silent.as_deref().unwrap_or("no answer"));
    };
    let new = |held: &&RrSet| {
        wanted
            .iter()
            .find(|set| set.question() == held.question())
            .is_none_or(|set| set.values == held.values)
    };
    let old: Vec<&RrSet> = holds.iter().filter(|held| !new(held)).collect();
    match old.first() {
        Some(first) => Gives::Old(first, old.iter().filter_map(|set| set.ttl).max()),
        None if wanted.iter().all(|set| holds.iter().any(|held| held.question() == set.question())) => {
            Gives::New
        }
        None => Gives::Nothing("it answered a part of the questions"),
    }
}

impl Caches<'_> {
    /// The verdict where the zone's servers hold `wanted`. `all`: every set of the step can be compared with what a
    /// resolver answers.
    pub fn settled(&self, says: String, wanted: &[RrSet], all: bool, asked: &[Asked]) -> StepPlan {
        if self.resolvers.is_empty() && !self.wait {
            return StepPlan::nothing(says);
        }
        let ours = wanted.iter().filter_map(|set| set.ttl).max().unwrap_or(UNTOLD);
        let (mut told, mut new, mut seen, mut at_most) = (vec![], 0, false, 0);
        for one in asked {
            let resolver = one.resolver;
            match gives(one, wanted) {
                Gives::New => new += 1,
                Gives::Old(set, left) => {
                    (seen, at_most) = (true, at_most.max(left.unwrap_or(ours)));
                    told.push(old(resolver, set, left));
                }
                Gives::Nothing(why) => {
                    at_most = at_most.max(ours);
                    told.push(format!("resolver {resolver} could not be asked ({why})"));
                }
            }
        }
        if new == self.resolvers.len() && new > 0 && all {
            let what =
                if new == 1 { "the resolver answers".into() } else { format!("all {new} resolvers answer") };
            return StepPlan::nothing(format!("{says}; {what} with the same"));
        }
        if asked.is_empty() || !all {
            at_most = at_most.max(ours);
            told.push("what resolvers still have is not known".to_owned());
        } else if new > 0 {
            told.push(format!("{new} of {} resolvers answer with the new records", self.resolvers.len()));
        }
        let lingers = Lingers { waits: self.wait, seen, at_most: Span::secs(at_most.into()) };
        StepPlan::Nothing {
            gives: vec![],
            says: format!("{says}; {}", told.join("; ")),
            lingers: Some(lingers),
        }
    }

    /// How long resolvers may give what was there before. `None`: nobody will ask.
    pub fn lasts(&self, old_ttl: Option<u32>) -> Option<Span> {
        let wanted = self.wait || !self.resolvers.is_empty();
        // What is not known is not short.
        wanted.then(|| old_ttl.map_or(LONGEST, |ttl| Span::secs(ttl.into())))
    }

    /// For the plan: how long the step will wait, and for whom.
    pub fn warning(&self, old_ttl: Option<u32>) -> Option<String> {
        let lasts = self.lasts(old_ttl).filter(|_| self.wait)?;
        let whom = match self.resolvers {
            [] => "no `resolvers` are listed that could tell earlier".to_owned(),
            [one] => format!("or until the resolver {one} answers with the new records"),
            all => format!("or until all {} resolvers answer with the new records", all.len()),
        };
        Some(match old_ttl {
            None => format!("waits up to {LONGEST} for caches (the old TTL is not known), {whom}"),
            Some(_) if lasts > LONGEST => format!(
                "waits up to {LONGEST} for caches, {whom}; caches may keep the old records for {lasts}: then it stops \
                 for a person"
            ),
            Some(_) => format!("waits up to {lasts} for caches, {whom}"),
        })
    }
}

fn old(resolver: SocketAddr, set: &RrSet, left: Option<u32>) -> String {
    let what = match set.exists() {
        true => format!("{} {} {}", set.name, set.r#type.as_str(), set.values.join(" ")),
        false => format!("that {} {} does not exist", set.name, set.r#type.as_str()),
    };
    match left {
        Some(left) => format!("resolver {resolver} still gives {what}, for up to {left} s"),
        None => format!("resolver {resolver} still gives {what}, and does not say for how long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::dns::RrType;

    const TWO: [&str; 2] = ["192.0.2.8:53", "192.0.2.9:53"];

    fn set(ttl: u32, value: &str) -> RrSet {
        let question = Question { name: "shop.test.".into(), r#type: RrType::A };
        RrSet::new(&question, ttl, vec![value.to_owned()])
    }

    fn resolvers() -> Vec<SocketAddr> {
        TWO.iter().map(|at| at.parse().unwrap()).collect()
    }

    /// `None`: silent.
    fn told(wait: bool, answers: [Option<RrSet>; 2]) -> (String, Option<Lingers>) {
        let resolvers = resolvers();
        let one = |(resolver, answer): (&SocketAddr, Option<RrSet>)| Asked {
            resolver: *resolver,
            silent: answer.is_none().then(|| "udp: no answer".to_owned()),
            holds: answer.map(|set| vec![set]),
        };
        let asked: Vec<Asked> = resolvers.iter().zip(answers).map(one).collect();
        let caches = Caches { resolvers: &resolvers, wait };
        let plan = caches.settled("held".into(), &[set(30, "203.0.113.1")], true, &asked);
        let StepPlan::Nothing { says, lingers, .. } = plan else { panic!("{plan:?}") };
        (says, lingers)
    }

    #[test]
    fn each_resolver_is_told_apart_and_silence_is_no_answer() {
        let (new, old) = (|| Some(set(29, "203.0.113.1")), || Some(set(41, "192.0.2.1")));
        assert_eq!(told(true, [new(), new()]), ("held; all 2 resolvers answer with the same".into(), None));
        let (says, lingers) = told(true, [new(), old()]);
        assert!(says.contains("192.0.2.9:53 still gives shop.test. A 192.0.2.1, for up to 41 s"), "{says}");
        assert!(says.contains("1 of 2 resolvers"), "{says}");
        assert_eq!(lingers, Some(Lingers { waits: true, seen: true, at_most: Span::secs(41) }));
        let (says, lingers) = told(false, [new(), None]);
        assert!(says.contains("192.0.2.9:53 could not be asked (udp: no answer)"), "{says}");
        assert_eq!(lingers, Some(Lingers { waits: false, seen: false, at_most: Span::secs(30) }));
        let gone = RrSet { ttl: None, ..RrSet::absent(&set(1, "192.0.2.1").question()) };
        let (says, lingers) = told(true, [Some(gone), None]);
        assert!(says.contains("still gives that shop.test. A does not exist, and does not say"), "{says}");
        assert!(lingers.is_some_and(|lingers| lingers.seen));
    }

    #[test]
    fn without_anybody_to_ask_the_whole_time_is_waited_for() {
        let none = Caches { resolvers: &[], wait: true };
        let plan = none.settled("held".into(), &[set(30, "203.0.113.1")], true, &[]);
        assert!(
            matches!(&plan, StepPlan::Nothing { lingers: Some(l), .. } if l.waits && !l.seen),
            "{plan:?}"
        );
        assert_eq!(none.lasts(Some(60)), Some(Span::secs(60)));
        assert_eq!(none.lasts(None), Some(LONGEST), "unknown is not zero");
        assert!(none.warning(Some(60)).unwrap().starts_with("waits up to 1 min 0 s for caches"));
        assert!(none.warning(Some(86_400)).unwrap().contains("then it stops for a person"));
        let nobody = Caches { resolvers: &[], wait: false };
        assert_eq!((nobody.lasts(Some(60)), nobody.warning(Some(60))), (None, None));
        // What cannot be compared is not proven by anybody's answer.
        let resolvers = resolvers();
        let caches = Caches { resolvers: &resolvers, wait: true };
        let plan = caches.settled("held".into(), &[], false, &[]);
        assert!(matches!(plan, StepPlan::Nothing { lingers: Some(_), .. }), "{plan:?}");
    }
}
