//! The checked form of a playbook: templates compiled, names resolved to indices, places kept for later
//! messages.

use super::approval::ApprovalPlaces;
use crate::document::At;
use crate::expr::{Expr, Matcher, Template};
use crate::kernel::domain::{
    ApprovalRule, Digest, FenceRung, ItemRole, Mode, Name, Objective, OnFailure, Retry, Role, RunKind, Span,
};
use crate::kernel::inject::Inject;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Playbook {
    pub name: Name,
    pub description: String,
    pub service: Name,
    pub owner: Option<Name>,
    pub kind: RunKind,
    pub mode: Mode,
    /// Values per site, reachable as `from.*` and `to.*`.
    pub sites: BTreeMap<Name, Map<String, Value>>,
    pub triggers: Vec<Trigger>,
    /// After a run that changed something, an automatic one waits that long, and for a person's acknowledgement.
    pub cooldown: Option<Span>,
    /// Automatic runs within 24 hours.
    pub per_day: Option<u32>,
    /// When it may start by itself; none: always.
    pub windows: Option<super::Windows>,
    /// An alert not confirmed as still firing for that long is not acted upon.
    pub unconfirmed_after: Option<Span>,
    pub resume_within: Option<Span>,
    /// Addresses known to answer that a name must lead to.
    pub min_live_targets: Option<u32>,
    pub objective: Objective,
    pub approval: ApprovalRule,
    /// The old primary is watched after a promotion until it is seen as a standby; unless the playbook says `none`.
    pub fence_watch: bool,
    pub commit_window: Span,
    pub file: String,
    /// The whole text, as it is stored and as a run carries it.
    pub text: String,
    pub digest: Digest,
    pub(super) from: Template,
    pub(super) to: Template,
    /// Guards, then steps, then verifications, each in the order of the file.
    pub(super) steps: Vec<Step>,
    pub(super) places: Places,
}

/// Where the parts stand that rules speak of.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub from: At,
    pub to: At,
    pub mode: At,
    pub top: At,
    pub approval: ApprovalPlaces,
}

#[derive(Clone, Debug)]
pub struct Trigger {
    /// Matchers over labels of an Alertmanager's alert, all of which must hold.
    pub(super) alertmanager: Option<Vec<(String, Matcher)>>,
    /// Conditions over a problem of Zabbix, all of which must hold.
    pub(super) zabbix: Option<Vec<(String, super::zabbix::Condition)>>,
    /// Matchers over labels of an alert of any other source.
    pub(super) generic: Option<Vec<(String, Matcher)>>,
    pub(super) when: Option<Expr>,
    pub confirmed_for: Span,
    pub(super) at: At,
}

impl Trigger {
    /// No alert can be meant.
    pub(super) fn is_empty(&self) -> bool {
        self.alertmanager.is_none() && self.zabbix.is_none() && self.generic.is_none() && self.when.is_none()
    }
}

/// A guard, a step or a verification, before `for_each` is expanded.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub name: Name,
    pub role: ItemRole,
    pub ways: Vec<Way>,
    /// Variable and the list it takes its values from.
    pub for_each: Option<(String, Template, At)>,
    /// Names as written, with their places.
    pub after_names: Vec<(Name, At)>,
    pub has_after: bool,
    /// Indices into `Playbook::steps`; filled by `order`.
    pub after: Vec<usize>,
    pub optional: bool,
    pub commit_point: bool,
    pub accept_unfenced: Option<Role>,
    pub on_failure: OnFailure,
    /// Where a word other than `pause` stands.
    pub on_failure_at: Option<At>,
    /// A fault on purpose, and where it stands.
    pub inject: Option<(Inject, At)>,
    pub retry: Retry,
    pub timeout: Option<Span>,
    /// Which part of a shift it is.
    pub stage: Option<Stage>,
    pub at: At,
}

/// A step that was written once, with `shift`, became several.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The name as written.
    pub of: Name,
    /// Percent; `${share}`, and what is left of 100 is `${rest}`.
    pub share: u8,
    /// The change, not the look after it.
    pub acts: bool,
}

/// One way to do a step.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub form: WayForm,
    pub proves: Option<Proves>,
    pub at: At,
}

#[derive(Clone, Debug)]
pub(super) enum WayForm {
    Action { kind: &'static super::ActionInfo, with: Template, args: Args },
    Manual(Template),
}

/// Where each parameter stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Args {
    pub at: At,
    pub keys: BTreeMap<String, (At, At)>,
}

impl Args {
    /// The value's place, or that of the whole.
    pub fn value_at(&self, key: &str) -> At {
        self.keys.get(key).map_or(self.at.clone(), |(_, value)| value.clone())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Proves {
    pub fenced: Template,
    pub rung: FenceRung,
    pub at: At,
}

impl Way {
    pub fn action(&self) -> Option<(&'static super::ActionInfo, &Template, &Args)> {
        match &self.form {
            WayForm::Action { kind, with, args } => Some((kind, with, args)),
            WayForm::Manual(_) => None,
        }
    }
    pub fn is(&self, kind: &str) -> bool {
        self.action().is_some_and(|(info, _, _)| info.kind == kind)
    }
    /// Sets records of a name, by whatever provider.
    pub fn sets_records(&self) -> bool {
        self.action().is_some_and(|(info, _, _)| info.kind.ends_with(".record"))
    }
}

impl Step {
    /// The first way of this kind.
    pub fn way(&self, kind: &str) -> Option<&Way> {
        self.ways.iter().find(|way| way.is(kind))
    }
}

impl Playbook {
    /// An alert as this playbook waits for it, where none has come: the equalities of its first trigger that has any.
    pub fn stand_in(&self) -> super::AlertView {
        super::matching::stand_in(self)
    }
    /// By its own name; that of a whole shift means the last of it.
    pub(super) fn step_named(&self, name: &str) -> Option<usize> {
        let own = self.steps.iter().position(|step| step.name.as_str() == name);
        let of = |step: &Step| step.stage.as_ref().is_some_and(|stage| stage.of.as_str() == name);
        own.or_else(|| self.steps.iter().rposition(of))
    }
    pub(super) fn of_role(&self, role: ItemRole) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.role == role)
    }
    /// Steps that must be green before step `index`, however indirectly. Cycles do no harm.
    pub(super) fn before(&self, index: usize) -> Vec<usize> {
        let mut seen: Vec<usize> = vec![];
        let mut open: Vec<usize> = self.steps[index].after.clone();
        while let Some(next) = open.pop() {
            if !seen.contains(&next) {
                seen.push(next);
                open.extend(&self.steps[next].after);
            }
        }
        seen
    }
}
