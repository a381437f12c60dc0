//! What people, and triage, may say to a run. Pure: the surface loads, asks here, appends, and tries again on `Moved`.

use super::approval::Yes;
use super::{Freeze, ItemPhase, Run};
use crate::domain::{Actor, Digest, Fact, ItemId, Name, Override, Record, Rule, Time, Told, Way};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Approve {
        digest: Digest,
        accept_unfenced: Vec<Name>,
        /// Who asked for the run approves it, since nobody else is there.
        solo: bool,
    },
    Reject,
    /// "Not me, next."
    Pass,
    /// Take the offer back and make a new plan.
    Replan,
    Confirm {
        item: Option<ItemId>,
    },
    Retry {
        item: Option<ItemId>,
    },
    /// Leave a stopped step out; the best end is then `partial`.
    Skip {
        item: Option<ItemId>,
    },
    Abort,
    Close,
    /// Said by triage when the last occurrence is resolved.
    Resolved,
    /// People stop everything (`None`) or one service until that time.
    Freeze {
        service: Option<Name>,
        until: Time,
    },
    Thaw {
        service: Option<Name>,
    },
    /// A rule does not bind this service for a while. Said by the worker, which has asked who may.
    Override(Override),
    Enforce(Rule),
}

/// Why a command cannot be taken now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 404-like: there is no such item.
    #[error("{0}")]
    NoSuch(String),
    /// 403-like.
    #[error("{0}")]
    NotAllowed(String),
    /// 409-like: decided, finished, moved on.
    #[error("{0}")]
    Conflict(String),
}

impl Run {
    /// The record to append for `command`, or why not.
    pub fn decide(&self, command: &Command, by: &Actor, reason: &str, now: Time) -> Result<Record, Refused> {
        if let Some(outcome) = self.finished {
            let decided = self.decided().map(|says| format!("{says}; ")).unwrap_or_default();
            return Err(Refused::Conflict(format!("{decided}run {} is finished: {outcome}", self.id())));
        }
        let needs_reason =
            !matches!(command, Command::Resolved | Command::Confirm { .. } | Command::Pass | Command::Replan);
        if needs_reason && reason.trim().is_empty() {
            return Err(Refused::NotAllowed("a reason is required".into()));
        }
        let told = |what| Record::Told { what, by: by.clone(), reason: reason.to_owned() };
        match command {
            Command::Approve { digest, accept_unfenced, solo } => {
                let yes = Yes { digest: *digest, unfenced: accept_unfenced, solo: *solo };
                self.decide_approval(&yes, by, reason, now)
            }
            Command::Reject => self.decide_rejection(by, reason),
            Command::Pass => self.decide_pass(by, reason, now),
            Command::Replan => self.decide_replan(by, reason),
            Command::Confirm { item } => {
                let waiting = |s: &ItemPhase| *s == ItemPhase::AwaitingPerson;
                self.pick(*item, waiting, "waits for a person's confirmation").map(|i| told(Told::Confirm(i)))
            }
            Command::Retry { item } => {
                let parked = |s: &ItemPhase| matches!(s, ItemPhase::Parked { .. });
                self.pick(*item, parked, "is parked").map(|i| told(Told::Retry(i)))
            }
            Command::Skip { item } => self.decide_skip(*item).map(|i| told(Told::Skip(i))),
            Command::Abort => self.may_be_aborted().map(|()| told(Told::Abort)),
            Command::Close if self.in_flight() => {
                Err(Refused::Conflict("a call is in flight; close when it has ended".into()))
            }
            Command::Close
                if self.first_change.is_some() && !self.is_parked() && !self.waits_for_person() =>
            {
                Err(Refused::Conflict("the run is at work; abort it, or close it once it is parked".into()))
            }
            Command::Close => Ok(told(Told::Close)),
            // Alerts that come while the database is between two places are of its own making.
            Command::Resolved if self.is_planned_move() => {
                Err(Refused::Conflict("a planned move does not end with an alert".into()))
            }
            Command::Resolved if self.resolved => Err(Refused::Conflict("already known".into())),
            Command::Resolved => Ok(told(Told::Resolved)),
            Command::Freeze { service, until } => {
                let (service, by, reason) = (service.clone(), by.clone(), reason.to_owned());
                self.decide_freeze(Freeze { service, by, reason, until: *until }, now)
            }
            Command::Thaw { service } => self.decide_thaw(service, by, reason),
            Command::Override(lifted) => self.decide_override(lifted, now),
            Command::Enforce(rule) => self.decide_enforce(*rule, by, reason),
        }
    }

