//! A playbook resolved for one run: every `${…}` replaced, no secret inside. The engine sees nothing else.

use super::{Actor, Digest, Epoch, Fact, ItemId, Name, OccurrenceId, Role, RunId, Span, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One action or check on one target, fully resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// `provider.verb`
    pub kind: Name,
    /// Name of a configured target, or of the thing checked where there is none.
    pub target: Name,
    pub with: Value,
}

impl Spec {
    /// Sets records of a name: `dns.record` and each provider's own.
    pub fn sets_records(&self) -> bool {
        self.kind.as_str().ends_with(".record")
    }

    /// Decides where users are led: records, and what stands before the sites or is asked by the names.
    pub fn leads_users(&self) -> bool {
        let beside = ["haproxy.server", "cloudflare.pool", "cloudflare.steering", "route53.health_check"];
        self.sets_records() || beside.contains(&self.kind.as_str())
    }

    /// The parameter that asks for a fault on purpose; see the room `inject`.
    pub const FAULT: &str = "inject";

    pub fn fault(&self) -> Option<&str> {
        self.with.get(Spec::FAULT)?.as_str()
    }
    pub fn without_fault(&self) -> Spec {
        let mut spec = self.clone();
        spec.with.as_object_mut().map(|with| with.remove(Spec::FAULT));
        spec
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemRole {
    Guard,
    Step,
    Verify,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Changes something; is planned, shown, intended, applied, verified.
    Act(Spec),
    /// Only looks. As a guard it must hold at once; as a step it is polled until it holds.
    Check(Spec),
    /// A person does it and confirms.
    Manual { text: String },
}

impl Form {
    pub fn spec(&self) -> Option<&Spec> {
        match self {
            Form::Act(spec) | Form::Check(spec) => Some(spec),
            Form::Manual { .. } => None,
        }
    }
}

/// One way to do a step; a step with `any_of` has several, tried in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    pub form: Form,
    /// Facts that its success proves beyond what the action itself gives.
    pub proves: Vec<Fact>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, at least 1. Only a proven rejection is tried again.
    pub attempts: u32,
    pub backoff_from: Span,
    pub backoff_to: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 1, backoff_from: Span::secs(1), backoff_to: Span::secs(30) }
    }
}

/// Who may decide to go on without a proven fence of `target`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnfencedRule {
    pub target: Name,
    pub role: Role,
}

/// What a run does when a step stops and no call of it is in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Stop there and ask. (An optional step is given up, and the run goes on.)
    #[default]
    Pause,
    /// Before the commit point: take back what the run did.
    Undo,
}

impl OnFailure {
    fn is_pause(&self) -> bool {
        *self == OnFailure::Pause
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub name: Name,
    pub role: ItemRole,
    /// At least one.
    pub rungs: Vec<Rung>,
    /// Items that must be green before; indices below its own.
    pub after: Vec<ItemId>,
    pub optional: bool,
    pub commit_point: bool,
    /// Whether it can be planned before anything was done. Checks and verifications cannot.
    pub planned_ahead: bool,
    pub accept_unfenced: Option<UnfencedRule>,
    /// The item whose change this one carries on with, share by share: once it has, the other is no longer to be seen,
    /// and all of them are taken back by one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<ItemId>,
    #[serde(default, skip_serializing_if = "OnFailure::is_pause")]
    pub on_failure: OnFailure,
    pub retry: Retry,
    /// From the item's start until it is verified.
    pub timeout: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    Failover,
    Switchover,
    Failback,
    Drill,
    Other,
    /// Fences an old primary that came back; opened by the fence watch alone, never by a playbook.
    Refence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Say what it would do, and do nothing.
    Observe,
    Approve,
    Auto,
}

/// What happens when nobody has decided in time. Never a yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// Ask again with a new plan, and more people.
    Escalate,
    /// Ask the same people again with a new plan.
    #[default]
    Hold,
    /// The run ends, and nothing is changed.
    Reject,
}

/// A way that a yes may come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The page, signed in.
    Web,
    /// The command line and the API, by token or by socket.
    Cli,
    Slack,
    /// A link of one's own, without signing in.
    Link,
}

