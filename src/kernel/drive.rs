//! One pass over one run: it owns the run, its calls in flight, and the only pen. No spawn inside, so dropping the
//! pass *is* a crash, and the next pass finds exactly what a restarted process would find.
//!
//! The worker calls it for due runs; `plan` calls it over a memory backend; the simulator calls it everywhere.

mod ledger;
#[cfg(any(test, feature = "planted"))]
mod mistake;
mod open;
mod still;

#[cfg(any(test, feature = "planted"))]
pub use mistake::Mistake;
pub use open::opening;

use crate::domain::{
    Call, CallEnd, Epoch, ItemId, Observation, Outcome, PlanSheet, Record, RunId, Span, Stamped, StepPlan,
    Stream, Time, WhyObserved,
};
use crate::engine::{Act, Illegal, Run};
use crate::journal::{AppendError, Batch, Journal, Permit, ReadError, Row};
use crate::port::{Bound, Ctx, Ledger, ProviderError, Registry, Samples, World};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashSet;
use std::sync::Arc;

/// A wake-up nearer than this is slept through inside the pass.
const NAP: Span = Span::secs(1);
/// Beyond an item's own deadline, for replies on their way; then the call is in doubt.
const GRACE: Span = Span::secs(2);

/// A call that would be made later than this after its decision is not made: a process that was stopped meanwhile (a machine
/// that slept, a store that hung) knows nothing of the world any more. It looks again first.
const HELD_UP: Span = crate::engine::PROVEN_FOR;

/// How a pass left the run.
#[derive(Debug)]
pub enum Pass {
    /// Nothing to do before `wake`, or before somebody says something.
    Waiting {
        wake: Option<Time>,
        says: String,
    },
    Finished(Outcome),
    /// The playbook only observes: this is what it would do.
    Observed(Box<PlanSheet>),
}

#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the journal does not fold: {0}")]
    Illegal(#[from] Illegal),
}

pub struct Driver<'a> {
    journal: &'a Journal,
    registry: &'a dyn Registry,
    world: Arc<dyn World>,
    samples: Arc<dyn Samples>,
    owner: String,
    ledger: Option<Arc<dyn Ledger>>,
    #[cfg(any(test, feature = "planted"))]
    mistake: Mistake,
}

enum Done {
    Seen(Look),
    Ended { call: Call, end: CallEnd },
}

/// A finished look that waits until the facts it builds on are judged.
struct Look {
    item: ItemId,
    rung: u8,
    why: WhyObserved,
    /// Of the way back.
    undo: bool,
    seen: Result<Observation, String>,
    bound: Option<Bound>,
}

struct Passing<'a> {
    driver: &'a Driver<'a>,
    id: RunId,
    /// As the journal has it.
    stored: Run,
    /// With what this pass is about to write.
    run: Run,
    pending: Vec<Record>,
    looks: Vec<Look>,
    busy: HashSet<ItemId>,
    flying: FuturesUnordered<BoxFuture<'a, Done>>,
    /// Another run took what was left of the instance's changes between the decision and the booking.
    outspent: bool,
    /// Items at which a planted mistake was made; once each.
    #[cfg(any(test, feature = "planted"))]
    mistaken: HashSet<ItemId>,
}

