//! What is known of a run: the fold of its records, nothing else.

use super::back::{Back, Made};
use super::linger::Lingering;
use super::loss::Loss;
use crate::domain::{
    Actor, Call, Change, Digest, Epoch, Fact, FenceRung, FenceWatchState, Form, Item, ItemId, ItemRole, Name,
    Outcome, Override, PlanSheet, Reason, Resolved, Rule, Rung, Seq, Spent, StepPlan, Time,
};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Run {
    pub seq: Seq,
    /// Time of the last record.
    pub at: Time,
    pub opened: Time,
    pub epoch: Epoch,
    pub owner: String,
    pub spec: Arc<Resolved>,
    pub items: Vec<ItemState>,
    pub plan: Option<PlanSheet>,
    pub consent: Consent,
    /// How often nobody decided in time.
    pub expiries: u32,
    pub hold: Option<Hold>,
    /// Targets whose missing fence a person accepted by name, for a while.
    pub overrides: BTreeMap<Name, Accepted>,
    pub aborted: Option<(Actor, String)>,
    pub closed: Option<(Actor, String)>,
    /// Why the run goes back: from here on it takes back what it did, newest first, and begins nothing else.
    pub undoing: Option<Vec<Reason>>,
    /// Freezes by people that this run was told of, at most one for each scope.
    pub freezes: Vec<super::Freeze>,
    /// Rules that people lifted for this service, as the run was told.
    pub lifted: BTreeMap<Rule, Override>,
    /// What the ledger of the instance says right now; no part of the fold. `None`: there is no ledger.
    pub spent: Option<Result<Spent, String>>,
    /// A freeze is over: guards are taken again before whatever comes next.
    pub look_anew: bool,
    /// Every occurrence that caused the run is resolved.
    pub resolved: bool,
    /// Found again after a long gap before the commit point: the next change looks at the guards first.
    pub late: bool,
    /// When the first intent was written: from here on something may have changed.
    pub first_change: Option<Time>,
    /// From when the run's deadline counts: its first change, or a person's `retry`.
    pub deadline_from: Option<Time>,
    /// When the commit point's change was known to have happened: from here on only forward.
    pub committed: Option<Time>,
    /// By the item that promotes.
    pub losses: BTreeMap<ItemId, Loss>,
    /// The sentence with which it ended.
    pub end_says: Option<String>,
    pub finished: Option<Outcome>,
    /// When it was finished.
    pub ended: Option<Time>,
    /// Old primaries that are, or were, kept an eye on.
    pub watches: BTreeMap<Name, FenceWatch>,
    pub window: Window,
}

/// One old primary after a promotion.
#[derive(Clone, Debug, PartialEq)]
pub struct FenceWatch {
    pub promoted: Name,
    pub rung: FenceRung,
    pub state: FenceWatchState,
    pub says: String,
    /// When it came to be in this state.
    pub since: Time,
}

/// What the commit window has reported so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    pub drifted: BTreeMap<ItemId, String>,
    pub over: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Consent {
    None,
    Asked {
        digest: Digest,
        until: Time,
        /// Who said yes so far; each once.
        yes: Vec<Said>,
        /// Who said "not me, next".
        passed: Vec<Said>,
    },
    Given {
        digest: Digest,
        by: Vec<Said>,
    },
    Denied {
        by: Actor,
        reason: String,
        at: Time,
    },
}

/// Who said it, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub by: Actor,
    pub at: Time,
}

/// A person accepted that a target is not proven to be fenced: for this run, and until then.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    pub by: Actor,
    pub until: Time,
}

/// "No for now": looked at again at `until`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub why: Vec<Reason>,
    pub until: Time,
}

/// The last look at an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub rung: u8,
    pub plan: StepPlan,
    pub at: Time,
}

