//! Whether the alert would come at all, and whether its source could be asked if it still fires: what a playbook stands on
//! before its first guard.

use super::board::Found;
use crate::config::Source;
use crate::kernel::domain::{
    Finding, Form, Grade, ItemRole, Name, Record, Resolved, SourceKind, Span, Spec, Stream,
};
use crate::kernel::port::Registry as _;
use crate::playbook::Playbook;
use crate::worker::App;
use serde_json::json;

const ASK: Span = Span::secs(5);

/// Nothing where no alert starts the playbook.
pub async fn look(app: &App, playbook: &Playbook, spec: &Resolved) -> Vec<Found> {
    if playbook.triggers.is_empty() {
        return vec![];
    }
    let mut all = vec![];
    let kind = playbook.stand_in().kind;
    for (name, source) in app.config.sources.iter().filter(|(_, source)| may_deliver(source, kind)) {
        all.push(found(app, name, heard(app, name).await));
        if source.can_be_asked() && !is_guarded(spec, name) {
            all.extend(asked(app, playbook, spec, (name, source)).await);
        }
    }
    if app.config.sources.is_empty() {
        let says = "no source is configured that could be asked whether an alert still fires";
        let fix = "[sources.NAME] with `api`, `prometheus` or `zabbix` in pointsman.toml";
        all.push(found(app, &"sources".into(), Finding::of(Grade::Warn, "PM5807", says, fix)));
    }
    all
}

fn found(app: &App, name: &Name, finding: Finding) -> Found {
    Found { about: format!("source {name}"), target: String::new(), at: app.world.now(), finding }
}

/// One that nobody can ask may be of any kind.
fn may_deliver(source: &Source, kind: SourceKind) -> bool {
    !source.can_be_asked() || (kind == SourceKind::Zabbix) != source.zabbix.is_empty()
}

/// A guard asks it already.
fn is_guarded(spec: &Resolved, name: &Name) -> bool {
    let guards = spec.items.iter().filter(|item| item.role == ItemRole::Guard);
    guards.flat_map(|item| &item.rungs).any(|rung| match &rung.form {
        Form::Check(check) => check.kind.as_str() == "still_firing" && check.with["source"] == name.as_str(),
        Form::Act(_) | Form::Manual { .. } => false,
    })
}

/// A delivery is the only proof that its webhook works.
async fn heard(app: &App, name: &Name) -> Finding {
    match app.journal.newest(&Stream::Source(name.clone()), &["delivered"], 1).await {
        Err(error) => Finding::of(Grade::Unknown, "PM4001", error.to_string(), "see the server's log"),
        Ok(records) => match records.last() {
            Some(last) if matches!(last.record, Record::Delivered(_)) => {
                Finding::ok(format!("its last delivery came at {}", last.at))
            }
            _ => {
                let says = "nothing was ever delivered by it: that its webhook works is not proven";
                Finding::of(Grade::Warn, "PM5808", says, "let it send an alert that starts nothing, once")
            }
        },
    }
}

async fn asked(
    app: &App,
    playbook: &Playbook,
    run: &Resolved,
    (name, source): (&Name, &Source),
) -> Vec<Found> {
    let mut labels = playbook.stand_in().labels;
    if source.zabbix.is_empty() && labels.is_empty() {
        labels.insert("alertname".into(), "PointsmanReadiness".into());
    } else if !source.zabbix.is_empty() && !labels.keys().any(|label| label.starts_with("tag.")) {
        let says =
            "its problems go by their id, and the trigger names no tag: it can be asked when there is one";
        return vec![found(app, name, Finding::of(Grade::Open, "PM5807", says, "a test alert shows it"))];
    }
    let spec = Spec {
        kind: "still_firing".into(),
        target: name.clone(),
        with: json!({ "source": name, "labels": labels }),
    };
    let unknown = |why: String| {
        vec![found(
            app,
            name,
            Finding::of(Grade::Unknown, "PM5807", why, "see that its API answers from here"),
        )]
    };
    let bound = match app.registry.bind(&spec) {
        Ok(bound) => bound,
        Err(problems) => return unknown(problems.join("; ")),
    };
    let ctx = app.ctx(&run.run, &run.service, 0, ASK);
    let looked = tokio::time::timeout(ASK.as_duration() * 2, async {
        let seen = bound.check().observe(&ctx).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(bound.check().rehearse(&ctx, &seen).await)
    });
    match looked.await {
        Ok(Ok(Some(findings))) => findings.into_iter().map(|finding| found(app, name, finding)).collect(),
        Ok(Ok(None)) => {
            unknown(format!("what {name} answers cannot be judged ({} addresses)", source.api.len()))
        }
        Ok(Err(why)) => unknown(why),
        Err(_) => unknown(format!("no answer within {ASK}")),
    }
}
