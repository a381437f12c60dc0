//! A Patroni cluster behind its port: a store that all members read, members that answer or do not, a leader, and the
//! comparison of its name. Whoever is told moves it at once.
//!
//! It keeps the traps of the real thing: who is away is not listed, a member that is not healthy is passed over for
//! another, and a paused cluster elects nobody.

use super::hook::{Fault, Hook};
use crate::kernel::domain::{Digest, Name, Span};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::patroni::{Answer, Endpoint, Node, Order, Port, Row, Settings, Source, Verb};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Debug)]
pub struct Member {
    /// Its Patroni answers; else the store has forgotten it.
    pub answers: bool,
    pub primary: bool,
    pub state: String,
    pub timeline: u32,
    pub position: u64,
    /// As the store has it.
    pub lag: Option<u64>,
    pub heard_s: Option<u64>,
    pub nofailover: bool,
    /// Told to lead, it fails, and another does.
    pub fails: bool,
    /// What it holds for the leader, where that is not what the store has.
    pub believes: Option<Name>,
    /// It does not answer, and the store has not forgotten it yet.
    pub hangs: bool,
    /// Nothing but a person starts it again.
    pub masked: bool,
    /// What is written elsewhere arrives here no more.
    pub stalled: bool,
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub scope: String,
    /// System identifier of its data.
    pub system: String,
    pub members: BTreeMap<Name, Member>,
    pub leader: Option<Name>,
    pub paused: bool,
    pub scheduled: bool,
    pub synchronous: bool,
    /// Whom it follows, as a standby cluster.
    pub follows: Option<Source>,
    /// Any other part of its configuration.
    pub ttl: u64,
    /// Told to change sides, its leader does so only when this says so by hand.
    pub slow: bool,
    /// How many looks that takes, and how many are left.
    pub looks: u32,
    pub turning: Option<u32>,
    /// Without a leader it elects another by itself. Where it does not, no member is healthy enough by its own rules.
    pub elects: bool,
    /// Nothing that its leader writes arrives anywhere any more.
    pub cut: bool,
    /// Where the timeline of its leader began, and the furthest that any member had come by then.
    pub forked: Option<(u64, u64)>,
    /// Its members tell their names, as those of version 3.2 and later do.
    pub newer: bool,
    pub moved: u32,
    /// How often an order made one lead, and one made it follow another cluster.
    pub promoted: u32,
    pub demoted: u32,
}

impl World {
    /// The first leads, the others follow without a lag.
    pub fn cluster(scope: &str, names: &[&str]) -> World {
        let member = |(n, name): (usize, &&str)| {
            let member = Member {
                answers: true,
                primary: n == 0,
                state: "running".into(),
                timeline: 1,
                position: 1000,
                lag: Some(0),
                heard_s: Some(0),
                nofailover: false,
                fails: false,
                believes: None,
                hangs: false,
                masked: false,
                stalled: false,
            };
            (Name::from(*name), member)
        };
        World {
            scope: scope.to_owned(),
            system: "7000000000000000001".into(),
            members: names.iter().enumerate().map(member).collect(),
            leader: names.first().map(|name| Name::from(*name)),
            ttl: 20,
            ..World::default()
        }
    }

    /// A standby cluster from the beginning.
    pub fn standby(scope: &str, names: &[&str], host: &str) -> World {
        let mut world = World::cluster(scope, names);
        world.follow(Some(&Source { host: host.to_owned(), port: 5432, slot: None }));
        world
    }

    /// Its leader takes no writes from now on, or begins a timeline of its own.
    pub fn follow(&mut self, source: Option<&Source>) {
        if self.follows.as_ref() == source {
            return;
        }
        self.follows = source.cloned();
        match (self.slow || self.paused, self.looks) {
            (true, _) => {}
            (false, 0) => self.turn(),
            (false, looks) => self.turning = Some(looks),
        }
    }

    /// A change of sides comes when it has been waited for.
    fn looked_at(&mut self) {
        match self.turning {
            None => {}
            Some(0) => self.turn(),
            Some(looks) => self.turning = Some(looks - 1),
        }
    }

