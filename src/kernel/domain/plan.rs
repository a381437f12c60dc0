//! What was seen, what is wanted, and the difference between the two that a person can approve.

use super::{Digest, Effect, Fact, ItemId, ItemRole, Name, Spec, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a check saw. Unreachable is an observation too, with its layer in `state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which thing it really was: system identifier, zone and serial, host key.
    pub identity: Value,
    /// Normalised facts: role, timeline, record values, verdicts. Never a measurement.
    pub state: Value,
    /// Measurements and raw replies, shown and recorded, never hashed.
    pub evidence: Value,
    pub at: Time,
}

/// One reason for a refusal or for not knowing, with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub says: String,
}

impl Reason {
    pub fn new(code: &str, says: impl Into<String>) -> Reason {
        Reason { code: code.to_owned(), says: says.into() }
    }
}

/// What seeing the old value again says about a call that nobody knows the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// The call did nothing.
    AtOnce,
    /// It did nothing, once that much time has gone by.
    After(super::Span),
    /// Nothing: it may still happen. But to ask twice is the same as to ask once, so that after that time, with every
    /// guard and need looked at anew, it may be asked again (`pg_promote`).
    Repeatable(super::Span),
    /// Nothing, ever: a person decides.
    Never,
}

/// How a change can be taken back; fixed at plan time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    To(Spec),
    ByHand(String),
    None,
}

/// One conditional change: it may be applied only while `from` still holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub from: Value,
    pub to: Value,
    pub needs: Vec<Fact>,
    pub gives: Vec<Fact>,
    /// What it leaves behind, for the rules of the instance. No part of consent: `from` and `to` are, and tell more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Limits on numbers that matter to consent, rounded up; drift is a bound broken.
    pub bounds: BTreeMap<String, u64>,
    pub undo: Undo,
    /// What must still hold right before a fence that this change needed is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_undo: Option<Spec>,
    pub settle: Settle,
    /// How long others may rightly see the old state once the change is in effect. No part of consent: a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<super::Span>,
    /// What apply needs and consent does not: an old file's text, the position to drain to.
    pub detail: Value,
    /// The two columns of the plan a person reads.
    pub now: String,
    pub after: String,
    pub warnings: Vec<String>,
    /// How a person does the same, ready to paste; and how they take it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo_by_hand: Vec<String>,
}

impl Change {
    /// A change with nothing special about it; callers fill in the rest.
    pub fn new(from: Value, to: Value) -> Change {
        Change {
            from,
            to,
            needs: vec![],
            gives: vec![],
            effects: vec![],
            bounds: BTreeMap::new(),
            undo: Undo::None,
            before_undo: None,
            settle: Settle::AtOnce,
            lasts: None,
            detail: Value::Null,
            now: String::new(),
            after: String::new(),
            warnings: vec![],
            by_hand: vec![],
            undo_by_hand: vec![],
        }
    }

    /// The part that consent covers.
    pub fn contract(&self) -> Value {
        let facts = |list: &[Fact]| list.iter().map(Fact::normalised).collect::<Vec<_>>();
        serde_json::json!({
            "from": self.from, "to": self.to, "needs": facts(&self.needs), "gives": facts(&self.gives),
            "bounds": self.bounds,
        })
    }

    /// Whether `self`, observed later, is still what `planned` promised: same facts, no bound exceeded.
    pub fn within(&self, planned: &Change) -> bool {
        let bounds_hold = self.bounds.iter().all(|(k, v)| planned.bounds.get(k).is_some_and(|max| v <= max));
        let (mut a, mut b) = (self.contract(), planned.contract());
        a["bounds"] = Value::Null;
        b["bounds"] = Value::Null;
        bounds_hold && a == b
    }
}

/// It is as wanted where it was changed, but others may still see it as it was: resolvers that keep a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lingers {
    /// The step is over only when nobody does any more, or when their time is.
    pub waits: bool,
    /// Somebody was seen to; otherwise it is only not known.
    pub seen: bool,
    /// How much longer that may rightly last, as far as the look tells. For a change of this run its own `lasts` counts.
    pub at_most: super::Span,
}

impl Lingers {
    /// No step waits longer. What may rightly last longer stops there for a person.
    pub const LONGEST: super::Span = super::Span::mins(30);
}

/// The verdict of one check or action over what it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPlan {
    /// Already right; never re-applied.
    Nothing {
        gives: Vec<Fact>,
        says: String,
        /// Others may still see it as it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lingers: Option<Lingers>,
    },
    Change(Box<Change>),
    Refuse(Vec<Reason>),
    Unknown(Vec<Reason>),
}

impl StepPlan {
    pub fn nothing(says: impl Into<String>) -> StepPlan {
        StepPlan::gives(vec![], says)
    }
    pub fn gives(gives: Vec<Fact>, says: impl Into<String>) -> StepPlan {
        StepPlan::Nothing { gives, says: says.into(), lingers: None }
    }
    pub fn refuse(code: &str, says: impl Into<String>) -> StepPlan {
        StepPlan::Refuse(vec![Reason::new(code, says)])
    }
    pub fn unknown(code: &str, says: impl Into<String>) -> StepPlan {
        StepPlan::Unknown(vec![Reason::new(code, says)])
    }
    pub fn reasons(&self) -> &[Reason] {
        match self {
            StepPlan::Refuse(reasons) | StepPlan::Unknown(reasons) => reasons,
            StepPlan::Nothing { .. } | StepPlan::Change(_) => &[],
        }
    }
}

/// How a line of the plan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    Change,
    Nothing,
    /// Checked when its turn comes.
    Later,
    /// A person is asked.
    Asks,
    Refused,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanLine {
    pub item: ItemId,
    pub role: ItemRole,
    pub name: Name,
    pub target: String,
    pub verdict: Verdict,
    pub now: String,
    pub after: String,
    pub no_undo: bool,
    pub notes: Vec<String>,
}

/// The whole plan as shown and approved. `digest` is what approval binds to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSheet {
    pub lines: Vec<PlanLine>,
    /// Data at risk, in words.
    pub at_risk: Vec<String>,
    pub digest: Digest,
    pub at: Time,
    pub until: Time,
}
