//! A zone at a provider: an API that may or may not compare, servers that follow, and a limit on requests.

use super::dns::Kept;
use super::{Fault, Hook};
use crate::config::{Account, HostedTarget, Rfc2136Target};
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::{self, NoAnswer, Question, RrSet, Update, Updated};
use crate::provider::hosted::{Held, Key, Look, Port, Seen, Write, Written};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

const NEGATIVE_TTL: u32 = 30;

#[derive(Default)]
struct World {
    now: BTreeMap<Key, Held>,
    /// Before the last change, for stale reads.
    before: BTreeMap<Key, Held>,
    writes: u32,
    /// How many looks a change stays unpublished.
    pending: u32,
    publishing: u32,
    kept: Kept,
}

pub struct HostedModel {
    hook: Arc<dyn Hook>,
    world: Mutex<World>,
}

impl HostedModel {
    pub fn new(hook: Arc<dyn Hook>, sets: impl IntoIterator<Item = Held>) -> HostedModel {
        let now: BTreeMap<Key, Held> = sets.into_iter().map(|set| (set.key(), set)).collect();
        HostedModel { hook, world: Mutex::new(World { before: now.clone(), now, ..World::default() }) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("invariant: no panic while holding the lock")
    }

    /// Somebody changes a set by hand.
    pub fn by_hand(&self, set: Held) {
        let mut world = self.world();
        world.before = world.now.clone();
        world.now.insert(set.key(), set);
    }

    /// Each change stays unpublished for this many looks.
    pub fn publishes_late(&self, looks: u32) {
        self.world().pending = looks;
    }

    pub fn holds(&self) -> Vec<Held> {
        self.world().now.values().cloned().collect()
    }

    /// How often a write took effect.
    pub fn writes(&self) -> u32 {
        self.world().writes
    }
}

impl World {
    fn look(&mut self, look: Look<'_>, stale: bool) -> Seen {
        let seen = if stale { &self.before } else { &self.now };
        let sets = seen.values().filter(|set| look.names.contains(&set.name)).cloned().collect();
        let old = |set: &RrSet| set.values.iter().any(|value| look.stale.contains(value));
        let others = seen.values().map(Held::rrset).filter(old).collect();
        let pending = (self.publishing > 0).then(|| "C1".to_owned());
        self.publishing = self.publishing.saturating_sub(1);
        let count = Some(seen.len() as u64);
        Seen { sets, others: Ok(others), count, pending, handle: Value::Null }
    }

    fn write(&mut self, compares: bool, write: Write<'_>) -> Written {
        let held = |set: &Held| self.now.get(&set.key()).cloned().unwrap_or_else(|| Held::absent(&set.key()));
        if compares && write.before.iter().any(|old| held(old) != *old) {
            return Written::Refused { says: "InvalidChangeBatch: values differ".into() };
        }
        self.before = self.now.clone();
        write.before.iter().for_each(|old| self.kept.keep(old.rrset()));
        self.now.extend(write.after.iter().map(|set| (set.key(), set.clone())));
        self.writes += 1;
        self.publishing = self.pending;
        Written::Done(json!({ "change": "C1" }))
    }
}

impl Port for HostedModel {
    fn read<'a>(
        &'a self,
        _zone: &'a HostedTarget,
        look: Look<'a>,
        _within: Span,
    ) -> BoxFuture<'a, Result<Seen, NoAnswer>> {
        async move {
            let fault = self.hook.before("hosted.read", false).await;
            let seen = match fault {
                Fault::None | Fault::Stale => Ok(self.world().look(look, fault == Fault::Stale)),
                Fault::Reject | Fault::LoseReply => {
                    Err(NoAnswer { layer: "connection", says: "no answer, as planted".into() })
                }
            };
            self.hook.after("hosted.read", false).await;
            seen
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        zone: &'a HostedTarget,
        write: Write<'a>,
        _within: Span,
    ) -> BoxFuture<'a, Written> {
        async move {
            let fault = self.hook.before("hosted.write", true).await;
            if fault == Fault::Reject {
                return Written::Refused { says: "refused, as planted".into() };
            }
            let compares = matches!(zone.account, Account::Route53 { .. });
            let written = self.world().write(compares, write);
            self.hook.after("hosted.write", true).await;
            if fault == Fault::LoseReply { Written::Doubt("the reply was lost".into()) } else { written }
        }
        .boxed()
    }
}

/// Its authoritative servers: they serve what the API holds, at once.
impl dns::Port for HostedModel {
    fn ask<'a>(
        &'a self,
        _zone: &'a str,
        _server: SocketAddr,
        questions: &'a [Question],
        _within: Span,
    ) -> BoxFuture<'a, Result<dns::Answers, NoAnswer>> {
        async move {
            let fault = self.hook.before("dns.ask", false).await;
            let answers = {
                let world = self.world();
                let seen = if fault == Fault::Stale { &world.before } else { &world.now };
                let of = |question: &Question| {
                    let held = seen.values().find(|set| set.question() == *question);
                    held.map_or_else(|| RrSet::absent(question), Held::rrset)
                };
                let sets = questions.iter().map(of).collect();
                dns::Answers { sets, aliases: vec![], serial: world.writes, negative_ttl: NEGATIVE_TTL }
            };
            self.hook.after("dns.ask", false).await;
            match fault {
                Fault::None | Fault::Stale => Ok(answers),
                Fault::Reject | Fault::LoseReply => {
                    Err(NoAnswer { layer: "udp", says: "no answer, as planted".into() })
                }
            }
        }
        .boxed()
    }

    fn resolve<'a>(
        &'a self,
        _resolver: SocketAddr,
        questions: &'a [Question],
        now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async move {
            let fault = self.hook.before("dns.resolve", false).await;
            let sets = {
                let mut guard = self.world();
                let world = &mut *guard;
                let give = |question: &Question| {
                    let held = world.now.values().find(|set| set.question() == *question);
                    let held = held.map_or_else(|| RrSet::absent(question), Held::rrset);
                    world.kept.give(held, NEGATIVE_TTL, now)
                };
                questions.iter().map(give).collect()
            };
            self.hook.after("dns.resolve", false).await;
            match fault {
                Fault::None | Fault::Stale => Ok(sets),
                Fault::Reject | Fault::LoseReply => {
                    Err(NoAnswer { layer: "udp", says: "no answer, as planted".into() })
                }
            }
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        _zone: &'a Rfc2136Target,
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async { Err(NoAnswer { layer: "dns", says: "a provider gives no transfers".into() }) }.boxed()
    }

    fn update<'a>(
        &'a self,
        _zone: &'a Rfc2136Target,
        _update: &'a Update,
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Updated> {
        async { Updated::NotSent { retry: false, says: "a provider takes no updates".into() } }.boxed()
    }

    fn rehearse<'a>(
        &'a self,
        _zone: &'a Rfc2136Target,
        _held: &'a [RrSet],
        _now: Time,
        _within: Span,
    ) -> BoxFuture<'a, Updated> {
        async { Updated::NotSent { retry: false, says: "a provider takes no updates".into() } }.boxed()
    }
}
