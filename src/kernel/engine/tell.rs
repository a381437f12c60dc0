//! A record as one English sentence. Every surface uses these words: log, CLI, pages, notices.

use crate::domain::{
    Actor, CallResult, Cause, Delivered, Digest, ItemId, Name, OccurrenceId, Reason, Record, Resolved,
    Sealed, SignIn, SourceKind, StepPlan, Told, WhyObserved,
};

/// `run` gives names to item numbers; without it they stay numbers.
pub fn tell(record: &Record, run: Option<&Resolved>) -> String {
    let item = |id: ItemId| match run.and_then(|r| r.items.get(usize::from(id))) {
        Some(item) => item.name.to_string(),
        None => format!("step {id}"),
    };
    match record {
        Record::Opened(spec) => tell_opened(spec),
        Record::Taken { epoch, gap, .. } => {
            format!("taken over after {gap} (epoch {epoch}); calls in flight are in doubt until seen")
        }
        Record::Observed { item: id, why, seen, plan, undo, .. } => {
            tell_observed(&way(*undo, &item(*id)), *why, seen, plan)
        }
        Record::Planned(sheet) => {
            let changes = sheet.lines.iter().filter(|l| l.verdict == crate::domain::Verdict::Change).count();
            let many = if changes == 1 { "change" } else { "changes" };
            format!("plan {}: {changes} {many}", sheet.digest.short())
        }
        Record::Asked { item: Some(id), says, .. } => format!("{}: a person is asked: {says}", item(*id)),
        Record::Asked { says, .. } => says.clone(),
        decided @ Record::Decided { .. } => tell_decided(decided),
        Record::Told { what, by, reason } => tell_told(what, by.name.as_str(), reason, &item),
        Record::Intended { call, change, .. } => {
            format!(
                "{}: about to change {} to {} (attempt {})",
                way(call.undo, &item(call.item)),
                change.now,
                change.after,
                call.attempt
            )
        }
        Record::Ended { call, end } => match end.result {
            CallResult::Applied => format!("{}: the call was applied", way(call.undo, &item(call.item))),
            CallResult::Rejected { .. } => {
                let name = way(call.undo, &item(call.item));
                format!("{name}: rejected, nothing happened: {}", end.detail)
            }
            CallResult::Indeterminate => {
                let name = way(call.undo, &item(call.item));
                format!("{name}: no proof whether the call took effect: {}", end.detail)
            }
        },
        Record::Parked { item: id, why, doubt } => {
            let name = id.map_or_else(|| "the run".to_owned(), item);
            let doubt = if *doubt { " (its effect is unknown)" } else { "" };
            format!("{name}: stopped{doubt}: {}", join(why))
        }
        Record::Undoing { why } => format!("going back, newest change first: {}", join(why)),
        Record::FenceWatch { target, says, by, .. } => match by {
            Some(by) => format!("fence watch of {target}: closed by {by}: {says}"),
            None => format!("fence watch of {target}: {says}"),
        },
        Record::CommitWindow { item: id, says, .. } => match id {
            Some(id) => format!("commit window: {}: {says}", item(*id)),
            None => format!("commit window: {says}"),
        },
        Record::Finished { outcome, says, .. } => format!("{outcome}: {says}"),
        other => tell_other(other),
    }
}

fn tell_decided(record: &Record) -> String {
    let Record::Decided { by, yes, reason, accept_unfenced, digest, solo } = record else {
        return String::new();
    };
    let verb = match (yes, solo) {
        (true, true) => "approved ALONE, having asked for it,",
        (true, false) => "approved",
        (false, _) => "rejected",
    };
    let names: Vec<&str> = accept_unfenced.iter().map(|name| name.as_str()).collect();
    let over = match names.is_empty() {
        true => String::new(),
        false => format!(", accepting that {} is not proven to be fenced", names.join(", ")),
    };
    format!("{by} {verb} plan {}{over}: {reason}", digest.short())
}