impl<'a> Driver<'a> {
    /// `owner`: this process, unlike any other and any earlier one.
    pub fn new(
        journal: &'a Journal,
        registry: &'a dyn Registry,
        world: Arc<dyn World>,
        samples: Arc<dyn Samples>,
        owner: impl Into<String>,
    ) -> Driver<'a> {
        Driver {
            journal,
            registry,
            world,
            samples,
            owner: owner.into(),
            ledger: None,
            #[cfg(any(test, feature = "planted"))]
            mistake: Mistake::None,
        }
    }

    /// The instance's limit of changes binds what this driver begins. Without a ledger there is none.
    pub fn within(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Drives the run until it waits, ends, or the store refuses.
    pub async fn drive(&'a self, id: &RunId) -> Result<Pass, DriveError> {
        self.take(id).await?.go().await
    }

    /// The run, with the pen in this driver's hand.
    async fn take(&'a self, id: &RunId) -> Result<Passing<'a>, DriveError> {
        let stored = Run::fold(&self.journal.read(&Stream::Run(id.clone()), 1).await?)?;
        let mut pass = Passing {
            driver: self,
            id: id.clone(),
            run: stored.clone(),
            stored,
            pending: vec![],
            looks: vec![],
            busy: HashSet::new(),
            flying: FuturesUnordered::new(),
            outspent: false,
            #[cfg(any(test, feature = "planted"))]
            mistaken: HashSet::new(),
        };
        if pass.run.finished.is_none() && (pass.run.owner != self.owner || pass.run.in_flight()) {
            pass.take_over().await?;
        }
        Ok(pass)
    }
}

impl<'a> Passing<'a> {
    async fn go(&mut self) -> Result<Pass, DriveError> {
        loop {
            self.look_at_ledger();
            self.note_leap();
            let next = self.run.next(self.driver.world.now());
            let (wake, says) = (next.wake, next.says);
            let applies = self.carry_out(next.acts)?;
            if self.must_flush(&applies) {
                if !self.flush(applies).await? {
                    self.reload().await?;
                }
                continue;
            }
            if std::mem::take(&mut self.outspent) {
                continue;
            }
            if self.flying.is_empty() {
                if let Some(outcome) = self.run.finished {
                    return Ok(Pass::Finished(outcome));
                }
                if let (Some(sheet), crate::domain::Mode::Observe) = (&self.run.plan, self.run.spec.mode) {
                    return Ok(Pass::Observed(Box::new(sheet.clone())));
                }
                match wake {
                    Some(at) if at.since(self.driver.world.now()) <= NAP => {
                        self.driver.world.sleep_until(at).await;
                        self.reload().await?;
                    }
                    wake => return Ok(Pass::Waiting { wake, says }),
                }
            } else {
                self.wait(wake).await;
                self.judge_looks()?;
            }
        }
    }

    /// The next completion, or the next time something is due.
    async fn wait(&mut self, wake: Option<Time>) {
        let done = match wake {
            None => self.flying.next().await,
            Some(at) => {
                let timer = self.driver.world.sleep_until(at);
                match select(self.flying.next(), timer).await {
                    Either::Left((done, _)) => done,
                    Either::Right(_) => None,
                }
            }
        };
        match done {
            None => {}
            Some(Done::Seen(look)) => {
                self.busy.remove(&look.item);
                self.looks.push(look);
            }
            Some(Done::Ended { call, end }) => {
                self.busy.remove(&call.item);
                self.pend(Record::Ended { call, end });
            }
        }
    }

    /// Judges the looks whose facts are all there, in playbook order.
    fn judge_looks(&mut self) -> Result<(), DriveError> {
        self.looks.sort_by_key(|l| l.item);
        loop {
            let ready =
                self.looks.iter().position(|l| l.why != WhyObserved::Plan || self.run.can_judge(l.item));
            let Some(at) = ready else { return Ok(()) };
            let look = self.looks.remove(at);
            let plan = self.judge(&look);
            self.pend(Record::Observed {
                item: look.item,
                rung: look.rung,
                why: look.why,
                seen: look.seen,
                plan,
                undo: look.undo,
            });
        }
    }

    fn judge(&self, look: &Look) -> StepPlan {
        let given = match look.why {
            WhyObserved::Plan => self.run.promised(look.item),
            WhyObserved::Recheck | WhyObserved::Classify | WhyObserved::Verify => self.run.proven(look.item),
        };
        match (&look.seen, &look.bound) {
            (Ok(seen), Some(bound)) => {
                let plan = bound.check().plan(seen, &given, self.driver.world.now());
                #[cfg(any(test, feature = "planted"))]
                let plan = self.with_mistake(plan);
                plan
            }
            (Err(why), _) => StepPlan::unknown("PM5301", why.clone()),
            (Ok(_), None) => StepPlan::unknown("PM5302", "nothing can judge what was seen"),
        }
    }

    /// Writes a record down in this pass's copy; it is durable only after `flush`.
    fn pend(&mut self, record: Record) {
        self.note_leap();
        self.pend_now(record);
    }

    /// Time that was lost without passing is nobody's waiting: a record says so before any that stands behind it.
    fn note_leap(&mut self) {
        // The clock first: it may learn of a leap by being read.
        self.driver.world.now();
        let leapt = self.driver.world.leapt_since(self.run.at);
        if leapt == Span::ZERO || self.run.finished.is_some() {
            return;
        }
        let says =
            format!("the clock went ahead by {leapt} at once: what this run waits for is waited for anew");
        let jump = i64::try_from(leapt.0).unwrap_or(i64::MAX);
        self.pend_now(Record::Clock { says, jump });
    }

    fn pend_now(&mut self, record: Record) {
        let stamped = Stamped {
            position: 0,
            stream: Stream::Run(self.id.clone()),
            seq: self.run.seq + 1,
            at: self.driver.world.now().max(self.run.at),
            record,
        };
        // What cannot follow any more (the run moved on meanwhile) is dropped: it decided nothing.
        if self.run.apply(&stamped).is_ok() {
            self.pending.push(stamped.record);
        }
    }

    /// Starts looks, pends records, and returns the calls whose intents are pended.
    fn carry_out(&mut self, acts: Vec<Act>) -> Result<Vec<Call>, DriveError> {
        let mut calls = vec![];
        for act in acts {
            match act {
                Act::Record(record) => self.pend(*record),
                Act::Observe { item, rung, why } => self.observe(item, rung, why),
                Act::Apply { call, spec, change } => {
                    #[cfg(any(test, feature = "planted"))]
                    if self.calls_too_early(&call, &spec, &change) {
                        continue;
                    }
                    if !self.book(&call) {
                        continue;
                    }
                    self.pend(Record::Intended { call, spec, change });
                    calls.push(call);
                }
            }
        }
        Ok(calls)
    }

    fn observe(&mut self, item: ItemId, rung: u8, why: WhyObserved) {
        if self.looks.iter().any(|l| l.item == item) || !self.busy.insert(item) {
            return;
        }
        #[cfg(any(test, feature = "planted"))]
        if let Some(call) = self.mistaken_call(item, why) {
            return self.call_by_mistake(call);
        }
        let Some(spec) = self.run.form_at(item, rung).spec().cloned() else {
            self.busy.remove(&item);
            return;
        };
        let undo = self.run.turned(item);
        let ctx = self.ctx(item);
        let driver = self.driver;
        self.flying.push(Box::pin(async move {
            let bound = match driver.registry.bind(&spec) {
                Ok(bound) => bound,
                Err(problems) => {
                    let seen = Err(problems.join("; "));
                    return Done::Seen(Look { item, rung, why, undo, seen, bound: None });
                }
            };
            let timer = driver.world.sleep_until(ctx.deadline + GRACE);
            let seen = match select(bound.check().observe(&ctx), timer).await {
                Either::Left((seen, _)) => seen.map_err(|e: ProviderError| e.to_string()),
                Either::Right(_) => Err("no answer within the deadline".to_owned()),
            };
            Done::Seen(Look { item, rung, why, undo, seen, bound: Some(bound) })
        }));
    }

    fn ctx(&self, item: ItemId) -> Ctx {
        let now = self.driver.world.now();
        let since = match &self.run.spec.cause {
            crate::domain::Cause::Alert { started, .. } => Some(*started),
            crate::domain::Cause::Person { .. } => None,
        };
        Ctx {
            world: self.driver.world.clone(),
            samples: self.driver.samples.clone(),
            began: now,
            deadline: now + self.run.item(item).timeout,
            run: self.id.clone(),
            service: self.run.spec.service.clone(),
            epoch: self.run.epoch,
            since,
        }
    }

    /// Looks alone wait for each other while planning; everything else is written at once.
    fn must_flush(&self, calls: &[Call]) -> bool {
        let only_looks = self.pending.iter().all(|r| matches!(r, Record::Observed { .. }));
        !self.pending.is_empty() && (!calls.is_empty() || !only_looks || self.flying.is_empty())
    }

    /// Appends what is pending; starts the calls whose permits came back. False: somebody else wrote first.
    async fn flush(&mut self, calls: Vec<Call>) -> Result<bool, DriveError> {
        let records = std::mem::take(&mut self.pending);
        let finished = records.iter().any(|r| matches!(r, Record::Finished { .. }));
        let summary = self.run.summary().cached();
        let now = self.driver.world.now();
        let mut batch = Batch::new(now)
            .part(Stream::Run(self.id.clone()), Some(self.stored.seq), records.clone())
            .summary(summary)
            .epoch(self.run.spec.service.clone(), self.run.epoch);
        if finished {
            batch = batch.row(Row::Unlock { run: self.id.clone() });
        }
        let appended = self.driver.journal.append(batch).await;
        self.settle_ledger(&appended, calls.len(), finished);
        match appended {
            Ok(receipt) => {
                for stamped in &receipt.stamped {
                    self.stored.apply(stamped)?;
                }
                self.run = self.stored.clone();
                debug_assert_eq!(receipt.permits.len(), calls.len());
                for permit in receipt.permits {
                    self.call(permit, now);
                }
                Ok(true)
            }
            Err(AppendError::Moved { .. }) => {
                // Ends of calls are facts and are written again; everything else is decided anew.
                self.pending = records.into_iter().filter(|r| matches!(r, Record::Ended { .. })).collect();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The only place in the whole program that calls `apply`. `decided`: when the intent was given to the store.
    fn call(&mut self, permit: Permit, decided: Time) {
        let call = permit.call();
        self.busy.insert(call.item);
        let ctx = self.ctx(call.item);
        let driver = self.driver;
        let spec = permit.spec().clone();
        self.flying.push(Box::pin(async move {
            let action = match driver.registry.bind(&spec) {
                Ok(Bound::Action(action)) => action,
                Ok(Bound::Check(_)) => {
                    return Done::Ended { call, end: CallEnd::rejected(false, "not an action") };
                }
                Err(why) => return Done::Ended { call, end: CallEnd::rejected(false, why.join("; ")) },
            };
            let late = driver.world.now().since(decided);
            if late > HELD_UP {
                let says = format!("{late} went by between the decision and the call; nothing was sent");
                return Done::Ended { call, end: CallEnd::not_sent(says) };
            }
            let timer = driver.world.sleep_until(ctx.deadline + GRACE);
            let end = match select(action.apply(&ctx, permit), timer).await {
                Either::Left((end, _)) => end,
                Either::Right(_) => CallEnd::indeterminate("no reply within the deadline"),
            };
            Done::Ended { call, end }
        }));
    }

    /// Reads what others wrote, and puts ends of calls on top again.
    async fn reload(&mut self) -> Result<(), DriveError> {
        let stream = Stream::Run(self.id.clone());
        for stamped in self.driver.journal.read(&stream, self.stored.seq + 1).await? {
            self.stored.apply(&stamped)?;
        }
        if self.stored.owner != self.driver.owner {
            let epoch: Epoch = self.stored.epoch;
            return Err(
                AppendError::Deposed { service: self.stored.spec.service.clone(), current: epoch }.into()
            );
        }
        self.run = self.stored.clone();
        for record in std::mem::take(&mut self.pending) {
            self.pend(record);
        }
        Ok(())
    }

    /// A record says who runs it now. Calls in flight under the old runner become doubt.
    async fn take_over(&mut self) -> Result<(), DriveError> {
        let service = self.run.spec.service.clone();
        let epoch = self.driver.journal.backend().epoch(&service).await? + 1;
        let now = self.driver.world.now();
        let gap = now.since(self.stored.at);
        let owner = self.driver.owner.clone();
        let taken = Record::Taken { epoch, owner, gap };
        let summary = self.stored.with(&taken, now)?.summary().cached();
        let batch = Batch::new(now)
            .part(Stream::Run(self.id.clone()), Some(self.stored.seq), vec![taken])
            .summary(summary)
            .row(Row::RaiseEpoch { service, to: epoch });
        let receipt = self.driver.journal.append(batch).await?;
        for stamped in &receipt.stamped {
            self.stored.apply(stamped)?;
        }
        self.run = self.stored.clone();
        Ok(())
    }
}