#[derive(Clone, Debug)]
pub struct ItemState {
    /// The rung being worked on, and the one the plan has got to.
    pub rung: u8,
    pub plan_rung: u8,
    /// The verdict that the shown plan holds. `None` also after a person's `retry`.
    pub planned: Option<Seen>,
    pub seen: Option<Seen>,
    pub phase: ItemPhase,
    /// Attempts on the present rung.
    pub attempts: u32,
    pub numbered: u32,
    /// Looks since the phase began, for the pace of polling.
    pub polls: u32,
    /// A finished item is to be looked at again after a gap.
    pub recheck: bool,
    /// The last proven rejection: whether trying again may help, and what the remote said.
    pub rejected: Option<(bool, String)>,
    pub not_before: Option<Time>,
    pub began: Option<Time>,
    /// When work on the present rung began; its time-out counts from here.
    pub rung_began: Option<Time>,
    pub ended: Option<Time>,
    /// Seen in effect, and waiting for others who may still see what was there before.
    pub lingering: Option<Lingering>,
    /// A call of this item took effect, or may have.
    pub changed: bool,
    /// Sequence of the last intent.
    pub intended: Seq,
    /// What its calls did or may have done, oldest first.
    pub made: Vec<Made>,
    /// What must still hold before a fence is taken back for whose sake this was planned.
    pub before_undo: Option<Form>,
    /// Since the run goes back: how this item is taken back. Its phases then speak of that.
    pub back: Option<Back>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemPhase {
    Idle,
    InFlight {
        call: Call,
        change: Box<Change>,
    },
    Doubt {
        call: Call,
        change: Box<Change>,
        since: Time,
    },
    Applied {
        call: Call,
        change: Box<Change>,
        since: Time,
    },
    AwaitingPerson,
    Done {
        gives: Vec<Fact>,
    },
    Skipped {
        why: String,
    },
    /// Optional, and it could not be done.
    GaveUp {
        why: Vec<Reason>,
    },
    Parked {
        why: Vec<Reason>,
        doubt: bool,
    },
}

impl ItemState {
    pub fn new() -> ItemState {
        ItemState {
            rung: 0,
            plan_rung: 0,
            planned: None,
            seen: None,
            phase: ItemPhase::Idle,
            attempts: 0,
            numbered: 0,
            polls: 0,
            recheck: false,
            rejected: None,
            not_before: None,
            began: None,
            rung_began: None,
            ended: None,
            lingering: None,
            changed: false,
            intended: 0,
            made: vec![],
            before_undo: None,
            back: None,
        }
    }

    /// Nothing more is to be done here, and what depends on it may go on.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, ItemPhase::Done { .. } | ItemPhase::Skipped { .. } | ItemPhase::GaveUp { .. })
    }

    /// The change that this run made or may have made here.
    pub fn own_change(&self) -> Option<&Change> {
        match &self.phase {
            ItemPhase::InFlight { change, .. }
            | ItemPhase::Doubt { change, .. }
            | ItemPhase::Applied { change, .. } => Some(change),
            ItemPhase::Idle
            | ItemPhase::AwaitingPerson
            | ItemPhase::Done { .. }
            | ItemPhase::Skipped { .. }
            | ItemPhase::GaveUp { .. }
            | ItemPhase::Parked { .. } => None,
        }
    }
}

impl Default for ItemState {
    fn default() -> Self {
        ItemState::new()
    }
}

impl Run {
    pub fn item(&self, id: ItemId) -> &Item {
        &self.spec.items[usize::from(id)]
    }
    pub fn state(&self, id: ItemId) -> &ItemState {
        &self.items[usize::from(id)]
    }
    pub fn ids(&self) -> impl Iterator<Item = ItemId> + use<> {
        0..u16::try_from(self.items.len()).expect("invariant: steps are bounded at check")
    }
    pub fn ids_of(&self, role: ItemRole) -> impl Iterator<Item = ItemId> {
        self.ids().filter(move |id| self.item(*id).role == role)
    }
    pub fn rung(&self, id: ItemId, rung: u8) -> &Rung {
        &self.item(id).rungs[usize::from(rung)]
    }
    pub fn form(&self, id: ItemId) -> &Form {
        self.form_at(id, self.state(id).rung)
    }
    /// What is done or looked at there now: the way back once the run goes back.
    pub fn form_at(&self, id: ItemId, rung: u8) -> &Form {
        let state = self.state(id);
        match (&state.back, &state.before_undo) {
            (Some(back), _) => &back.form,
            (None, Some(form)) if self.undoing.is_some() => form,
            (None, _) => &self.rung(id, rung).form,
        }
    }
    /// What is looked at there belongs to the way back.
    pub fn turned(&self, id: ItemId) -> bool {
        let state = self.state(id);
        state.back.is_some() || (self.undoing.is_some() && state.before_undo.is_some())
    }
    pub fn is_last_rung(&self, id: ItemId, rung: u8) -> bool {
        usize::from(rung) + 1 >= self.item(id).rungs.len()
    }
    /// Something changed, or may have.
    pub fn changed(&self) -> bool {
        self.items.iter().any(|i| i.changed)
    }
    pub fn parked(&self) -> impl Iterator<Item = (ItemId, &Vec<Reason>, bool)> {
        self.ids().filter_map(|id| match &self.state(id).phase {
            ItemPhase::Parked { why, doubt } => Some((id, why, *doubt)),
            _ => None,
        })
    }
    pub fn in_flight(&self) -> bool {
        self.items.iter().any(|i| matches!(i.phase, ItemPhase::InFlight { .. }))
    }
    pub fn is_parked(&self) -> bool {
        let stuck = self.parked().next().is_some() || self.paused();
        stuck && (self.undoing.is_none() || self.next_back().is_none())
    }
}