fn tell_other(record: &Record) -> String {
    match record {
        Record::Passed { by, digest, reason } => {
            format!("{by} hands plan {} on to others: {reason}", digest.short())
        }
        Record::Held { why, .. } => format!("held for now: {}", join(why)),
        Record::Joined { occurrence, run, says } => {
            format!("alert {occurrence} belongs to run {run}: {says}")
        }
        Record::Claimed { owner, epoch } => format!("{owner} claims the service (epoch {epoch})"),
        Record::Frozen { service, by, reason, until } => {
            let what = service.as_ref().map_or("everything", |s| s.as_str());
            format!("{what} frozen by {by} until {until}: {reason}")
        }
        Record::Thawed { service, by, reason } => {
            let what = service.as_ref().map_or("everything", |s| s.as_str());
            format!("{what} thawed{}: {reason}", whoever(by.as_ref()))
        }
        Record::Overridden(lifted) => lifted.says(),
        Record::OverrideEnded { rule, service, by, reason } => {
            format!("{rule} binds {service} again, by {by}: {reason}")
        }
        Record::NotOpened { playbook, by, why } => {
            format!("{by} asked for a run of {playbook}, which was not opened: {}", join(why))
        }
        Record::Acknowledged { by, reason } => format!("{by} has seen the last run: {reason}"),
        Record::BreakerTripped { why } => {
            format!(
                "the storm breaker tripped, nothing starts by itself until a person resets it: {}",
                join(why)
            )
        }
        Record::BreakerReset { by, reason, sick } => {
            format!("{by} reset the storm breaker with {sick} services sick: {reason}")
        }
        Record::SignedIn { person, how: SignIn::Code } => format!("{person} signed in by a one-time code"),
        Record::SignedIn { person, how: SignIn::Recovery } => {
            format!("{person} signed in by a RECOVERY CODE: see that it was {person}")
        }
        Record::Delivered(delivered) => tell_delivered(delivered),
        Record::NotStarted { occurrence, why, .. } => {
            let why: Vec<String> = why.iter().map(|v| format!("{}: {}", v.playbook, v.why.says)).collect();
            match why.is_empty() {
                true => format!("alert {occurrence} started nothing: there is no active playbook"),
                false => format!("alert {occurrence} started nothing: {}", why.join("; ")),
            }
        }
        Record::OccurrenceOpened { occurrence, kind, labels, .. } => fires(occurrence, *kind, labels),
        Record::OccurrenceClosed { occurrence, says, .. } => format!("alert {occurrence} is over: {says}"),
        Record::Started { version, site, .. } => {
            let site = site.as_ref().map_or("no site configured", |s| s.as_str());
            format!("pointsman {version} started ({site})")
        }
        Record::Sealed(sealed) => tell_sealed(sealed),
        Record::Clock { says, .. } => says.clone(),
        other => tell_playbook(other),
    }
}

fn tell_delivered(d: &Delivered) -> String {
    let cut = match d.truncated {
        0 => String::new(),
        n => format!(", {n} more were cut away by the sender"),
    };
    match &d.unread {
        Some(why) => format!("{} delivered what CANNOT BE UNDERSTOOD ({} bytes): {why}", d.source, d.bytes),
        None if d.was_asked_for() => {
            format!(
                "{} was asked, and told of {} beginnings or ends that no message told of",
                d.source, d.alerts
            )
        }
        None => format!("{} delivered {} alerts ({} bytes){cut}", d.source, d.alerts, d.bytes),
    }
}

fn fires(occurrence: &OccurrenceId, kind: SourceKind, labels: &serde_json::Value) -> String {
    let at = if kind.is_default() { String::new() } else { format!(" in {kind}") };
    format!("alert {occurrence} fires{at}: {labels}")
}

fn tell_playbook(record: &Record) -> String {
    match record {
        Record::Disabled(disabled) => disabled.says(),
        Record::Enabled { playbook, by, reason } => {
            format!("playbook {playbook} is enabled again{}: {reason}", whoever(by.as_ref()))
        }
        Record::Loaded { playbook, digest, active, problems, stays } => {
            tell_loaded(playbook, *digest, *active, problems.len(), *stays)
        }
        Record::Readiness { playbook, ready: true, .. } => format!("playbook {playbook} is ready"),
        Record::Readiness { playbook, why, .. } => {
            format!("playbook {playbook} is NOT READY: {}", join(why))
        }
        Record::Heartbeat { source, silent, within, last } => {
            let last = last.map_or("none was ever heard".to_owned(), |at| format!("the last came at {at}"));
            match silent {
                true => format!(
                    "source {source} is SILENT: no heartbeat for {within}, {last}; what fires there is not heard"
                ),
                false => format!("source {source} is heard again: {last}"),
            }
        }
        run_record => run_record.kind().to_owned(),
    }
}