    /// The leader does what its configuration says.
    pub fn turn(&mut self) {
        self.turning = None;
        match (self.leader.clone(), &self.follows) {
            (_, Some(_)) => self.members.values_mut().for_each(|member| member.primary = false),
            (Some(leader), None) => self.lead(&leader),
            (None, None) => {}
        }
    }

    pub fn member(&mut self, name: &str) -> &mut Member {
        self.members.get_mut(&Name::from(name)).expect("invariant: the model has this member")
    }

    /// The machine is gone, and the lock has run out.
    pub fn lose(&mut self, name: &str) {
        let member = self.member(name);
        (member.answers, member.state) = (false, "stopped".into());
        if self.leader == Some(Name::from(name)) {
            self.leader = None;
        }
    }

    /// Its Patroni stands still with the lock in its hand.
    pub fn hangs(&mut self, name: &str) {
        let member = self.member(name);
        (member.answers, member.hangs) = (false, true);
    }

    /// Somebody adds a member.
    pub fn join(&mut self, name: &str) {
        let like = self.members.values().find(|member| !member.primary).cloned();
        self.members.extend(like.map(|member| (Name::from(name), member)));
    }

    fn answer(&self, name: &Name) -> Result<Answer, NoAnswer> {
        let silent = || NoAnswer { layer: "connection", says: "nobody is there".into() };
        let member = self.members.get(name).filter(|member| member.answers).ok_or_else(silent)?;
        let listed = self.members.iter().filter(|(_, member)| member.answers || member.hangs);
        let leader = member.believes.as_ref().or(self.leader.as_ref());
        Ok(Answer {
            node: Node {
                scope: self.scope.clone(),
                name: self.newer.then(|| name.clone()),
                version: if self.newer { "4.1.4" } else { "3.0.2" }.into(),
                role: match (member.primary, &self.follows) {
                    (true, _) => "primary",
                    (false, Some(_)) if leader == Some(name) => "standby_leader",
                    (false, _) => "replica",
                }
                .into(),
                state: member.state.clone(),
                timeline: Some(member.timeline),
                position: Some(member.position),
                system: Some(self.system.clone()),
                heard_s: member.heard_s,
                watchdog_failed: false,
            },
            rows: listed.map(|(name, member)| row(name, member, leader)).collect(),
            paused: self.paused,
            scheduled: self.scheduled,
            settings: Settings {
                loop_wait: 1,
                ttl: self.ttl,
                retry_timeout: 3,
                max_lag: 1 << 20,
                synchronous: self.synchronous,
                standby_cluster: self.follows.is_some(),
                source: self.follows.clone(),
                digest: Digest::of_json(&json!([self.follows, self.ttl, self.paused])).to_string(),
            },
            begun: None,
        })
    }

    pub fn order(&mut self, via: &Name, order: &Order) -> Written {
        let refused = |says: &str| Written::Refused { says: format!("it answered 412: {says}") };
        if let Err(NoAnswer { says, .. }) = self.answer(via) {
            return Written::NotSent { retry: true, says };
        }
        if order.leader.is_some() && order.leader != self.leader {
            return refused("leader name does not match");
        }
        if order.verb == Verb::Switchover && order.leader.is_none() {
            return refused("Switchover could be performed only from a specific leader");
        }
        let fine = |member: &Member| member.answers && !member.nofailover && !member.fails;
        let able =
            |name: &&Name| self.members.get(*name).is_some_and(fine) && self.leader.as_ref() != Some(*name);
        let chosen = Some(&order.candidate).filter(able).or_else(|| self.members.keys().find(able)).cloned();
        let Some(chosen) = chosen else { return Written::Doubt("it answered 503: Failover failed".into()) };
        if order.verb == Verb::Switchover && !self.drain(&chosen) {
            return Written::Doubt("it answered 503: Switchover failed".into());
        }
        self.lead(&chosen);
        self.promoted += 1;
        Written::Done(json!({ "promoted": chosen }))
    }