    fn may_be_aborted(&self) -> Result<(), Refused> {
        let no = |why: String| Err(Refused::Conflict(why));
        match self.cannot_go_back() {
            _ if self.undoing.is_some() => no("the run goes back already".into()),
            _ if self.aborted.is_some() => no("it is already aborted".into()),
            Some(why) => no(why),
            None => Ok(()),
        }
    }

    /// What a promotion stands on is never left out, nor the promotion itself.
    fn decide_skip(&self, item: Option<ItemId>) -> Result<ItemId, Refused> {
        let stopped = |s: &ItemPhase| matches!(s, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson);
        let id = self.pick(item, stopped, "is stopped or waits for a person")?;
        let item = self.item(id);
        if self.undoing.is_some() {
            return Ok(id);
        }
        let kind = |end: &str| {
            item.rungs.iter().filter_map(|r| r.form.spec()).any(|spec| spec.kind.as_str().ends_with(end))
        };
        if item.commit_point || kind(".promote") {
            return Err(Refused::Conflict(format!(
                "{} is what the run is for and cannot be left out: `retry` goes on, `abort` takes back what was changed, \
                 `close` ends the run as it stands",
                item.name
            )));
        }
        let proves = item.rungs.iter().any(|r| r.proves.iter().any(|f| matches!(f, Fact::Fenced { .. })));
        if (proves || kind(".fence") || item.accept_unfenced.is_some()) && self.committed.is_none() {
            return Err(Refused::Conflict(format!(
                "{} is the fence that a promotion needs and cannot be left out: two writers would diverge. Where the \
                 playbook offers it, `approve --accept-unfenced` is that decision",
                item.name
            )));
        }
        Ok(id)
    }

    pub(super) fn waits_for_person(&self) -> bool {
        self.items.iter().any(|i| i.phase == ItemPhase::AwaitingPerson)
    }

    pub(super) fn may_accept_unfenced(&self, unfenced: &[Name], by: &Actor) -> Result<(), Refused> {
        for target in unfenced {
            let found = self.ids().find_map(|id| {
                let rule = self.item(id).accept_unfenced.as_ref().filter(|r| r.target == *target)?;
                Some((id, rule))
            });
            let Some((id, rule)) = found else {
                return Err(Refused::NoSuch(format!(
                    "no step of this run offers to go on with {target} unfenced"
                )));
            };
            if !by.has(rule.role) {
                return Err(Refused::NotAllowed(format!(
                    "accepting that {target} is not fenced needs the role {}",
                    rule.role.as_str()
                )));
            }
            if Way::of(by.via) != Some(Way::Cli) {
                return Err(Refused::NotAllowed(format!(
                    "that {target} is not fenced is accepted at the command line, by name, and nowhere else"
                )));
            }
            let phase = &self.state(id).phase;
            if !matches!(phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson) {
                return Err(Refused::Conflict(format!(
                    "the run does not ask about the fence of {target} now"
                )));
            }
        }
        Ok(())
    }

    /// The named item in the wanted phase, or the only one there is.
    fn pick(
        &self,
        item: Option<ItemId>,
        wanted: impl Fn(&ItemPhase) -> bool,
        what: &str,
    ) -> Result<ItemId, Refused> {
        let fits: Vec<ItemId> = self.ids().filter(|id| wanted(&self.state(*id).phase)).collect();
        match (item, fits.as_slice()) {
            (Some(id), _) if fits.contains(&id) => Ok(id),
            (Some(id), _) if usize::from(id) >= self.items.len() => {
                Err(Refused::NoSuch(format!("there is no step {id}")))
            }
            (Some(id), _) => {
                Err(Refused::Conflict(format!("step {id} ({}) is not one that {what}", self.item(id).name)))
            }
            (None, [only]) => Ok(*only),
            (None, []) => Err(Refused::Conflict(format!("no step {what}"))),
            (None, many) => Err(Refused::Conflict(format!("several steps are possible: {many:?}; name one"))),
        }
    }
}
