//! Is it still so? One look at an alert that has to be confirmed before anything opens.
//!
//! The source is asked; where it cannot be reached, the playbook's own down-quorum may stand in. Silence is no
//! evidence.

use super::App;
use crate::kernel::domain::{Fact, Form, Item, ItemRole, Resolved, Span, Spec, StepPlan};
use serde_json::json;

#[derive(Debug)]
pub enum Confirmed {
    Yes,
    No(String),
    Unknown(String),
}

/// Asks once, bounded by `within`.
pub async fn confirm(
    app: &App,
    spec: &Resolved,
    labels: &serde_json::Value,
    source: &str,
    within: Span,
) -> Confirmed {
    let guards = || spec.items.iter().filter(|i| i.role == ItemRole::Guard);
    let of_kind = |item: &Item, kind: &str| match &item.rungs[0].form {
        Form::Check(spec) if spec.kind.as_str() == kind => Some(spec.clone()),
        Form::Check(_) | Form::Act(_) | Form::Manual { .. } => None,
    };
    let mut given: Vec<Fact> = vec![];
    for down in guards().filter_map(|i| of_kind(i, "quorum")).filter(|s| s.with.get("down").is_some()) {
        if let StepPlan::Nothing { gives, .. } = look(app, spec, &down, &given, within).await {
            given.extend(gives);
        }
    }
    let asked = guards().find_map(|i| of_kind(i, "still_firing")).unwrap_or_else(|| Spec {
        kind: "still_firing".into(),
        target: source.into(),
        with: json!({ "source": source, "labels": labels }),
    });
    match look(app, spec, &asked, &given, within).await {
        StepPlan::Nothing { .. } => Confirmed::Yes,
        StepPlan::Refuse(why) => Confirmed::No(join(&why)),
        // The quorum alone confirms too, when the playbook has one and it says down.
        StepPlan::Unknown(_) if given.iter().any(|f| matches!(f, Fact::Down { .. })) => Confirmed::Yes,
        StepPlan::Unknown(why) => Confirmed::Unknown(join(&why)),
        StepPlan::Change(_) => Confirmed::Unknown("a check may not change anything".into()),
    }
}

async fn look(app: &App, run: &Resolved, spec: &Spec, given: &[Fact], within: Span) -> StepPlan {
    use crate::kernel::port::Registry as _;
    let bound = match app.registry.bind(spec) {
        Ok(bound) => bound,
        Err(problems) => return StepPlan::unknown("PM5301", problems.join("; ")),
    };
    let ctx = app.ctx(&run.run, &run.service, 0, within);
    let bounded = tokio::time::timeout(within.as_duration() * 2, bound.check().observe(&ctx)).await;
    match bounded {
        Ok(Ok(seen)) => bound.check().plan(&seen, given, app.world.now()),
        Ok(Err(error)) => StepPlan::unknown("PM5301", error.to_string()),
        Err(_) => StepPlan::unknown("PM5301", "no answer in time"),
    }
}

fn join(why: &[crate::kernel::domain::Reason]) -> String {
    why.iter().map(|r| r.says.as_str()).collect::<Vec<_>>().join("; ")
}
