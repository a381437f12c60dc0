//! What people said, folded into the run: a decision, and the words that name one step.

use super::{Accepted, Consent, ItemPhase, ItemState, Run, Said, WORD_FOR};
use crate::domain::{Actor, ItemId, Record, Time};

impl Run {
    pub(super) fn on_decided(&mut self, decided: &Record, at: Time) -> Result<(), String> {
        let Record::Decided { digest, by, yes, reason, accept_unfenced, .. } = decided else {
            return Err("no decision".to_owned());
        };
        match (yes, &mut self.consent) {
            (false, _) => self.consent = Consent::Denied { by: by.clone(), reason: reason.clone(), at },
            // A missing fence was accepted: that is no yes to the plan.
            (true, _) if !accept_unfenced.is_empty() => {}
            (true, Consent::Asked { yes, .. }) => {
                yes.push(Said { by: by.clone(), at });
                if yes.len() >= usize::from(self.spec.approval.need) {
                    self.consent = Consent::Given { digest: *digest, by: std::mem::take(yes) };
                }
            }
            (true, Consent::None | Consent::Given { .. } | Consent::Denied { .. }) => {}
        }
        for target in accept_unfenced {
            let accepted = Accepted { by: by.clone(), until: at + WORD_FOR };
            self.overrides.insert(target.clone(), accepted);
        }
        self.skip_overridden(at);
        Ok(())
    }

    pub(super) fn on_passed(&mut self, by: &Actor, at: Time) -> Result<(), String> {
        let Consent::Asked { passed, .. } = &mut self.consent else {
            return Err("no approval is asked for".into());
        };
        passed.push(Said { by: by.clone(), at });
        Ok(())
    }

    pub(super) fn on_retry(&mut self, id: ItemId, at: Time) -> Result<(), String> {
        let state = self.at_mut(id)?;
        let ItemPhase::Parked { .. } = state.phase else {
            return Err(format!("item {id} is not parked"));
        };
        let mut back = state.back.take();
        if let Some(back) = &mut back {
            (back.asked, back.tries, back.since) = (true, 0, None);
        }
        *state = ItemState {
            rung: back.as_ref().map_or(0, |back| back.made.rung),
            numbered: state.numbered,
            changed: state.changed,
            made: std::mem::take(&mut state.made),
            before_undo: state.before_undo.take(),
            back,
            ..ItemState::new()
        };
        state.start(at);
        self.resolved = false;
        if self.undoing.is_none() {
            self.aborted = None;
        }
        self.deadline_from = self.deadline_from.map(|_| at);
        Ok(())
    }

    pub(super) fn on_confirm(&mut self, id: ItemId, at: Time) -> Result<(), String> {
        let rung = self.state(id).rung;
        let gives = self.rung(id, rung).proves.clone();
        let seq = self.seq + 1;
        let state = self.at_mut(id)?;
        if state.phase != ItemPhase::AwaitingPerson {
            return Err(format!("item {id} waits for nobody"));
        }
        state.ended = Some(at);
        state.changed = true;
        state.intended = seq;
        state.phase = ItemPhase::Done { gives };
        Ok(())
    }

    pub(super) fn on_skip(&mut self, id: ItemId, by: &Actor, reason: &str, at: Time) -> Result<(), String> {
        let name = self.spec.items.get(usize::from(id)).map(|i| i.name.clone());
        let what = if self.undoing.is_some() { "is not taken back" } else { "was skipped" };
        let state = self.at_mut(id)?;
        if !matches!(state.phase, ItemPhase::Parked { .. } | ItemPhase::AwaitingPerson) {
            return Err(format!("item {id} is neither parked nor waits for a person"));
        }
        let doubt = if matches!(state.phase, ItemPhase::Parked { doubt: true, .. }) {
            " (whether it happened is unknown)"
        } else {
            ""
        };
        let name = name.unwrap_or_else(|| "a step".into());
        state.ended = Some(at);
        state.phase = ItemPhase::Skipped { why: format!("{name} {what}{doubt} ({by}: {reason})") };
        Ok(())
    }
}
