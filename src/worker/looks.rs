//! Whether the plan that is offered would still be made: a look at everything, for a person who is about to decide. Asked
//! for by the approval page. However many open it, things are looked at once in ten seconds for each run.

use super::{App, CommandError, dry_plan};
use crate::kernel::domain::{Actor, Digest, Reason, RunId, Span, Time};
use crate::kernel::engine::{Command, Run};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOGETHER: Span = Span::secs(10);
/// A page is not held back for longer by what does not answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Runs whose last look is kept.
const KEPT: usize = 100;

/// What a new plan would be.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: Time,
    pub digest: Digest,
    pub blockers: Vec<Reason>,
}

impl Look {
    pub fn confirms(&self, offered: Digest) -> bool {
        self.blockers.is_empty() && self.digest == offered
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<(Time, Result<Look, String>)>>>;

#[derive(Default)]
pub struct Looks(Mutex<BTreeMap<RunId, Slot>>);

impl Looks {
    fn slot(&self, run: &RunId) -> Slot {
        let mut slots = self.0.lock().expect("invariant: no panic while holding the lock");
        if slots.len() >= KEPT && !slots.contains_key(run) {
            slots.clear();
        }
        slots.entry(run.clone()).or_default().clone()
    }
}

/// Once something is changed, a plan made anew is another one by itself; its steps are looked at one by one.
pub fn can_compare(run: &Run) -> bool {
    run.first_change.is_none()
}

impl App {
    /// Between reading and deciding things may change: then the offer is taken back, a new one is made, and this is true.
    pub async fn offer_is_stale(&self, run: &Run, digest: Digest, by: &Actor) -> Result<bool, CommandError> {
        // What is not theirs to decide, or decided already, is for the engine to say, without a look.
        let yes = Command::Approve { digest, accept_unfenced: vec![], solo: true };
        if !can_compare(run) || run.decide(&yes, by, "to look", self.world.now()).is_err() {
            return Ok(false);
        }
        // A look that fails is no reason to hold a person back: everything is looked at again before the first change.
        let Ok(look) = self.look_again(run).await else { return Ok(false) };
        if look.confirms(digest) {
            return Ok(false);
        }
        let reason = "things changed between opening and clicking";
        self.command(run.id(), &Command::Replan, by, reason).await?;
        Ok(true)
    }

    /// The last look, or a new one when that is older than ten seconds. Writes nothing.
    pub async fn look_again(&self, run: &Run) -> Result<Look, String> {
        let slot = self.looks.slot(run.id());
        let mut last = slot.lock().await;
        if let Some((at, look)) = &*last
            && self.world.now().since(*at) < TOGETHER
        {
            return look.clone();
        }
        let looked = tokio::time::timeout(PATIENCE, dry_plan(self, (*run.spec).clone())).await;
        let at = self.world.now();
        let look = match looked {
            Ok(Ok(dry)) => Ok(Look { at, digest: dry.sheet.digest, blockers: dry.blockers }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("not everything answered within {} s", PATIENCE.as_secs())),
        };
        *last = Some((at, look.clone()));
        look
    }
}
