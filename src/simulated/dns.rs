//! A zone with a primary that takes conditional updates and secondaries that follow, at once or later.

use super::{Fault, Hook};
use crate::config::Rfc2136Target;
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::{Answers, NoAnswer, Port, Question, RrSet, RrType, Update, Updated};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

const NEGATIVE_TTL: u32 = 30;

#[derive(Clone, Default)]
struct Records {
    sets: BTreeMap<Question, RrSet>,
    serial: u32,
}

/// What every resolver has: asked all the time by everybody, each got the old answer right before it changed.
#[derive(Default)]
pub(super) struct Kept(BTreeMap<Question, (RrSet, Option<Time>)>);

impl Kept {
    pub fn keep(&mut self, old: RrSet) {
        self.0.insert(old.question(), (old, None));
    }

    /// `now` is kept no longer than its TTL, which counts from the first question after the change.
    pub fn give(&mut self, holds: RrSet, negative_ttl: u32, now: Time) -> RrSet {
        let question = holds.question();
        if let Some((old, until)) = self.0.get_mut(&question) {
            let until = *until.get_or_insert(now + Span::secs(old.ttl.unwrap_or(negative_ttl).into()));
            let left = until.since(now).as_millis().div_ceil(1000);
            if left > 0 && old.values != holds.values {
                return RrSet { ttl: u32::try_from(left).ok(), ..old.clone() };
            }
            self.0.remove(&question);
        }
        holds
    }
}

#[derive(Default)]
struct World {
    now: Records,
    /// Before the last change: what a stale read, and a secondary that lags, still show.
    before: Records,
    /// Questions that secondaries still answer with the old records after a change.
    lag: u32,
    lagging: u32,
    silent: BTreeSet<SocketAddr>,
    /// Takes updates, and never lags.
    primary: Option<SocketAddr>,
    updates: u32,
    /// The key may not write texts.
    no_texts: bool,
    kept: Kept,
}

pub struct DnsModel {
    hook: Arc<dyn Hook>,
    world: Mutex<World>,
}

impl DnsModel {
    pub fn new(hook: Arc<dyn Hook>, sets: impl IntoIterator<Item = RrSet>) -> DnsModel {
        let sets = sets.into_iter().map(|set| (set.question(), set)).collect();
        let now = Records { sets, serial: 1 };
        let world = World { before: now.clone(), now, ..World::default() };
        DnsModel { hook, world: Mutex::new(world) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("invariant: no panic while holding the lock")
    }

    /// Every server but the primary answers this many questions with the old records after each change.
    pub fn lag(&self, primary: Option<SocketAddr>, questions: u32) {
        let mut world = self.world();
        (world.primary, world.lag) = (primary, questions);
    }

    /// The server stops answering, or answers again.
    pub fn silence(&self, server: SocketAddr, silent: bool) {
        let mut world = self.world();
        if silent {
            world.silent.insert(server)
        } else {
            world.silent.remove(&server)
        };
    }

    /// Somebody changes a set by hand, at every server at once.
    pub fn by_hand(&self, set: RrSet) {
        let mut world = self.world();
        world.put(vec![set]);
        world.lagging = 0;
    }

    /// How often an update took effect.
    pub fn updates(&self) -> u32 {
        self.world().updates
    }

    /// The zone's policy lets the key write addresses only.
    pub fn refuse_texts(&self) {
        self.world().no_texts = true;
    }

    pub fn holds(&self, question: &Question) -> RrSet {
        self.world().now.get(question)
    }
}

impl Records {
    fn get(&self, question: &Question) -> RrSet {
        self.sets.get(question).cloned().unwrap_or_else(|| RrSet::absent(question))
    }

    fn answers(&self, questions: &[Question]) -> Answers {
        let alias = |question: &&Question| {
            let alias = Question { name: question.name.clone(), r#type: RrType::Cname };
            self.sets.contains_key(&alias)
        };
        Answers {
            sets: questions.iter().map(|question| self.get(question)).collect(),
            aliases: questions.iter().filter(alias).map(|question| question.name.clone()).collect(),
            serial: self.serial,
            negative_ttl: NEGATIVE_TTL,
        }
    }
}

impl World {
    fn put(&mut self, sets: Vec<RrSet>) {
        self.before = self.now.clone();
        self.now.serial += 1;
        self.lagging = self.lag;
        for set in sets {
            self.kept.keep(self.before.get(&set.question()));
            if set.exists() {
                self.now.sets.insert(set.question(), set);
            } else {
                self.now.sets.remove(&set.question());
            }
        }
    }

