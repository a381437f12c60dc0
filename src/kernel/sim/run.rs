//! One simulated life after another, until the run waits for a person or ends.

use super::{FaultyBackend, Fuse, Schedule, SimWorld};
use crate::domain::{Actor, Outcome, Resolved, RunId, Span, Stream, Time};
#[cfg(any(test, feature = "planted"))]
use crate::drive::Mistake;
use crate::drive::{DriveError, Driver, Pass, opening};
use crate::engine::{Command, Run};
use crate::journal::{AppendError, Batch, Journal};
use crate::port::{Ledger, Registry, Samples, World};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Restarts and passes in one simulated story; more is a loop that never ends.
const MAX_PASSES: u32 = 2_000;
/// Polls within one pass.
const MAX_POLLS: u32 = 200_000;

/// Set when a future wants to be polled again before any time passes.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Why a person's word is not written down.
enum Said {
    Refused(String),
    Not(String),
    Again,
}

/// Where a story ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Finished(Outcome),
    /// It waits for a person: parked, held for ever, or asking.
    Waits(String),
}

/// How one pass left the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Went {
    Finished(Outcome),
    /// Nothing to do before `until`, or before somebody says something.
    Waits {
        until: Option<Time>,
        says: String,
    },
    /// The process died, or was told by the store to begin anew.
    Died,
}

pub struct Sim {
    pub fuse: Arc<Fuse>,
    pub world: SimWorld,
    pub backend: Arc<FaultyBackend>,
    #[cfg(any(test, feature = "planted"))]
    pub mistake: Mistake,
    /// The instance's limit of changes, where there shall be one.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// A run at work, or held, looks again; after this much virtual time the story ends as it stands.
    pub patience: Span,
    /// The same for a run that is held all that time: one look is like the other.
    pub hold_patience: Span,
}

impl Sim {
    pub fn new(schedule: Schedule, now: Time) -> Sim {
        let world = SimWorld::starting_at(now);
        let fuse = Arc::new(Fuse::new(schedule, world.clone()));
        let backend = Arc::new(FaultyBackend::new(fuse.clone()));
        Sim {
            fuse,
            world,
            backend,
            #[cfg(any(test, feature = "planted"))]
            mistake: Mistake::None,
            ledger: None,
            patience: Span::mins(180),
            hold_patience: Span::mins(180),
        }
    }

    /// Opens the run as triage would: the record, its locks and its epoch in one batch. After a death the alert is
    /// delivered again, and the compare of the append finds a run that is open already.
    pub fn open(&self, spec: Resolved) -> Result<RunId, String> {
        let run = spec.run.clone();
        for _ in 0..MAX_PASSES {
            let batch = opening(&spec, self.world.now()).map_err(|e| e.to_string())?;
            match self.block_on(Journal::new(self.backend.clone()).append(batch)) {
                Some(Ok(_) | Err(AppendError::Moved { .. } | AppendError::Deposed { .. })) => return Ok(run),
                None | Some(Err(AppendError::Doubt(_))) => self.restart(),
                Some(Err(other)) => return Err(other.to_string()),
            }
        }
        Err("the run cannot be opened".into())
    }

    /// Drives to the end, a new process after every death.
    pub fn finish(
        &self,
        run: &RunId,
        registry: &dyn Registry,
        samples: Arc<dyn Samples>,
    ) -> Result<End, String> {
        // By the clock that nobody sets.
        let begun = self.world.passed();
        let mut held = None;
        for life in 0..MAX_PASSES {
            match self.pass(run, registry, samples.clone(), life)? {
                Went::Died => {}
                Went::Finished(outcome) => return Ok(End::Finished(outcome)),
                Went::Waits { until: Some(at), says } => {
                    let passed = self.world.passed_at(at);
                    held = says.starts_with("held").then(|| held.unwrap_or(passed));
                    let too_long = held.is_some_and(|since| passed.0 - since.0 > self.hold_patience.0);
                    if too_long || passed.0 - begun.0 > self.patience.0 {
                        return Ok(End::Waits(says));
                    }
                    self.world.advance_to(at);
                }
                Went::Waits { until: None, says } => return Ok(End::Waits(says)),
            }
        }
        Err("the run does not come to an end".into())
    }

    /// One pass of one life. After a death the next process may begin at once.
    pub fn pass(
        &self,
        run: &RunId,
        registry: &dyn Registry,
        samples: Arc<dyn Samples>,
        life: u32,
    ) -> Result<Went, String> {
        let journal = Journal::new(self.backend.clone());
        let world = Arc::new(self.world.clone());
        let driver = Driver::new(&journal, registry, world, samples, format!("life {life}"));
        #[cfg(any(test, feature = "planted"))]
        let driver = driver.with_mistake(self.mistake);
        let driver = match &self.ledger {
            Some(ledger) => driver.within(ledger.clone()),
            None => driver,
        };
        match self.block_on(driver.drive(run)) {
            None => {}
            Some(Ok(Pass::Finished(outcome))) => return Ok(Went::Finished(outcome)),
            Some(Ok(Pass::Observed(_))) => return Ok(Went::Waits { until: None, says: "observed".into() }),
            Some(Ok(Pass::Waiting { wake, says })) => return Ok(Went::Waits { until: wake, says }),
            Some(Err(DriveError::Append(
                AppendError::Doubt(_) | AppendError::Deposed { .. } | AppendError::Moved { .. },
            ))) => {}
            Some(Err(other)) => return Err(other.to_string()),
        }
        self.restart();
        Ok(Went::Died)
    }

    /// A person says something to the run, and says it again until it is known to be written down.
    pub fn say(&self, run: &RunId, by: &Actor, command: &Command) -> Result<(), String> {
        let stream = Stream::Run(run.clone());
        for attempt in 0..MAX_PASSES {
            let journal = Journal::new(self.backend.clone());
            let said = self.block_on(async {
                let records = journal.read(&stream, 1).await.map_err(|e| Said::Not(e.to_string()))?;
                let told = Run::fold(&records).map_err(|e| Said::Not(e.to_string()))?;
                let now = self.world.now();
                let record = told
                    .decide(command, by, "as the scenario says", now)
                    .map_err(|why| Said::Refused(why.to_string()))?;
                let after = told.with(&record, now).map_err(|e| Said::Not(e.to_string()))?;
                let batch = Batch::new(now)
                    .part(stream.clone(), Some(told.seq), vec![record])
                    .summary(after.summary().cached());
                journal.append(batch).await.map_err(|_| Said::Again)
            });
            match said {
                Some(Ok(_)) => return Ok(()),
                // Written the first time, though the answer did not say so.
                Some(Err(Said::Refused(_))) if attempt > 0 => return Ok(()),
                Some(Err(Said::Refused(why) | Said::Not(why))) => return Err(why),
                Some(Err(Said::Again)) | None => self.restart(),
            }
        }
        Err("nobody listens".into())
    }

    fn restart(&self) {
        self.fuse.revive();
        self.backend.reopen();
        self.world.new_process(self.backend.head_time());
        if self.fuse.schedule().gap {
            self.world.advance_to(self.world.now() + Span::mins(60));
        }
    }

    /// Polls until ready; moves the clock when everything waits. `None`: the process died, or is paused.
    pub fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..MAX_POLLS {
            woken.0.store(false, Ordering::SeqCst);
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return Some(output),
                Poll::Pending if self.fuse.is_stopped() => return None,
                Poll::Pending if woken.0.load(Ordering::SeqCst) => {}
                Poll::Pending => {
                    assert!(self.world.advance(), "everything waits and nothing is due: a deadlock")
                }
            }
        }
        panic!("a pass that never ends");
    }
}
