//! Yes, no, "not me" and "look again", said to the plan that is asked for: who may, and whether it is still open. Every
//! surface comes here through [`Run::decide`]; nothing else makes a decision.

use super::{Consent, Refused, Run, Said};
use crate::domain::{Actor, Cause, Digest, Mode, Name, Record, Role, Time, Told, Via, Way};

/// What was sent along with a yes.
pub(super) struct Yes<'a> {
    pub digest: Digest,
    pub unfenced: &'a [Name],
    /// "I asked for this run myself, and nobody else is there."
    pub solo: bool,
}

impl Run {
    /// Whether they are one of those who are asked. A no needs only the role: it harms nobody.
    pub fn may_approve(&self, by: &Actor) -> Result<(), Refused> {
        let rule = &self.spec.approval;
        self.has_role(by)?;
        let people_only = rule.need > 1 || !rule.from.is_empty();
        if people_only && !by.person {
            return Err(Refused::NotAllowed(format!(
                "{by} is the name of a token; this run asks people by name, who are in the configuration"
            )));
        }
        if !rule.from.is_empty() && !rule.from.iter().any(|group| by.groups.contains(group)) {
            let groups: Vec<&str> = rule.from.iter().map(Name::as_str).collect();
            return Err(Refused::NotAllowed(format!("{by} is not in {}, who are asked", groups.join(", "))));
        }
        match Way::of(by.via) {
            Some(way) if rule.allows(way) => Ok(()),
            _ => Err(Refused::NotAllowed(format!(
                "the playbook takes no approval by way of {}",
                by.via.as_str()
            ))),
        }
    }

    fn has_role(&self, by: &Actor) -> Result<(), Refused> {
        let role = self.spec.approval.role;
        match by.has(role) || by.has(Role::Admin) {
            true => Ok(()),
            false => Err(Refused::NotAllowed(format!(
                "{by} does not have the role {} for {}",
                role.as_str(),
                self.spec.service
            ))),
        }
    }

    /// The person who asked for the run; an alert is nobody.
    pub fn requester(&self) -> Option<&Actor> {
        match &self.spec.cause {
            Cause::Person { by, .. } => Some(by),
            Cause::Alert { .. } => None,
        }
    }

    pub fn is_requester(&self, by: &Actor) -> bool {
        self.requester().is_some_and(|asked| asked.name == by.name)
    }

    /// Whether they are one who deals with steps that stopped or are done by hand.
    pub fn may_work(&self, by: &Actor) -> bool {
        Role::DECIDES.iter().any(|role| by.has(*role))
    }

    /// Who decided, and when: what a later click is told.
    pub fn decided(&self) -> Option<String> {
        match &self.consent {
            Consent::Given { by, .. } => Some(format!("already approved by {}", said(by))),
            Consent::Denied { by, at, .. } => Some(format!("already rejected by {by} at {at}")),
            Consent::None | Consent::Asked { .. } => None,
        }
    }

    pub(super) fn decide_approval(
        &self,
        yes: &Yes<'_>,
        by: &Actor,
        reason: &str,
        now: Time,
    ) -> Result<Record, Refused> {
        let record = |digest, solo| Record::Decided {
            digest,
            by: by.clone(),
            yes: true,
            reason: reason.to_owned(),
            accept_unfenced: yes.unfenced.to_vec(),
            solo,
        };
        if !yes.unfenced.is_empty() {
            self.may_accept_unfenced(yes.unfenced, by)?;
            // Bound to the plan in force, whatever the surface sent along.
            return Ok(record(self.plan.as_ref().map_or(yes.digest, |plan| plan.digest), false));
        }
        self.may_approve(by)?;
        self.link_is_unused(by)?;
        let given = self.still_asked(yes.digest, now)?;
        if let Some(before) = given.iter().find(|said| said.by.name == by.name) {
            let missing = usize::from(self.spec.approval.need).saturating_sub(given.len());
            return Err(Refused::Conflict(format!(
                "{by} approved already at {}; {missing} more must, and it takes other people",
                before.at
            )));
        }
        let own = self.is_requester(by) && self.spec.approval.not_requester;
        if own && !yes.solo {
            return Err(Refused::NotAllowed(format!(
                "{by} asked for this run: somebody else approves it. Who is alone approves with --solo, and everybody is told"
            )));
        }
        Ok(record(yes.digest, own))
    }