    /// As a server does: prerequisites compare values, never TTLs.
    fn update(&mut self, update: &Update) -> Updated {
        if self.no_texts && update.after.iter().any(|set| set.r#type == RrType::Txt) {
            return Updated::Refused { rcode: "REFUSED".into(), says: "update-type".into() };
        }
        let stands = self.stand(&update.before);
        if stands == Updated::Done {
            self.put(update.after.clone());
            self.updates += 1;
        }
        stands
    }

    fn stand(&self, sets: &[RrSet]) -> Updated {
        match sets.iter().any(|old| self.now.get(&old.question()).values != old.values) {
            true => Updated::Refused { rcode: "NXRRSET".into(), says: "somebody changed it".into() },
            false => Updated::Done,
        }
    }

    fn ask(&mut self, primary: bool, questions: &[Question]) -> Answers {
        if !primary && self.lagging > 0 {
            self.lagging -= 1;
            return self.before.answers(questions);
        }
        self.now.answers(questions)
    }
}

fn no_answer(says: &str) -> NoAnswer {
    NoAnswer { layer: "udp", says: says.to_owned() }
}

impl Port for DnsModel {
    fn ask<'a>(
        &'a self,
        _zone: &'a str,
        server: SocketAddr,
        questions: &'a [Question],
        _within: Span,
    ) -> BoxFuture<'a, Result<Answers, NoAnswer>> {
        async move {
            let fault = self.hook.before("dns.ask", false).await;
            let answer = {
                let mut world = self.world();
                match fault {
                    _ if world.silent.contains(&server) => Err(no_answer("no answer")),
                    Fault::None => {
                        let primary = world.primary == Some(server);
                        Ok(world.ask(primary, questions))
                    }
                    Fault::Stale => Ok(world.before.answers(questions)),
                    Fault::Reject | Fault::LoseReply => Err(no_answer("no answer, as planted")),
                }
            };
            self.hook.after("dns.ask", false).await;
            answer
        }
        .boxed()
    }

    fn resolve<'a>(
        &'a self,
        resolver: SocketAddr,
        questions: &'a [Question],
        now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async move {
            let fault = self.hook.before("dns.resolve", false).await;
            let answer = {
                let mut guard = self.world();
                let world = &mut *guard;
                match fault {
                    _ if world.silent.contains(&resolver) => Err(no_answer("no answer")),
                    Fault::None | Fault::Stale => {
                        let give = |question| world.kept.give(world.now.get(question), NEGATIVE_TTL, now);
                        Ok(questions.iter().map(give).collect())
                    }
                    Fault::Reject | Fault::LoseReply => Err(no_answer("no answer, as planted")),
                }
            };
            self.hook.after("dns.resolve", false).await;
            answer
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async move {
            let fault = self.hook.before("dns.list", false).await;
            let listed = {
                let world = self.world();
                let seen = if fault == Fault::Stale { &world.before } else { &world.now };
                match zone.servers.first() {
                    _ if matches!(fault, Fault::Reject | Fault::LoseReply) => {
                        Err(no_answer("no answer, as planted"))
                    }
                    Some(first) if !world.silent.contains(first) => Ok(seen.sets.values().cloned().collect()),
                    _ => Err(no_answer("no answer")),
                }
            };
            self.hook.after("dns.list", false).await;
            listed
        }
        .boxed()
    }

    fn update<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        update: &'a Update,
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Updated> {
        async move {
            let fault = self.hook.before("dns.update", true).await;
            let silent = zone.servers.first().is_none_or(|first| self.world().silent.contains(first));
            if silent {
                return Updated::NotSent { retry: true, says: "connection refused".into() };
            }
            if fault == Fault::Reject {
                return Updated::Refused { rcode: "REFUSED".into(), says: "as planted".into() };
            }
            let updated = self.world().update(update);
            self.hook.after("dns.update", true).await;
            if fault == Fault::LoseReply { Updated::Doubt("the reply was lost".into()) } else { updated }
        }
        .boxed()
    }

    fn rehearse<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        held: &'a [RrSet],
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Updated> {
        async move {
            let fault = self.hook.before("dns.rehearse", false).await;
            let world = self.world();
            let silent = zone.servers.first().is_none_or(|first| world.silent.contains(first));
            match fault {
                _ if silent => Updated::NotSent { retry: true, says: "connection refused".into() },
                Fault::Reject => Updated::Refused { rcode: "REFUSED".into(), says: "as planted".into() },
                Fault::LoseReply => Updated::Doubt("the reply was lost".into()),
                Fault::None | Fault::Stale => world.stand(held),
            }
        }
        .boxed()
    }
}
