//! Between the models and the fuse: every call may be struck, every moment is watched.

use super::sights::{View, foreign};
use super::{Hand, TwoSites};
use crate::kernel::domain::{Name, Span};
use crate::kernel::port::World as _;
use crate::kernel::sim::{Fuse, SimWorld, Strike};
use crate::provider::dns::RrSet;
use crate::provider::hosted::Held;
use crate::simulated::{Fault, Hook};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

/// Bytes that the application writes between two calls, and how seldom they are replicated.
const ORDER: u64 = 4096;
const STUMBLE: usize = 3;

/// What was seen while the world went on.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Every call: its verb, and whether it can change anything.
    pub calls: Vec<(String, bool)>,
    /// What must never be, with the number of the call at which it was.
    pub violations: Vec<(usize, String)>,
    /// The call before which somebody changed the world by hand.
    pub touched: Option<usize>,
    /// By somebody else.
    pub promoted_by_hand: Vec<Name>,
    /// Bytes that the old primary had accepted and the new one had not, when *we* promoted it.
    pub lost: Option<u64>,
    /// A second writer may be somebody's own doing.
    own_doing: bool,
    /// A person accepted by name that the old primary is not fenced.
    accepted: bool,
    pub(super) resolved: bool,
    /// Machines of old servers that are switched off.
    cut: BTreeSet<Name>,
    pub(super) now: View,
    pub(super) before: View,
    stale: bool,
    promotions: u32,
    /// Fences that we took back.
    unfenced: u32,
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

pub(super) struct FusedCalls {
    pub fuse: Arc<Fuse>,
    pub clock: SimWorld,
    pub latency: Span,
    pub world: Weak<TwoSites>,
}

impl Hook for FusedCalls {
    fn before<'a>(&'a self, verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault> {
        async move {
            self.fuse.boundary().await;
            self.clock.sleep_until(self.clock.now() + self.latency).await;
            let strike = self.fuse.strike();
            if let Some(world) = self.world.upgrade() {
                world.begins(verb, mutates, strike);
            }
            match strike {
                None | Some(Strike::ByHand) => Fault::None,
                Some(Strike::Reject) => Fault::Reject,
                Some(Strike::LoseReply) => Fault::LoseReply,
                Some(Strike::Stale) => Fault::Stale,
            }
        }
        .boxed()
    }

    fn after<'a>(&'a self, verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        async move {
            if let Some(world) = self.world.upgrade()
                && !verb.starts_with("http.")
            {
                world.notice();
            }
            self.fuse.boundary().await;
        }
        .boxed()
    }
}

impl TwoSites {
    fn begins(&self, verb: &str, mutates: bool, strike: Option<Strike>) {
        let call = {
            let mut seen = self.seen();
            seen.calls.push((verb.to_owned(), mutates));
            seen.stale = strike == Some(Strike::Stale) && verb.starts_with("http.");
            seen.calls.len() - 1
        };
        if self.start.orders {
            let stalled =
                self.start.cut_replication || self.start.behind > 0 || !call.is_multiple_of(STUMBLE);
            self.pair.write(ORDER, stalled);
        }
        if strike == Some(Strike::ByHand) {
            self.seen().touched = Some(call);
            self.lay_hand(self.hand);
            self.notice();
        }
    }

    /// What a look is answered with: the world, or, when it is struck, the world before its last change.
    pub(super) fn looked_at(&self) -> View {
        let mut seen = self.seen();
        if std::mem::take(&mut seen.stale) { seen.before.clone() } else { seen.now.clone() }
    }

    /// A machine that was switched off at its provider takes its server with it.
    fn follow_the_machines(&self) {
        for (machine, server) in &self.things.machines {
            let held = self.resources.holds(machine.as_str());
            let Some(power) = held.as_ref().and_then(|fields| fields.get("power")) else { continue };
            let off = power == "off";
            let was_off = match off {
                true => !self.seen().cut.insert(machine.clone()),
                false => self.seen().cut.remove(machine),
            };
            match (was_off, off) {
                (false, true) => self.pair.stop_and_mask(server),
                (true, false) => {
                    self.pair.unmask(server);
                    if !self.start.primary_killed {
                        self.pair.start(server);
                    }
                }
                _ => {}
            }
        }
    }

