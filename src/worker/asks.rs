//! What waits for people, and whether it waits for this one. `status`, the list of approvals and the command line ask.

use super::people::Caller;
use super::{App, CommandError};
use crate::kernel::domain::{Actor, Digest, Name, RunId, Time};
use crate::kernel::engine::{Consent, ItemPhase, Run};
use serde::Serialize;

/// Runs looked through, newest first; each open one holds its service, so there are few.
const NEWEST: u32 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    Approval,
    /// A step by hand, or a stopped one.
    Step,
}

/// One thing that a person is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Ask {
    pub run: RunId,
    pub service: Name,
    pub from: Name,
    pub to: Name,
    pub wanted: Wanted,
    pub digest: Option<Digest>,
    pub until: Option<Time>,
    pub need: u8,
    /// Who said yes so far.
    pub yes: Vec<Name>,
    /// Who handed it on.
    pub passed: Vec<Name>,
    /// The one who asks may do it, and has not yet.
    pub mine: bool,
    pub says: String,
    pub link: String,
}

impl App {
    pub async fn asks(&self, who: &Caller) -> Result<Vec<Ask>, CommandError> {
        let mut asks = vec![];
        for summary in self.summaries(NEWEST).await? {
            let waits = ["waits for approval", "waits for a person", "parked"];
            if summary.outcome.is_some() || !waits.contains(&summary.state.as_str()) {
                continue;
            }
            let Some(run) = self.run(&summary.run).await? else { continue };
            asks.push(self.ask_of(&run, &who.on(&run.spec.service)));
        }
        Ok(asks)
    }

    fn ask_of(&self, run: &Run, by: &Actor) -> Ask {
        let mut ask = Ask {
            run: run.id().clone(),
            service: run.spec.service.clone(),
            from: run.spec.from.clone(),
            to: run.spec.to.clone(),
            wanted: Wanted::Step,
            digest: None,
            until: None,
            need: run.spec.approval.need,
            yes: vec![],
            passed: vec![],
            mine: run.may_work(by),
            says: run.next(run.opened).says,
            link: self.approval_link(run),
        };
        let waits = run.ids().any(|id| run.state(id).phase == ItemPhase::AwaitingPerson);
        if let (Consent::Asked { digest, until, yes, passed }, false) = (&run.consent, waits) {
            ask.wanted = Wanted::Approval;
            (ask.digest, ask.until) = (Some(*digest), Some(*until));
            ask.yes = yes.iter().map(|said| said.by.name.clone()).collect();
            ask.passed = passed.iter().map(|said| said.by.name.clone()).collect();
            let own = run.is_requester(by) && run.spec.approval.not_requester;
            ask.mine = run.may_approve(by).is_ok() && !ask.yes.contains(&by.name) && !own;
        }
        ask
    }
}
