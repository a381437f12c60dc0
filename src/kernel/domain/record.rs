//! Everything the journal can hold. Each kind has its own version; old versions are lifted in `Record::decode`.

use super::{
    Actor, Change, Delivered, Digest, Epoch, FenceRung, ItemId, Name, Observation, OccurrenceId, Outcome,
    Phase, PlanSheet, Position, Reason, Resolved, Rpo, Rule, RunId, Sealed, Seq, SourceKind, Span, Spec,
    StepPlan, Stream, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why something was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyObserved {
    /// For the plan that is shown.
    Plan,
    /// Again, right before acting, or after a gap.
    Recheck,
    /// To find out whether a call in doubt took effect.
    Classify,
    /// Whether an applied change is there.
    Verify,
}

/// One call of one attempt. Exactly one `Intended` exists for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    pub item: ItemId,
    pub rung: u8,
    pub attempt: u32,
    pub undo: bool,
}

/// What people, or triage, say to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Abort,
    Pause,
    Resume,
    /// Look again at a parked item and go on.
    Retry(ItemId),
    Skip(ItemId),
    /// A manual step was done.
    Confirm(ItemId),
    /// End it as it stands.
    Close,
    /// Every occurrence that caused it is resolved.
    Resolved,
    /// Take back the plan that is offered, and make a new one.
    Replan,
}

/// What a person showed to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// A one-time code, made a moment ago.
    Code,
    /// A recovery code, kept for the day on which nothing else works. Everybody is told.
    Recovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceWatchState {
    Watching,
    SeenAsStandby,
    SeenWritable,
    Closed,
}

impl FenceWatchState {
    /// Nothing more is looked at.
    pub fn is_over(self) -> bool {
        matches!(self, FenceWatchState::SeenAsStandby | FenceWatchState::Closed)
    }
}

/// What the commit window saw of a finished run's end state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// No longer as the run left it.
    Drifted,
    /// As the run left it, after a drift.
    Back,
    /// The window is over.
    Over,
}

/// Why one playbook did or did not start for one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookVerdict {
    pub playbook: Name,
    pub matched: bool,
    pub why: Reason,
}

fn is_zero(level: &u32) -> bool {
    *level == 0
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    // ── a run's stream ──
    Opened(Box<Resolved>),
    Taken {
        epoch: Epoch,
        owner: String,
        gap: Span,
    },
    Observed {
        item: ItemId,
        rung: u8,
        why: WhyObserved,
        seen: Result<Observation, String>,
        plan: StepPlan,
        /// Of the way back, while a run is being undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
    },
    Planned(Box<PlanSheet>),
    /// A person is needed: approval of `digest`, or confirmation of `item`.
    Asked {
        digest: Digest,
        item: Option<ItemId>,
        until: Option<Time>,
        says: String,
        /// How often nobody decided in time before, where the playbook escalates: more people are told.
        #[serde(default, skip_serializing_if = "is_zero")]
        level: u32,
    },
    Decided {
        digest: Digest,
        by: Actor,
        yes: bool,
        reason: String,
        /// Targets whose missing fence this decision accepts, by name.
        accept_unfenced: Vec<Name>,
        /// Who asked for the run approved it alone: everybody is told.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        solo: bool,
    },
    /// "Not me, next": others are asked now.
    Passed {
        digest: Digest,
        by: Actor,
        reason: String,
    },
    Told {
        what: Told,
        by: Actor,
        reason: String,
    },
    Intended {
        call: Call,
        spec: Spec,
        change: Box<Change>,
    },
    Ended {
        call: Call,
        end: super::CallEnd,
    },
    Parked {
        item: Option<ItemId>,
        /// The effect of a call could not be established.
        doubt: bool,
        why: Vec<Reason>,
    },
    /// From here on the run takes back what it did, and begins nothing else.
    Undoing {
        why: Vec<Reason>,
    },
    FenceWatch {
        target: Name,
        rung: FenceRung,
        state: FenceWatchState,
        says: String,
        /// Who closed it; nobody where Pointsman saw it by itself.
        #[serde(default)]
        by: Option<Actor>,
    },
    /// Written only where something changes; a report, never an action.
    CommitWindow {
        item: Option<ItemId>,
        state: WindowState,
        says: String,
    },
    Finished {
        outcome: Outcome,
        says: String,
        rto: Vec<(Phase, Span)>,
        rpo: Option<Rpo>,
        /// Of a run that was refused: every reason with its code.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        why: Vec<Reason>,
        /// Commands or deeds left to a person.
        by_hand: Vec<String>,
    },
    // ── a run's or a service's stream ──
    Held {
        why: Vec<Reason>,
        occurrence: Option<OccurrenceId>,
        playbook: Option<Name>,
        until: Time,
    },
    /// A person's run that was not opened.
    NotOpened {
        playbook: Name,
        by: Actor,
        why: Vec<Reason>,
    },
    // ── a service's stream ──
    /// A person has seen what the last automatic run did.
    Acknowledged {
        by: Actor,
        reason: String,
    },
    Joined {
        occurrence: OccurrenceId,
        run: RunId,
        says: String,
    },
    Claimed {
        owner: String,
        epoch: Epoch,
    },
    /// In the instance's stream; and in each run that was told of it.
    Frozen {
        service: Option<Name>,
        by: Actor,
        reason: String,
        until: Time,
    },
    Thawed {
        service: Option<Name>,
        by: Option<Actor>,
        reason: String,
    },
    /// In the instance's stream; and in each run of the service that was told of it.
    Overridden(super::Override),
    /// Before its time; the end by time is in `Overridden`.
    OverrideEnded {
        rule: Rule,
        service: Name,
        by: Actor,
        reason: String,
    },
    /// In the instance's stream: nothing starts this playbook until then. Open runs of it are not touched.
    Disabled(super::Disabled),
    /// By nobody: its time was over.
    Enabled {
        playbook: Name,
        by: Option<Actor>,
        reason: String,
    },
    // ── a source's stream ──
    Delivered(Delivered),
    /// The source's heartbeat stayed away for `within`, or is there again.
    Heartbeat {
        source: Name,
        silent: bool,
        within: Span,
        /// The last one that is known of.
        last: Option<Time>,
    },
    /// An alert that opened nothing, with the reason for each playbook.
    NotStarted {
        occurrence: OccurrenceId,
        delivery: Position,
        labels: Value,
        why: Vec<PlaybookVerdict>,
        /// In mode observe: what would have been done.
        plan: Option<Box<PlanSheet>>,
    },
    OccurrenceOpened {
        occurrence: OccurrenceId,
        /// What delivered it: which triggers may accept it.
        #[serde(default, skip_serializing_if = "SourceKind::is_default")]
        kind: SourceKind,
        fingerprint: String,
        labels: Value,
        /// As it was opened with; those too long for an expression are left out.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        annotations: Value,
        started: Time,
        delivery: Position,
    },
    OccurrenceClosed {
        occurrence: OccurrenceId,
        ended: Time,
        delivery: Option<Position>,
        says: String,
    },
    // ── the instance's and playbooks' streams ──
    Started {
        version: String,
        owner: String,
        site: Option<Name>,
        config: Digest,
    },
    Loaded {
        playbook: Name,
        digest: Digest,
        active: bool,
        problems: Vec<String>,
        /// It is refused, and this form before it stays active.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stays: Option<Digest>,
    },
    /// In the playbook's stream, where it changed: whether it would have worked, had it been needed.
    Readiness {
        playbook: Name,
        ready: bool,
        why: Vec<Reason>,
    },
    Sealed(Box<Sealed>),
    Clock {
        says: String,
        jump: i64,
    },
    /// Too many services at once: no automatic run opens until a person has looked.
    BreakerTripped {
        why: Vec<Reason>,
    },
    BreakerReset {
        by: Actor,
        reason: String,
        /// Services that were sick then, and that the person has seen.
        sick: u32,
    },
    /// A person signed in at a browser.
    SignedIn {
        person: Name,
        how: SignIn,
    },
}