    /// A personal link is good for one word, whichever it was; and what it said stands on record.
    fn link_is_unused(&self, by: &Actor) -> Result<(), Refused> {
        let Consent::Asked { yes, passed, .. } = &self.consent else { return Ok(()) };
        let same = |said: &&Said| said.by.via == Via::Link && said.by.name == by.name;
        match yes.iter().chain(passed).find(same).filter(|_| by.via == Via::Link) {
            Some(said) => Err(Refused::Conflict(format!(
                "{by} used this link already, at {}; who wants to say more signs in",
                said.at
            ))),
            None => Ok(()),
        }
    }

    /// What was said so far to exactly this plan, if it is still open.
    fn still_asked(&self, digest: Digest, now: Time) -> Result<&[Said], Refused> {
        match &self.consent {
            Consent::Asked { digest: asked, .. } if *asked != digest => Err(Refused::Conflict(format!(
                "the plan changed: {} is offered now, not {}",
                asked.short(),
                digest.short()
            ))),
            Consent::Asked { until, .. } if now >= *until => {
                Err(Refused::Conflict("the approval expired; a new plan will be offered".into()))
            }
            Consent::Asked { yes, .. } => Ok(yes),
            Consent::Given { .. } | Consent::Denied { .. } => {
                Err(Refused::Conflict(self.decided().unwrap_or_default()))
            }
            Consent::None => Err(Refused::Conflict("no approval is asked for at the moment".into())),
        }
    }

    /// One no ends it, whoever said yes before.
    pub(super) fn decide_rejection(&self, by: &Actor, reason: &str) -> Result<Record, Refused> {
        self.has_role(by)?;
        self.link_is_unused(by)?;
        if self.first_change.is_some() {
            return Err(Refused::Conflict("the first change is made; use abort".into()));
        }
        let digest = match (&self.consent, self.spec.mode) {
            (Consent::Given { .. }, Mode::Approve) => {
                let says = self.decided().unwrap_or_default();
                return Err(Refused::Conflict(format!("{says}; use abort")));
            }
            (Consent::Denied { .. }, _) => {
                return Err(Refused::Conflict(self.decided().unwrap_or_default()));
            }
            (Consent::Asked { digest, .. }, _) => *digest,
            _ => self.plan.as_ref().map_or(Digest::ZERO, |p| p.digest),
        };
        let (by, reason) = (by.clone(), reason.to_owned());
        Ok(Record::Decided { digest, by, yes: false, reason, accept_unfenced: vec![], solo: false })
    }

    /// "Not me, next": neither yes nor no, so that others are asked without waiting for the time to run out.
    pub(super) fn decide_pass(&self, by: &Actor, reason: &str, now: Time) -> Result<Record, Refused> {
        self.may_approve(by)?;
        let Consent::Asked { digest, until, passed, .. } = &self.consent else {
            let open = "no approval is asked for at the moment".to_owned();
            return Err(Refused::Conflict(self.decided().unwrap_or(open)));
        };
        if now >= *until {
            return Err(Refused::Conflict("the approval expired; a new plan will be offered".into()));
        }
        if let Some(before) = passed.iter().find(|said| said.by.name == by.name) {
            return Err(Refused::Conflict(format!("{by} handed it on already, at {}", before.at)));
        }
        Ok(Record::Passed { digest: *digest, by: by.clone(), reason: reason.to_owned() })
    }

    /// Things may have changed since the plan was made: the offer is taken back, and a new one is made.
    pub(super) fn decide_replan(&self, by: &Actor, reason: &str) -> Result<Record, Refused> {
        self.has_role(by)?;
        match &self.consent {
            Consent::Asked { .. } if self.first_change.is_none() => {
                Ok(Record::Told { what: Told::Replan, by: by.clone(), reason: reason.to_owned() })
            }
            _ => {
                let open = "no plan is offered at the moment".to_owned();
                Err(Refused::Conflict(self.decided().unwrap_or(open)))
            }
        }
    }
}

/// "bo at 03:14, eve at 03:15"
pub(super) fn said(list: &[Said]) -> String {
    list.iter().map(|said| format!("{} at {}", said.by, said.at)).collect::<Vec<_>>().join(", ")
}
