//! Acting: each step a small reconciler, in the order that `after` gives, behind two gates.

use super::rules::Ahead;
use super::{ItemPhase, Next, Run, next::Act, pace::poll_delay};
use crate::domain::{
    Call, Change, Fact, Form, ItemId, ItemRole, Outcome, Reason, Record, Settle, Span, StepPlan, Time,
    WhyObserved,
};

/// Whether a gate lets an intent pass.
enum Gate {
    Open,
    /// Guards are being looked at again.
    Looking,
    Shut(Vec<Reason>),
}

impl Run {
    pub(super) fn next_of_steps(&self, now: Time) -> Next {
        let mut next = Next::default();
        if let Some(freeze) = self.frozen().filter(|_| self.paused()) {
            next.wake_at(freeze.until);
        }
        if let Some(id) = self.ids().find(|id| self.state(*id).recheck) {
            let rung = self.state(id).rung;
            next.acts.push(Act::Observe { item: id, rung, why: WhyObserved::Recheck });
            return next.says("looking at finished steps again after a gap");
        }
        if let Some(record) = self.acceptance_over(now) {
            if self.calls_open() {
                return self.next_of_open_calls(now).says("finding out what the calls on their way came to");
            }
            next.record(record);
            return next.says("what a person accepted holds no longer");
        }
        let work: Vec<ItemId> = self.ids_of(ItemRole::Step).chain(self.ids_of(ItemRole::Verify)).collect();
        for id in &work {
            self.next_of_item(*id, now, &mut next);
            if matches!(next.acts.last(), Some(Act::Record(r)) if ends_round(r)) {
                break;
            }
        }
        if work.iter().all(|id| self.state(*id).is_over()) {
            let (outcome, says) = self.good_end();
            next.record(self.finish(outcome, says));
        }
        let says = self.where_it_stands();
        next.says(says)
    }

    fn good_end(&self) -> (Outcome, String) {
        let skipped: Vec<String> = self
            .items
            .iter()
            .filter_map(|i| match &i.phase {
                ItemPhase::Skipped { why } => Some(why.clone()),
                _ => None,
            })
            .collect();
        if self.spec.kind == crate::domain::RunKind::Refence {
            let outcome = if self.changed() { Outcome::Succeeded } else { Outcome::Unchanged };
            return (outcome, format!("the old primary in {} is fenced again, proven", self.spec.from));
        }
        let unverified =
            self.ids_of(ItemRole::Verify).any(|id| matches!(self.state(id).phase, ItemPhase::Skipped { .. }));
        match (skipped.is_empty(), self.changed()) {
            (false, _) if unverified => {
                let says = format!("it is NOT verified that users are served: {}", skipped.join("; "));
                (Outcome::Partial, says)
            }
            (false, _) => (Outcome::Partial, format!("users are served, but {}", skipped.join("; "))),
            (true, true) => {
                let missing = self.given_up();
                let but = if missing.is_empty() { String::new() } else { format!("; not done: {missing}") };
                let says = format!("{} is served from {}, verified{but}", self.spec.service, self.spec.to);
                (Outcome::Succeeded, says)
            }
            (true, false) => (Outcome::Unchanged, "already right; nothing was done".to_owned()),
        }
    }

