//! The server's documents as the client reads them. Unknown fields are ignored (fields may be added within
//! v1); a missing or retyped one is an error: what cannot be read is never shown as nothing.

use crate::kernel::domain::{
    Digest, FenceRung, FenceWatchState, Grade, ItemId, ItemRole, Mode, Name, PlanLine, PlanSheet, Position,
    Reason, Rpo, Span, Time,
};
use crate::kernel::engine::Summary;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Deserialize)]
pub struct StatusDoc {
    pub version: String,
    pub site: Option<Name>,
    pub frozen: Option<Value>,
    #[serde(default)]
    pub freezes: Vec<SaysDoc>,
    #[serde(default)]
    pub overrides: Vec<SaysDoc>,
    /// Of a server that counts them.
    #[serde(default)]
    pub changes: Option<ChangesDoc>,
    pub breaker: Option<SaysDoc>,
    #[serde(default)]
    pub held_back: Vec<HeldBackDoc>,
    pub runs: Vec<Summary>,
    /// What waits for people.
    #[serde(default)]
    pub asks: Vec<AskDoc>,
    /// Clocks that differ, in words.
    #[serde(default)]
    pub clocks: Option<String>,
    #[serde(default)]
    pub fence_watches: Vec<FenceWatchDoc>,
    /// How channels of notices fare, by name.
    #[serde(default)]
    pub channels: std::collections::BTreeMap<String, ChannelDoc>,
    pub playbooks: Vec<PlaybookDoc>,
    /// Why the folder is not in force as it is.
    #[serde(default)]
    pub playbooks_trouble: Option<SaysDoc>,
    pub head: HeadDoc,
    pub says: String,
}

/// One channel of notices.
#[derive(Clone, Debug, Deserialize)]
pub struct ChannelDoc {
    pub waiting: usize,
    pub skipped: u64,
    pub failing_since: Option<Time>,
    pub says: Option<String>,
}

/// One thing that a person is asked for.
#[derive(Clone, Debug, Deserialize)]
pub struct AskDoc {
    pub run: String,
    pub service: Name,
    pub from: Name,
    pub to: Name,
    pub wanted: String,
    pub until: Option<Time>,
    pub passed: Vec<Name>,
    pub mine: bool,
    pub says: String,
    pub link: String,
}

