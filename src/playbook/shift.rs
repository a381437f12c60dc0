//! `shift`: one step that is done share by share, and looked at after each. It is no action: it becomes ordinary steps when
//! the playbook is read, so that order, approval, doubt and the way back are those of any step. See decision 0044.

use super::model::{Stage, Step, Way};
use super::steps::way;
use crate::document::{At, Node, Sink, Table, code};
use crate::kernel::domain::{ItemRole, Name, Span};

/// Percent, where a playbook does not say.
const USUAL: [u8; 4] = [5, 25, 50, 100];
/// Most stages of one shift.
const MOST: usize = 20;
/// Actions that set a weight.
const WEIGHTS: [&str; 2] = ["route53.record", "haproxy.server"];

pub(super) struct Shift {
    shares: Vec<u8>,
    verify: Way,
    timeout: Option<Span>,
    at: At,
}

/// `shift: { shares: [5, 25, 50, 100], verify: { action: …, with: { … } } }`
pub(super) fn read(table: &Table<'_>) -> Option<Shift> {
    let inner = table.table("shift")?;
    let shares = match inner.list("shares") {
        Some(list) => shares(&inner, list),
        None => USUAL.to_vec(),
    };
    let verify = inner.need("verify").and_then(|node| {
        let check = inner.sink.table(node, "\"verify\" of \"shift\"")?;
        let (found, timeout) = (way(&check, ItemRole::Verify), check.span("timeout"));
        check.finish();
        Some((found?, timeout))
    });
    let at = table.key_at("shift");
    inner.finish();
    let (verify, timeout) = verify?;
    if verify.action().is_none() {
        let says = "what is between two shares looks for itself; it cannot be manual";
        table.sink.error(code::BAD_VALUE, verify.at.clone(), says);
        return None;
    }
    Some(Shift { shares, verify, timeout, at })
}

fn shares(table: &Table<'_>, list: &[Node]) -> Vec<u8> {
    let each = |node: &Node| table.sink.integer(node, "each of \"shares\"", 1, 100);
    let shares: Vec<u8> = list.iter().filter_map(each).filter_map(|share| u8::try_from(share).ok()).collect();
    let rising = shares.windows(2).all(|two| two[0] < two[1]);
    let whole = shares.len() == list.len();
    if whole && (!rising || shares.last() != Some(&100) || shares.len() > MOST) {
        let says = format!("\"shares\" rise to 100, in at most {MOST} stages");
        let hint = "for example shares: [5, 25, 50, 100]";
        table.sink.error_hint(code::BAD_VALUE, table.key_at("shares"), says, hint);
    }
    shares
}

impl Shift {
    /// A change and a look for each share, one after the other.
    pub(super) fn unroll(self, sink: &Sink, step: Step) -> Vec<Step> {
        if let Some(says) = unfit(&step) {
            sink.error(code::BAD_VALUE, self.at.clone(), says);
            return vec![step];
        }
        let mut steps: Vec<Step> = vec![];
        for share in &self.shares {
            let name = format!("{} [{share}%]", step.name);
            let stage = |acts| Some(Stage { of: step.name.clone(), share: *share, acts });
            let mut change = Step { name: Name::from(name.as_str()), stage: stage(true), ..step.clone() };
            if let Some(before) = steps.last() {
                (change.has_after, change.after_names) =
                    (false, vec![(before.name.clone(), step.at.clone())]);
            }
            let look = Step {
                name: Name::from(format!("{name} holds")),
                ways: vec![self.verify.clone()],
                stage: stage(false),
                has_after: false,
                after_names: vec![(change.name.clone(), step.at.clone())],
                inject: None,
                timeout: self.timeout,
                ..step.clone()
            };
            steps.extend([change, look]);
        }
        steps
    }
}

/// Why this step cannot be done share by share.
fn unfit(step: &Step) -> Option<String> {
    let beside = [
        ("for_each", step.for_each.is_some()),
        ("commit_point", step.commit_point),
        ("optional", step.optional),
        ("accept_unfenced", step.accept_unfenced.is_some()),
    ];
    if let Some((key, _)) = beside.into_iter().find(|(_, is)| *is) {
        return Some(format!("\"shift\" and {key:?} exclude each other"));
    }
    let [one] = step.ways.as_slice() else {
        // Without any, what is wrong is told already.
        return (!step.ways.is_empty()).then(|| "a step with \"shift\" has one action".into());
    };
    let Some((info, with, _)) = one.action().filter(|(info, ..)| WEIGHTS.contains(&info.kind)) else {
        return Some(format!("\"shift\" needs an action with weights: {}", WEIGHTS.join(" or ")));
    };
    let used = with.exprs().iter().any(|(expr, _)| expr.free().iter().any(|name| name == "share"));
    (!used).then(|| {
        format!("nothing in this {} depends on ${{share}}: every stage would be the same", info.kind)
    })
}

impl Step {
    /// The first of its stages stands for the whole where the order is said.
    pub(super) fn is_inner_stage(&self) -> bool {
        self.stage.is_some() && !self.has_after && !self.after_names.is_empty()
    }
}