    /// Optional steps that could not be done.
    fn given_up(&self) -> String {
        let gave_up = |id: &ItemId| matches!(self.state(*id).phase, ItemPhase::GaveUp { .. });
        self.ids().filter(gave_up).map(|id| self.item(id).name.to_string()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn next_of_item(&self, id: ItemId, now: Time, next: &mut Next) {
        let (item, state) = (self.item(id), self.state(id));
        let expired = state.rung_began.is_some_and(|began| now > began + item.timeout)
            && state.lingering.is_none_or(|wait| now > wait.gives_up() + item.timeout);
        if let Some(until) = state.waits_until() {
            return self.next_of_lingering(id, until, expired, now, next);
        }
        match &state.phase {
            ItemPhase::Doubt { since, change, .. } if expired && now > *since + settling(change) => {
                let says = "it could not be established whether the call took effect";
                next.record(self.park_unseen(id, "PM5201", says));
            }
            ItemPhase::Applied { .. } if expired => {
                next.record(self.park_unseen(id, "PM5202", "it was applied, but is not seen in effect"));
            }
            ItemPhase::Doubt { since, .. } => self.poll(id, WhyObserved::Classify, *since, now, next),
            ItemPhase::Applied { since, .. } => self.poll(id, WhyObserved::Verify, *since, now, next),
            ItemPhase::Idle if self.may_begin(id) => self.next_of_idle(id, expired, now, next),
            ItemPhase::Idle
            | ItemPhase::InFlight { .. }
            | ItemPhase::AwaitingPerson
            | ItemPhase::Done { .. }
            | ItemPhase::Skipped { .. }
            | ItemPhase::GaveUp { .. }
            | ItemPhase::Parked { .. } => {}
        }
    }

    /// With what the last look made of it: another state than either of the two that were meant has a name.
    fn park_unseen(&self, id: ItemId, code: &str, says: &str) -> Record {
        let seen = self.state(id).seen.as_ref().map(|seen| seen.plan.reasons()).unwrap_or_default();
        let why = std::iter::once(Reason::new(code, says)).chain(seen.iter().cloned()).collect();
        Record::Parked { item: Some(id), doubt: true, why }
    }

    /// Everything before it is green, nothing is parked, and no other call is in flight at its target.
    fn may_begin(&self, id: ItemId) -> bool {
        if self.is_parked() {
            return false;
        }
        let item = self.item(id);
        let before_ok = match item.role {
            ItemRole::Verify => self.ids_of(ItemRole::Step).all(|s| self.state(s).is_over()),
            ItemRole::Step | ItemRole::Guard => item.after.iter().all(|a| self.state(*a).is_over()),
        };
        let target = self.form(id).spec().map(|s| &s.target);
        let busy = self.ids().any(|other| {
            other != id
                && self.state(other).own_change().is_some()
                && self.form(other).spec().map(|s| &s.target) == target
        });
        before_ok && !busy
    }

    /// Looks again at the pace of polling; the first look is at once.
    pub(super) fn poll(&self, id: ItemId, why: WhyObserved, since: Time, now: Time, next: &mut Next) {
        let state = self.state(id);
        let last = state.seen.as_ref().map(|s| s.at).filter(|at| *at >= since);
        let due = last.map_or(now, |at| at + poll_delay(state.polls));
        match due <= now {
            true => next.acts.push(Act::Observe { item: id, rung: state.rung, why }),
            false => next.wake_at(due),
        }
    }

    fn next_of_idle(&self, id: ItemId, expired: bool, now: Time, next: &mut Next) {
        let (item, state) = (self.item(id), self.state(id));
        if let Some((false, why)) = &state.rejected {
            let unseen = state.seen.as_ref().is_none_or(|seen| matches!(seen.plan, StepPlan::Unknown(_)));
            return match state.numbered > 1 && unseen && !expired {
                // An earlier call of ours whose end nobody heard may be what this one was rejected for: the condition of a
                // compare-and-set that took effect late. Then it is as wanted, and that is looked at first.
                true => self.poll(id, WhyObserved::Recheck, Time(0), now, next),
                false => next.record(park(id, false, "PM5203", &format!("rejected: {why}"))),
            };
        }
        if expired {
            let why = self.last_reasons(id);
            return next.record(Record::Parked { item: Some(id), doubt: false, why });
        }
        if let Some(at) = state.not_before.filter(|at| now < *at) {
            return next.wake_at(at);
        }
        if let Form::Manual { text } = self.form(id) {
            let digest = self.plan.as_ref().map_or(crate::domain::Digest::ZERO, |p| p.digest);
            return next.record(Record::Asked {
                digest,
                item: Some(id),
                until: None,
                says: text.clone(),
                level: 0,
            });
        }
        let fresh = state.seen.as_ref().filter(|s| {
            s.rung >= state.rung && now.since(s.at) <= self.spec.limits.fresh && s.at >= self.last_change()
        });
        let rung = fresh.map_or(state.rung, |s| s.rung);
        match fresh.map(|s| &s.plan) {
            None => {
                next.acts.push(Act::Observe { item: id, rung: state.rung, why: WhyObserved::Recheck });
                self.look_beside(id, next);
            }
            Some(StepPlan::Change(change)) => self.intend(id, rung, change, now, next),
            Some(StepPlan::Refuse(why)) if matches!(self.form(id), Form::Act(_)) => {
                self.stop(id, why.clone(), now, next);
            }
            Some(StepPlan::Refuse(_) | StepPlan::Unknown(_)) => {
                let asks = item.accept_unfenced.is_some() && self.is_last_rung(id, rung);
                match asks {
                    // No waiting: every second is an outage, and only a person can decide.
                    true => next.record(Record::Parked {
                        item: Some(id),
                        doubt: false,
                        why: self.last_reasons(id),
                    }),
                    false => self.poll(id, WhyObserved::Recheck, Time(0), now, next),
                }
            }
            Some(StepPlan::Nothing { .. }) => {
                // Planned so ahead of the run; it is only believed when its turn has come.
                next.acts.push(Act::Observe { item: id, rung: state.rung, why: WhyObserved::Recheck });
            }
        }
    }

    /// The last time that this run changed anything: what was seen before is old.
    fn last_change(&self) -> Time {
        self.items.iter().filter(|i| i.changed).filter_map(|i| i.ended).max().unwrap_or(Time(0))
    }

    pub(super) fn last_reasons(&self, id: ItemId) -> Vec<Reason> {
        let seen = self.state(id).seen.as_ref().map(|s| s.plan.reasons().to_vec()).unwrap_or_default();
        if !seen.is_empty() {
            return seen;
        }
        // It was ready itself, and waited for a guard that did not know.
        let blind =
            self.ids_of(ItemRole::Guard).filter(|guard| self.committed.is_none() && self.is_blind(*guard));
        let blind: Vec<Reason> = blind.flat_map(|guard| self.named_reasons(guard)).collect();
        match blind.is_empty() {
            false => blind,
            true => vec![Reason::new("PM5204", "it did not come about in its time")],
        }
    }

    /// The guard was looked at, and does not know.
    fn is_blind(&self, guard: ItemId) -> bool {
        self.state(guard).seen.as_ref().is_some_and(|seen| matches!(seen.plan, StepPlan::Unknown(_)))
    }

    fn named_reasons(&self, id: ItemId) -> Vec<Reason> {
        let name = &self.item(id).name;
        let reasons = self.state(id).seen.as_ref().map(|seen| seen.plan.reasons()).unwrap_or_default();
        reasons.iter().map(|r| Reason::new(&r.code, format!("{name}: {}", r.says))).collect()
    }

    /// From a fresh, wanted change to its intent: drift, needs, rules, and with fresh eyes proofs and guards; in this order.
    fn intend(&self, id: ItemId, rung: u8, change: &Change, now: Time, next: &mut Next) {
        let state = self.state(id);
        if let Some(why) = self.drift(id, rung, change) {
            return self.stop(id, vec![Reason::new("PM5104", why)], now, next);
        }
        if self.deadline_from.is_some_and(|from| now > from + self.spec.limits.deadline) {
            let says = format!("the run's time of {} is over; retry goes on", self.spec.limits.deadline);
            return self.stop(id, vec![Reason::new("PM5107", says)], now, next);
        }
        let given = self.proven(id);
        let unmet = self.unmet(&change.needs, &given);
        if !unmet.is_empty() {
            let why =
                unmet.iter().map(|n| Reason::new("PM5102", format!("it is not proven that {n}"))).collect();
            return next.record(Record::Parked { item: Some(id), doubt: false, why });
        }
        let mut broken = self.standing(self.broken((id, rung), change, &given, Ahead::Write), now);
        broken.extend(self.over_budget(now));
        if !broken.is_empty() && !self.ask_blind_guards(id, now, next) {
            return self.stop(id, broken, now, next);
        }
        if !broken.is_empty() {
            return;
        }
        let gated = self.is_gated(id, rung, Some(change));
        if gated && self.resolved && self.first_change.is_some() {
            let says = "every alert is resolved, but changes are made already: retry goes on, close leaves it as it is";
            return self.stop(id, vec![Reason::new("PM5106", says)], now, next);
        }
        let fresh = self.proofs_are_fresh(id, change, now, next);
        match if gated { self.gate(id, now, next) } else { Gate::Open } {
            Gate::Open if fresh => {}
            Gate::Open | Gate::Looking => return,
            Gate::Shut(why) => return self.stop(id, why, now, next),
        }
        let Form::Act(spec) = &self.rung(id, rung).form else {
            return next.record(park(id, false, "PM5101", "a check may not change anything"));
        };
        if next.acts.iter().any(|a| matches!(a, Act::Apply { spec: s, .. } if s.target == spec.target)) {
            return;
        }
        let call = Call { item: id, rung, attempt: state.numbered + 1, undo: false };
        next.acts.push(Act::Apply { call, spec: spec.clone(), change: Box::new(change.clone()) });
    }

    /// Whether guards are asked before this change. Past the commit point they speak of a world that is gone: the standby,
    /// for one, is the primary now.
    fn is_gated(&self, id: ItemId, rung: u8, change: Option<&Change>) -> bool {
        let anew = self.committed.is_none() && (self.late || self.look_anew);
        let fences = self.committed.is_none() && self.fences(id, rung, change);
        self.first_change.is_none() || self.item(id).commit_point || fences || anew
    }

    /// A living primary may only be fenced while the guards say that its site is lost: they are asked for each fence.
    fn fences(&self, id: ItemId, rung: u8, change: Option<&Change>) -> bool {
        let fenced = |fact: &Fact| matches!(fact, Fact::Fenced { .. });
        change.is_some_and(|change| change.gives.iter().any(fenced))
            || self.rung(id, rung).proves.iter().any(fenced)
    }

    /// The gate's guards beside the look at the item itself. A look at what is silent takes as long as a look may count as
    /// fresh: one after the other, each would be too old when the other ends, and the change would never be made.
    fn look_beside(&self, id: ItemId, next: &mut Next) {
        let state = self.state(id);
        let planned = match state.planned.as_ref().map(|seen| &seen.plan) {
            Some(StepPlan::Change(change)) => Some(change.as_ref()),
            _ => None,
        };
        if !matches!(self.form(id), Form::Act(_)) || !self.is_gated(id, state.rung, planned) {
            return;
        }
        for guard in self.ids_of(ItemRole::Guard) {
            let look = Act::Observe { item: guard, rung: 0, why: WhyObserved::Recheck };
            if !next.acts.contains(&look) {
                next.acts.push(look);
            }
        }
    }

    /// Before the first change there is nothing to park: plan again. After it, a person is needed.
    fn stop(&self, id: ItemId, why: Vec<Reason>, now: Time, next: &mut Next) {
        match self.first_change {
            None => {
                let until = now + self.spec.limits.fresh;
                next.record(Record::Held { why, occurrence: None, playbook: None, until });
            }
            Some(_) => next.record(Record::Parked { item: Some(id), doubt: false, why }),
        }
    }

    /// A fact changed or a bound broken since the plan that was shown. A later rung of the ladder is no drift.
    fn drift(&self, id: ItemId, rung: u8, change: &Change) -> Option<String> {
        let (state, item) = (self.state(id), self.item(id));
        let planned = state.planned.as_ref()?;
        if rung > planned.rung || state.changed {
            return None;
        }
        match &planned.plan {
            StepPlan::Change(shown) if planned.rung == rung && change.within(shown) => None,
            StepPlan::Change(shown) => {
                Some(format!("{}: planned from {:?}, now it is {:?}", item.name, shown.now, change.now))
            }
            StepPlan::Nothing { says, .. } => {
                Some(format!("{}: it was already right ({says}), now it is {:?}", item.name, change.now))
            }
            StepPlan::Refuse(_) | StepPlan::Unknown(_) => None,
        }
    }

    /// Guards must hold, seen no longer ago than `fresh`. After the first change, a guard that does not know is asked
    /// again for as long as the step `id` may take; one that says no shuts the gate at once.
    fn gate(&self, id: ItemId, now: Time, next: &mut Next) -> Gate {
        let patient = self.is_patient(id, now);
        let mut looking = false;
        let mut shut = vec![];
        for guard in self.ids_of(ItemRole::Guard) {
            let state = self.state(guard);
            let fresh = state.seen.as_ref().filter(|s| now.since(s.at) <= self.spec.limits.fresh);
            match fresh.map(|s| (&s.plan, s.at)) {
                None => {
                    looking = true;
                    next.acts.push(Act::Observe { item: guard, rung: 0, why: WhyObserved::Recheck });
                }
                Some((StepPlan::Nothing { .. }, _)) => {}
                Some((StepPlan::Unknown(_), at)) if patient => {
                    looking = true;
                    ask_again(guard, at, now, next);
                }
                Some(_) => shut.extend(self.named_reasons(guard)),
            }
        }
        match (shut.is_empty(), looking) {
            (false, _) => Gate::Shut(shut),
            (true, true) => Gate::Looking,
            (true, false) => Gate::Open,
        }
    }

    /// After the first change, a step waits for what is not known for as long as it may take itself.
    fn is_patient(&self, id: ItemId, now: Time) -> bool {
        self.first_change.is_some()
            && self.state(id).rung_began.is_some_and(|began| now <= began + self.item(id).timeout)
    }

    /// A proof that a guard gave is gone since the guard cannot see: it is asked again while the step has time.
    fn ask_blind_guards(&self, id: ItemId, now: Time, next: &mut Next) -> bool {
        if !self.is_patient(id, now) {
            return false;
        }
        let blind: Vec<ItemId> = self.ids_of(ItemRole::Guard).filter(|guard| self.is_blind(*guard)).collect();
        for guard in &blind {
            let at = self.state(*guard).seen.as_ref().map_or(now, |seen| seen.at);
            ask_again(*guard, at, now, next);
        }
        !blind.is_empty()
    }

    /// One sentence for the status line.
    pub(super) fn where_it_stands(&self) -> String {
        let parked: Vec<String> = self
            .parked()
            .map(|(id, why, _)| {
                let why: Vec<&str> = why.iter().map(|r| r.says.as_str()).collect();
                format!("{}: {}", self.item(id).name, why.join("; "))
            })
            .collect();
        if !parked.is_empty() && self.is_parked() {
            let back = if self.undoing.is_some() { "going back, and " } else { "" };
            return format!("parked: {back}{}", parked.join(" | "));
        }
        if self.undoing.is_some() {
            let left: Vec<&str> = self.next_back().iter().map(|id| self.item(*id).name.as_str()).collect();
            return format!("taking back what was changed: {}", left.join(", "));
        }
        if let Some(freeze) = self.frozen().filter(|_| self.paused()) {
            return format!("parked: {}; nothing more begins before the commit point", freeze.says());
        }
        let asked = self.ids().find(|id| self.state(*id).phase == ItemPhase::AwaitingPerson);
        if let Some(id) = asked {
            return format!("waits for a person: {}", self.item(id).name);
        }
        let waiting = self.waits_for_others();
        let working: Vec<&str> = self
            .ids()
            .filter(|id| self.state(*id).began.is_some() && self.state(*id).ended.is_none())
            .filter(|id| self.state(*id).lingering.is_none())
            .map(|id| self.item(id).name.as_str())
            .collect();
        let working = (!working.is_empty()).then(|| format!("working: {}", working.join(", ")));
        match (working, waiting) {
            (None, None) => "going on".to_owned(),
            (working, waiting) => working.into_iter().chain(waiting).collect::<Vec<_>>().join("; "),
        }
    }
}

fn ask_again(guard: ItemId, last: Time, now: Time, next: &mut Next) {
    match last + poll_delay(10) {
        due if due <= now => {
            next.acts.push(Act::Observe { item: guard, rung: 0, why: WhyObserved::Recheck });
        }
        due => next.wake_at(due),
    }
}

/// How long a doubt may take to settle, one slow look included: giving up earlier would leave every such doubt to a
/// person, though waiting answers it.
fn settling(change: &Change) -> Span {
    match change.settle {
        Settle::After(span) => Span(span.0 + Span::secs(2).0),
        Settle::AtOnce | Settle::Repeatable(_) | Settle::Never => Span::ZERO,
    }
}

fn ends_round(record: &Record) -> bool {
    matches!(record, Record::Held { .. } | Record::Finished { .. })
}

pub(super) fn park(id: ItemId, doubt: bool, code: &str, says: &str) -> Record {
    Record::Parked { item: Some(id), doubt, why: vec![Reason::new(code, says)] }
}