fn tell_loaded(
    playbook: &Name,
    digest: Digest,
    active: bool,
    problems: usize,
    stays: Option<Digest>,
) -> String {
    let form = digest.short();
    match (active, stays) {
        (true, _) => format!("playbook {playbook} {form} is active"),
        (false, None) => format!("playbook {playbook} is NOT active: {problems} problems"),
        (false, Some(stays)) => format!(
            "playbook {playbook} {form} is refused ({problems} problems); its last good form {} stays active",
            stays.short()
        ),
    }
}

fn tell_sealed(sealed: &Sealed) -> String {
    match &sealed.by {
        Some(by) => format!("{by} had the records before {} sealed", sealed.before),
        None => format!("records before {} were sealed", sealed.before),
    }
}

fn tell_opened(spec: &Resolved) -> String {
    let why = match &spec.cause {
        Cause::Alert { occurrences, .. } => {
            format!("alert {}", occurrences.first().map_or("unknown", |o| o.as_str()))
        }
        Cause::Person { by, reason } => format!("{by}: {reason}"),
    };
    format!(
        "run {} opened for {}: {} from {} to {} ({why})",
        spec.run, spec.service, spec.playbook, spec.from, spec.to
    )
}

fn tell_observed(
    name: &str,
    why: WhyObserved,
    seen: &Result<crate::domain::Observation, String>,
    plan: &StepPlan,
) -> String {
    let when = match why {
        WhyObserved::Plan => "for the plan",
        WhyObserved::Recheck => "before acting",
        WhyObserved::Classify => "in doubt",
        WhyObserved::Verify => "after acting",
    };
    if let Err(why) = seen {
        return format!("{name}: could not look ({when}): {why}");
    }
    match plan {
        StepPlan::Nothing { says, lingers: Some(lingers), .. } if lingers.waits => {
            format!("{name}: right, but not yet for everybody ({when}): {says}")
        }
        StepPlan::Nothing { says, .. } => format!("{name}: right ({when}): {says}"),
        StepPlan::Change(change) => format!("{name}: {} ({when}); wanted: {}", change.now, change.after),
        StepPlan::Refuse(why) => format!("{name}: refused ({when}): {}", join(why)),
        StepPlan::Unknown(why) => format!("{name}: not known ({when}): {}", join(why)),
    }
}

fn tell_told(what: &Told, by: &str, reason: &str, item: &dyn Fn(ItemId) -> String) -> String {
    match what {
        Told::Abort => format!("{by} aborts: {reason}"),
        Told::Pause => format!("{by} pauses: {reason}"),
        Told::Resume => format!("{by} resumes: {reason}"),
        Told::Retry(id) => format!("{by} lets {} be tried again: {reason}", item(*id)),
        Told::Skip(id) => format!("{by} skips {}: {reason}", item(*id)),
        Told::Confirm(id) => format!("{by} confirms that this is done: {} {reason}", item(*id)),
        Told::Close => format!("{by} closes the run: {reason}"),
        Told::Replan => format!("{by} has a new plan made: {reason}"),
        Told::Resolved => "every alert of this run is resolved".to_owned(),
    }
}

/// Nobody, where it ended by its time.
fn whoever(by: Option<&Actor>) -> String {
    by.map_or(String::new(), |by| format!(" by {by}"))
}

/// A step on its way back reads as such.
fn way(undo: bool, name: &str) -> String {
    if undo { format!("taking back {name}") } else { name.to_owned() }
}

fn join(why: &[Reason]) -> String {
    why.iter().map(|r| r.says.as_str()).collect::<Vec<_>>().join("; ")
}
