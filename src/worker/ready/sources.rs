//! Whether the alert would come at all, and whether its source could be asked if it still fires: what a playbook stands on
//! before its first guard.

use super::board::Found;
use crate::config::Source;
use crate::kernel::domain::{
    Finding, Form, Grade, ItemRole, Name, Record, Resolved, SourceKind, Span, Spec, Stamped, Stream,
};
use crate::kernel::port::Registry as _;
use crate::playbook::Playbook;
use crate::provider::http::zabbix::{Rights, Trouble, rights};
use crate::worker::App;
use crate::worker::zabbix::{zabbix_of, zabbix_token};
use serde_json::json;

const ASK: Span = Span::secs(5);
/// For the two questions about rights.
const RIGHTS: Span = Span::secs(10);
/// Deliveries among which one is looked for that somebody sent.
const LATELY: u32 = 50;

/// Nothing where no alert starts the playbook.
pub async fn look(app: &App, playbook: &Playbook, spec: &Resolved) -> Vec<Found> {
    if playbook.triggers.is_empty() {
        return vec![];
    }
    let mut all = vec![];
    let kind = playbook.stand_in().kind;
    for (name, source) in app.config.sources.iter().filter(|(_, source)| may_deliver(source, kind)) {
        all.push(found(app, name, heard(app, name).await));
        all.extend(app.heartbeat_finding(name).map(|finding| found(app, name, finding)));
        all.extend(swallowed(playbook, source).map(|finding| found(app, name, finding)));
        if source.reconcile.is_some() {
            all.push(found(app, name, reconciled(app, name)));
        }
        if source.write_back {
            all.push(found(app, name, written_back(app, source).await));
        }
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

/// One that nobody can ask may be of any kind, unless it is described.
fn may_deliver(source: &Source, kind: SourceKind) -> bool {
    if source.generic.is_some() || kind == SourceKind::Generic {
        return source.generic.is_some() == (kind == SourceKind::Generic);
    }
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
    let newest = app.journal.newest(&Stream::Source(name.clone()), &["delivered"], LATELY).await;
    let records = match newest {
        Ok(records) => records,
        Err(error) => {
            return Finding::of(Grade::Unknown, "PM4001", error.to_string(), "see the server's log");
        }
    };
    let sent = |stamped: &&Stamped| matches!(&stamped.record, Record::Delivered(d) if !d.was_asked_for());
    let says = match (records.iter().rfind(sent), records.is_empty()) {
        (Some(last), _) => return Finding::ok(format!("its last delivery came at {}", last.at)),
        (None, true) => "nothing was ever delivered by it: that its webhook works is not proven",
        (None, false) => {
            "what is known of it was found by asking, and no message came: its webhook may not work"
        }
    };
    Finding::of(Grade::Warn, "PM5808", says, "let it send an alert that starts nothing, once")
}

/// It keeps nothing from starting that is told of: what no message tells of would be missed.
fn reconciled(app: &App, name: &Name) -> Finding {
    let says = match app.reconciled.of(name) {
        Some(Ok(())) => {
            return Finding::ok("it was asked what stands there: what no message told of would be found");
        }
        Some(Err(why)) => format!("what no message told of would not be found: {why}"),
        None => "it was not asked yet what stands there".to_owned(),
    };
    let fix = "see that its API answers from here, and that its token may call problem.get and event.get";
    Finding::of(Grade::Warn, "PM5817", says, fix)
}

/// It keeps nothing from starting: only a comment would be missing.
async fn written_back(app: &App, source: &Source) -> Finding {
    let asked = async {
        let token = zabbix_token(source)?;
        rights(&zabbix_of(app, source, token.as_ref())).await
    };
    let late = || Err(Trouble::Lost(format!("no answer within {RIGHTS}")));
    let asked = tokio::time::timeout(RIGHTS.as_duration(), asked).await.unwrap_or_else(|_| late());
    match asked {
        Ok(Rights::Enough) => Finding::ok("its token may acknowledge problems and comment on them"),
        Ok(Rights::Missing(missing)) => Finding::of(
            Grade::Warn,
            "PM5816",
            format!(
                "what is done would not be written back: the role of the token's user lacks {}",
                missing.join(", ")
            ),
            "allow these actions in the role, in Zabbix under Administration, User roles",
        ),
        Err(trouble) => Finding::of(
            Grade::Warn,
            "PM5816",
            format!("whether what is done could be written back is not known: {trouble}"),
            "see that its API answers from here, and that the role may call user.checkAuthentication and role.get",
        ),
    }
}

/// Heartbeats start nothing.
fn swallowed(playbook: &Playbook, source: &Source) -> Option<Finding> {
    let watchdog = source.heartbeat.as_ref()?;
    let stand_in = playbook.stand_in();
    (!stand_in.labels.is_empty() && watchdog.is_beat(&stand_in.labels)).then(|| {
        let says =
            format!("its alerts would be taken for a heartbeat ({}), which starts nothing", watchdog.says());
        Finding::of(Grade::Bad, "PM5815", says, "let the heartbeat name an alert of its own")
    })
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