    pub fn configure(&mut self, via: &Name, source: Option<&Source>) -> Written {
        if let Err(NoAnswer { says, .. }) = self.answer(via) {
            return Written::NotSent { retry: true, says };
        }
        if self.follows.as_ref() != source {
            let count = if source.is_some() { &mut self.demoted } else { &mut self.promoted };
            *count += 1;
        }
        self.follow(source);
        Written::Done(json!({ "configuration": "new" }))
    }

    /// From now on it leads, on a timeline of its own.
    pub fn lead(&mut self, name: &Name) {
        let begun = self.members.values().map(|member| member.timeline).max().unwrap_or(0) + 1;
        self.forked = self.members.get(name).map(|member| (member.position, self.furthest()));
        for (other, member) in self.members.iter_mut().filter(|(_, member)| member.answers) {
            member.primary = other == name;
            member.timeline = begun;
            member.state = "running".into();
        }
        self.leader = Some(name.clone());
        self.moved += 1;
    }
}

/// As the store has it.
fn row(name: &Name, member: &Member, leader: Option<&Name>) -> Row {
    let leads = leader == Some(name);
    Row {
        name: name.clone(),
        role: if leads { "leader" } else { "replica" }.into(),
        state: member.state.clone(),
        timeline: Some(member.timeline),
        lag: member.lag.filter(|_| !leads),
        nofailover: member.nofailover,
    }
}

/// The world now, and before the last order, for stale looks.
struct State {
    now: World,
    before: World,
}

pub struct Cluster {
    state: Mutex<State>,
    hook: Arc<dyn Hook>,
}

impl Cluster {
    pub fn new(world: World, hook: Arc<dyn Hook>) -> Cluster {
        Cluster { state: Mutex::new(State { before: world.clone(), now: world }), hook }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: no panic while the world is held")
    }

    /// A person, a crash: whatever changes the world without Pointsman.
    pub fn by_hand<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.state().now)
    }

    /// The world now, for assertions.
    pub fn world(&self) -> World {
        self.state().now.clone()
    }

    /// The same without a copy, for whoever looks often.
    pub fn see<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        at(&self.state().now)
    }
}

impl Port for Cluster {
    fn look<'a>(
        &'a self,
        _at: &'a Endpoint,
        member: &'a Name,
        _within: Span,
    ) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        async move {
            let fault = self.hook.before("patroni.look", false).await;
            let seen = match fault {
                Fault::Reject | Fault::LoseReply => {
                    Err(NoAnswer { layer: "connection", says: "no answer, as planted".into() })
                }
                Fault::Stale => self.state().before.answer(member),
                Fault::None => {
                    let mut state = self.state();
                    state.now.looked_at();
                    state.now.answer(member)
                }
            };
            self.hook.after("patroni.look", false).await;
            seen
        }
        .boxed()
    }

    fn order<'a>(
        &'a self,
        _at: &'a Endpoint,
        via: &'a Name,
        order: &'a Order,
        _within: Span,
    ) -> BoxFuture<'a, Written> {
        self.write("patroni.order", |world| world.order(via, order)).boxed()
    }

    fn follow<'a>(
        &'a self,
        _at: &'a Endpoint,
        via: &'a Name,
        source: Option<&'a Source>,
        _within: Span,
    ) -> BoxFuture<'a, Written> {
        self.write("patroni.follow", move |world| world.configure(via, source)).boxed()
    }
}

impl Cluster {
    async fn write(&self, verb: &str, change: impl FnOnce(&mut World) -> Written) -> Written {
        let fault = self.hook.before(verb, true).await;
        if fault == Fault::Reject {
            return Written::Refused { says: "refused, as planted".into() };
        }
        let written = {
            let mut state = self.state();
            state.before = state.now.clone();
            change(&mut state.now)
        };
        self.hook.after(verb, true).await;
        match fault {
            Fault::LoseReply => Written::Doubt("the reply was lost".into()),
            _ => written,
        }
    }
}

mod alone;
mod pair;
pub use pair::Pair;

#[cfg(test)]
mod tests;