impl Way {
    pub fn of(via: super::Via) -> Option<Way> {
        use super::Via;
        match via {
            Via::Web => Some(Way::Web),
            Via::Cli | Via::Api | Via::Socket => Some(Way::Cli),
            Via::Slack => Some(Way::Slack),
            Via::Link => Some(Way::Link),
            Via::Internal => None,
        }
    }
}

/// Whose yes is needed. The defaults are what runs of older versions began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    pub expires: Span,
    pub role: Role,
    /// Distinct people who must say yes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub need: u8,
    /// Groups that are asked; empty: whoever has the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Name>,
    /// Who asked for the run may not say yes, unless alone and saying so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_requester: bool,
    #[serde(default, skip_serializing_if = "OnExpiry::is_hold")]
    pub on_expiry: OnExpiry,
    /// Empty: the page and the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<Way>,
}

fn one() -> u8 {
    1
}
fn is_one(need: &u8) -> bool {
    *need == 1
}

impl OnExpiry {
    fn is_hold(&self) -> bool {
        *self == OnExpiry::Hold
    }
}

impl ApprovalRule {
    /// One yes of anybody with the role.
    pub fn simple(expires: Span, role: Role) -> ApprovalRule {
        ApprovalRule {
            expires,
            role,
            need: 1,
            from: vec![],
            not_requester: false,
            on_expiry: OnExpiry::Hold,
            via: vec![],
        }
    }
    pub fn allows(&self, way: Way) -> bool {
        match self.via.is_empty() {
            true => matches!(way, Way::Web | Way::Cli),
            false => self.via.contains(&way),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A run found again after a longer gap looks first, and asks again before the commit point.
    pub resume_within: Span,
    /// From the first change to the end.
    pub deadline: Span,
    /// Observations older than this are taken again before the first change and the commit point.
    pub fresh: Span,
    /// How long a held run waits before it looks again.
    pub look_again: Span,
    /// Addresses known to answer that a name must lead to, at least; 0 in runs of versions that did not ask.
    #[serde(default)]
    pub min_live_targets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            resume_within: Span::secs(60),
            deadline: Span::mins(30),
            fresh: Span::secs(2),
            look_again: Span::secs(15),
            min_live_targets: 0,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    pub rto: Option<Span>,
    pub rpo: Option<Span>,
}

/// Why the run exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Alert {
        occurrences: Vec<OccurrenceId>,
        /// The alert's own start, as its source says.
        started: Time,
        delivered: Time,
        /// Labels of the alert that opened it.
        labels: Value,
    },
    Person {
        by: Actor,
        reason: String,
    },
}

/// An old primary that is kept an eye on once `item` has promoted another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    pub target: Name,
    pub promoted: Name,
    /// The step that promotes.
    pub item: ItemId,
}

/// What is looked after once the run's work is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Afterwards {
    pub fence_watch: Vec<Watched>,
    /// Counted from the end of the run; zero: nothing is watched.
    pub commit_window: Span,
}

/// Everything a run needs to know, written once when it opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    pub run: RunId,
    pub playbook: Name,
    pub playbook_digest: Digest,
    /// The whole text it started with.
    pub text: String,
    pub service: Name,
    pub kind: RunKind,
    pub mode: Mode,
    pub from: Name,
    pub to: Name,
    pub items: Vec<Item>,
    /// Targets written, locked until the run ends.
    pub locks: Vec<Name>,
    pub approval: ApprovalRule,
    pub limits: Limits,
    pub objective: Objective,
    #[serde(default)]
    pub afterwards: Afterwards,
    pub cause: Cause,
    pub epoch: Epoch,
    /// The process that opened it.
    pub owner: String,
    /// Which fold it began with.
    pub fold: u16,
}

impl Resolved {
    /// Opened by an alert, and nobody is asked: what limits of automation are about.
    pub fn is_automatic(&self) -> bool {
        matches!(self.cause, Cause::Alert { .. }) && self.mode == Mode::Auto
    }

    /// What the run holds until it ends: its service, and every target that it writes.
    pub fn lock_keys(&self) -> Vec<String> {
        let targets = self.locks.iter().map(|target| format!("target:{target}"));
        std::iter::once(format!("service:{}", self.service)).chain(targets).collect()
    }
}