/// A freeze by people, as one sentence.
#[derive(Clone, Debug, Deserialize)]
pub struct SaysDoc {
    pub says: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChangesDoc {
    pub begun: u32,
    pub reserved: u32,
    pub most: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HeldBackDoc {
    pub service: Name,
    pub why: Vec<Reason>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WhyDoc {
    pub of: String,
    pub kind: String,
    pub says: String,
    pub now: Vec<Reason>,
    pub records: Vec<WhyRecordDoc>,
    pub left_out: usize,
    /// There is more behind what was looked at.
    #[serde(default)]
    pub older: bool,
}

/// A stored alert asked again.
#[derive(Clone, Debug, Deserialize)]
pub struct ReplayDoc {
    pub occurrence: String,
    pub record: Position,
    pub verdicts: Vec<VerdictDoc>,
    pub plan: Option<PlanDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct VerdictDoc {
    pub playbook: Name,
    pub matched: bool,
    pub says: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WhyRecordDoc {
    pub position: Position,
    pub at: Time,
    pub says: String,
    pub reasons: Vec<Reason>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FenceWatchDoc {
    pub run: String,
    pub target: Name,
    pub promoted: Name,
    pub rung: FenceRung,
    pub state: FenceWatchState,
    pub says: String,
    pub since: Option<Time>,
    /// What the last look saw; none before the first.
    pub seen: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PlaybookDoc {
    pub name: Name,
    /// These three are missing where the file could not be read so far.
    pub service: Option<Name>,
    pub mode: Option<Mode>,
    pub digest: Option<String>,
    pub active: bool,
    /// Lines of each.
    pub problems: Vec<Vec<String>>,
    pub warnings: Vec<Vec<String>>,
    /// The file as it is now, where the form before it stays active.
    #[serde(default)]
    pub refused: Option<String>,
    #[serde(default)]
    pub owner: Option<Name>,
    #[serde(default)]
    pub kind: Option<String>,
    /// By whom, until when, why.
    #[serde(default)]
    pub disabled: Option<SaysDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PlaybooksDoc {
    pub playbooks: Vec<PlaybookDoc>,
    pub trouble: Option<SaysDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReadyDoc {
    pub at: Time,
    /// How many would work.
    pub ready: usize,
    pub playbooks: Vec<ReadyPlaybookDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReadyPlaybookDoc {
    pub playbook: Name,
    pub active: bool,
    /// `None`: it was not looked at.
    pub ready: Option<bool>,
    pub at: Option<Time>,
    pub disabled: Option<String>,
    pub findings: Vec<ReadyFindingDoc>,
    /// Lines of each.
    pub problems: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReadyFindingDoc {
    pub about: String,
    pub target: String,
    pub grade: Grade,
    #[serde(default)]
    pub code: String,
    pub says: String,
    #[serde(default)]
    pub fix: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ScorecardDoc {
    pub playbook: Name,
    pub days: u64,
    pub agrees: usize,
    pub needless: usize,
    pub missed: usize,
    pub alerts: Vec<ScoredDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ScoredDoc {
    pub at: Time,
    pub occurrence: String,
    /// `None`: its plan could not be made.
    pub would: Option<bool>,
    pub why: Vec<String>,
    pub run: Option<String>,
    pub outcome: Option<String>,
    pub over: Option<Time>,
    pub score: String,
}

/// One form of a playbook; its text is taken from the document itself.
#[derive(Clone, Debug, Deserialize)]
pub struct FormDoc {
    pub name: Name,
    pub active: bool,
    pub form: String,
    /// When it was first on record.
    pub first: Option<Time>,
    /// The form in force; none where no file defines it any more.
    pub digest: Option<String>,
    #[serde(default)]
    pub refused: Option<String>,
    #[serde(default)]
    pub disabled: Option<SaysDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PastFormsDoc {
    pub playbook: Name,
    pub records: Vec<PastFormDoc>,
    /// There is nothing older.
    pub whole: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PastFormDoc {
    pub position: Position,
    pub at: Time,
    pub says: String,
    pub digest: Option<String>,
    pub active: Option<bool>,
    /// Lines of each.
    pub problems: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HeadDoc {
    pub position: Position,
    pub hash: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PlanDoc {
    pub playbook: Name,
    pub service: Name,
    pub kind: String,
    pub mode: Mode,
    pub from: Name,
    pub to: Name,
    /// `None` when something stands against it.
    pub plan: Option<PlanSheet>,
    pub lines: Vec<PlanLine>,
    pub blockers: Vec<Reason>,
    /// Its name, where the server keeps it.
    #[serde(default)]
    pub id: Option<String>,
    /// Whether it may be run: `valid`, `stale` or `used`.
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub time: Option<TimeDoc>,
    /// From where on the run cannot take back what it did.
    #[serde(default)]
    pub no_return: Option<NoReturnDoc>,
    #[serde(default)]
    pub reach: Vec<ReachDoc>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TimeDoc {
    /// Of a playbook that has succeeded before.
    pub history: Option<HistoryDoc>,
    pub objective: Option<Span>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HistoryDoc {
    pub runs: u32,
    pub median: Span,
    pub longest: Span,
}

#[derive(Clone, Debug, Deserialize)]
pub struct NoReturnDoc {
    pub item: ItemId,
    pub name: Name,
}

/// What a step can touch at worst.
#[derive(Clone, Debug, Deserialize)]
pub struct ReachDoc {
    pub item: ItemId,
    pub name: Name,
    pub says: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OpenedDoc {
    pub run: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RunDoc {
    pub summary: Summary,
    pub kind: String,
    pub plan: Option<PlanSheet>,
    pub items: Vec<ItemDoc>,
    pub asked: Option<AskedDoc>,
    pub unfenced_offer: Vec<Name>,
    pub alert_started: Option<Time>,
    /// Phase and microseconds.
    pub rto: Vec<(String, u64)>,
    pub rpo: Option<Rpo>,
    /// The sentence with which the run ended.
    #[serde(default)]
    pub end: Option<String>,
    pub by_hand: Vec<String>,
    pub outcome: Option<String>,
    pub parked: bool,
    pub doubt: bool,
    /// Why the run goes back.
    #[serde(default)]
    pub undoing: Option<Vec<Reason>>,
    #[serde(default)]
    pub may_abort: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AskedDoc {
    pub digest: Digest,
    pub until: Time,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ItemDoc {
    pub item: ItemId,
    pub name: Name,
    pub role: ItemRole,
    pub target: String,
    pub phase: ItemPhase,
    pub says: String,
    pub attempts: u32,
    pub began: Option<Time>,
    pub ended: Option<Time>,
    pub now: String,
    pub after: String,
    /// On its way back: the phase speaks of taking it back.
    #[serde(default)]
    pub undo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemPhase {
    Idle,
    InFlight,
    Doubt,
    Applied,
    AwaitingPerson,
    Done,
    Skipped,
    GaveUp,
    Parked,
    /// A phase of a newer server: shown by what it says, never as done.
    #[serde(other)]
    Newer,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RetentionDoc {
    pub first: Position,
    pub before: Position,
    pub aged: Position,
    pub goes: u64,
    pub held: Vec<HeldDoc>,
    pub dry_run: bool,
    /// The record that decides it.
    pub record: Option<Position>,
    /// How many went, where that is over.
    pub gone: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HeldDoc {
    pub first: Position,
    pub says: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AuditDoc {
    pub records: Vec<RecordDoc>,
    /// Where the next page begins, when it was asked for records from a position on.
    pub next: Option<Position>,
    /// Older records that fit are before this one.
    #[serde(default)]
    pub previous: Option<Position>,
    /// It took too long to look further than that; whether more fits is not known.
    #[serde(default)]
    pub partial: bool,
    /// Who follows goes on after this one.
    #[serde(default)]
    pub follow: Option<Position>,
    /// Earlier records were sealed away.
    #[serde(default)]
    pub begins: Option<Position>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RecordDoc {
    pub position: Position,
    pub stream: String,
    pub seq: u64,
    pub at: Time,
    pub kind: String,
    pub says: String,
    /// What it can be asked by: playbook, run, service, actor, ...
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    #[serde(default)]
    pub attempts: Vec<AttemptDoc>,
    #[serde(default)]
    pub guards: Vec<GuardDoc>,
    pub body: Value,
}

/// One call of the step that a record speaks of.
#[derive(Clone, Debug, Deserialize)]
pub struct AttemptDoc {
    pub attempt: u32,
    #[serde(default)]
    pub undo: bool,
    pub position: Position,
    pub before: String,
    pub after: String,
    pub ended: Option<Position>,
    pub result: Option<String>,
    pub reply: Option<Value>,
}

/// One guard as it stood when a plan was made.
#[derive(Clone, Debug, Deserialize)]
pub struct GuardDoc {
    pub name: String,
    pub verdict: String,
    pub says: String,
    pub seen: Option<Position>,
    pub evidence: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DecisionDoc {
    pub position: Position,
    pub says: String,
}

impl RunDoc {
    /// The number a person knows a step by, as in the plan: 1 is the first that is not a guard.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &ItemDoc)> {
        self.items
            .iter()
            .filter(|item| item.role != ItemRole::Guard)
            .enumerate()
            .map(|(i, item)| (i + 1, item))
    }
}