    /// After everything that may have changed the world.
    fn notice(&self) {
        self.follow_the_machines();
        self.pair.settle();
        let (view, fenced, lost) = (self.view(), self.pair.old_is_fenced(), self.lost());
        let (promoted, split) = (self.pair.promoted(), self.pair.has_two_writers());
        let mut seen = self.seen();
        let call = seen.calls.len().saturating_sub(1);
        if view != seen.now {
            seen.before = std::mem::replace(&mut seen.now, view);
        }
        let ours = promoted.saturating_sub(u32::try_from(seen.promoted_by_hand.len()).unwrap_or(u32::MAX));
        if ours > seen.promotions {
            seen.promotions = ours;
            seen.lost = lost;
            if !fenced && !seen.accepted {
                let (new, old) = (listed(&self.names.news), listed(&self.names.olds));
                let says = format!("{new} was promoted, and {old} is not fenced");
                seen.violations.push((call, says));
            }
        }
        let back = self.unfenced();
        if back > seen.unfenced {
            seen.unfenced = back;
            if !self.pair.new_follows() {
                let says = format!("the fence was taken back, and {} is a primary", listed(&self.names.news));
                seen.violations.push((call, says));
            }
        }
        let own_doing =
            matches!(self.hand, Some(Hand::PromoteNew | Hand::UnfenceOld)) && seen.touched.is_some();
        if split && !own_doing && !seen.own_doing {
            seen.violations.push((call, "two servers take writes".into()));
        }
    }

    fn unfenced(&self) -> u32 {
        let started = |(what, count): (&String, &u32)| if what.ends_with(" unfence") { *count } else { 0 };
        self.pair.given_back() + self.hosts.effects().iter().map(started).sum::<u32>()
    }

    /// Somebody pulls the plug of these, or of all that are old.
    pub fn power_off(&self, servers: &[Name]) {
        let servers = if servers.is_empty() { &self.names.olds } else { servers };
        for server in servers {
            self.pair.stop_and_mask(server);
        }
        self.notice();
    }

    /// From here on a promotion without a fence is a person's decision.
    pub fn accept_unfenced(&self) {
        self.seen().accepted = true;
    }

    /// Somebody does it now; what follows of it is their doing, not ours.
    pub fn by_hand(&self, hand: Hand) {
        {
            let mut seen = self.seen();
            let call = seen.calls.len();
            seen.touched.get_or_insert(call);
            seen.own_doing |= matches!(hand, Hand::PromoteNew | Hand::UnfenceOld);
        }
        self.lay_hand(Some(hand));
        self.notice();
    }

    fn lay_hand(&self, hand: Option<Hand>) {
        match hand {
            None => {}
            Some(Hand::StartOld) => self.start_old(),
            Some(Hand::PromoteNew) => self.promote_by_hand(),
            Some(Hand::UnfenceOld) => self.unfence_by_hand(),
            Some(Hand::Resolve) => self.seen().resolved = true,
            Some(Hand::EditFile) => {
                for app in &self.names.apps {
                    self.hosts.by_hand(app.host.clone(), &app.file, &app.text("elsewhere.example"));
                }
            }
            Some(Hand::RestartApp) => {
                for app in &self.names.apps {
                    self.hosts.touch(app.host.clone(), |machine| machine.running = machine.files.clone());
                }
            }
            Some(Hand::MoveDns) => {
                for (set, _) in &self.names.zone {
                    let question = set.question();
                    let held = self.hosted.holds().into_iter().find(|held| held.question() == question);
                    if let Some(held) = held {
                        self.hosted.by_hand(Held { values: foreign(&question), ..held });
                        continue;
                    }
                    self.dns.by_hand(RrSet::new(&question, 60, foreign(&question)));
                }
            }
        }
    }

    fn start_old(&self) {
        for server in &self.names.olds {
            self.pair.start(server);
        }
    }

    fn promote_by_hand(&self) {
        let done = self.pair.promote();
        self.seen().promoted_by_hand.extend(done);
    }

    fn unfence_by_hand(&self) {
        for server in &self.names.olds {
            self.pair.unmask(server);
        }
        self.pair.allow_writes();
        self.start_old();
        for (_, machine) in &self.names.machines {
            self.hosts.touch(machine.clone(), |machine| machine.marks.clear());
        }
        for machine in self.things.machines.keys() {
            let on = self.things.start.get(machine.as_str()).cloned().unwrap_or_default();
            self.resources.put(machine.as_str(), on.0, on.1);
        }
    }
}