impl Record {
    /// Name stored beside the bytes, for queries.
    pub fn kind(&self) -> &'static str {
        match self {
            Record::Opened(_) => "opened",
            Record::Taken { .. } => "taken",
            Record::Observed { .. } => "observed",
            Record::Planned(_) => "planned",
            Record::Asked { .. } => "asked",
            Record::Decided { .. } => "decided",
            Record::Passed { .. } => "passed",
            Record::Told { .. } => "told",
            Record::Intended { .. } => "intended",
            Record::Ended { .. } => "ended",
            Record::Parked { .. } => "parked",
            Record::Undoing { .. } => "undoing",
            Record::FenceWatch { .. } => "fence_watch",
            Record::CommitWindow { .. } => "commit_window",
            Record::Finished { .. } => "finished",
            Record::Held { .. } => "held",
            Record::NotOpened { .. } => "not_opened",
            Record::Acknowledged { .. } => "acknowledged",
            Record::Joined { .. } => "joined",
            Record::Claimed { .. } => "claimed",
            Record::Frozen { .. } => "frozen",
            Record::Thawed { .. } => "thawed",
            Record::Overridden(_) => "overridden",
            Record::OverrideEnded { .. } => "override_ended",
            Record::Disabled(_) => "disabled",
            Record::Enabled { .. } => "enabled",
            Record::Delivered(_) => "delivered",
            Record::Heartbeat { .. } => "heartbeat",
            Record::NotStarted { .. } => "not_started",
            Record::OccurrenceOpened { .. } => "occurrence_opened",
            Record::OccurrenceClosed { .. } => "occurrence_closed",
            Record::Started { .. } => "started",
            Record::Loaded { .. } => "loaded",
            Record::Readiness { .. } => "readiness",
            Record::Sealed(_) => "sealed",
            Record::Clock { .. } => "clock",
            Record::BreakerTripped { .. } => "breaker_tripped",
            Record::BreakerReset { .. } => "breaker_reset",
            Record::SignedIn { .. } => "signed_in",
        }
    }

    /// Version of this kind's body.
    pub fn version(&self) -> u16 {
        1
    }

    /// The stored bytes; made once, hashed and kept as they are.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: a record has string keys only")
    }

    pub fn decode(kind: &str, version: u16, body: &[u8]) -> Result<Record, String> {
        if version != 1 {
            return Err(format!("record {kind} has version {version}; this program knows version 1"));
        }
        serde_json::from_slice(body).map_err(|e| format!("record {kind} v{version}: {e}"))
    }
}

/// A record as the journal stored it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    pub position: Position,
    pub stream: Stream,
    pub seq: Seq,
    pub at: Time,
    pub record: Record,
}
