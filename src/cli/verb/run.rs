//! `pointsman run`: the plan, the name of the service, the run, and then the same as `watch`.

use super::follow::{self, Follow};
use crate::cli::client::{Effect, read};
use crate::cli::options::{reason, span};
use crate::cli::wire::{OpenedDoc, PlanDoc};
use crate::cli::{Client, Exit, Fault, Talk, ask, view};
use crate::kernel::domain::{Digest, Span};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Name of the playbook, as `status` shows it
    #[arg(required_unless_present = "plan")]
    pub playbook: Option<String>,
    /// Exactly the plan that was shown before, by its name or the beginning of its digest; it is good for one run
    #[arg(long, conflicts_with_all = ["playbook", "digest"])]
    pub plan: Option<String>,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// The service's name, where nobody can be asked
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    /// Run only if the plan is still this one
    #[arg(long, value_parser = super::decision::digest_start)]
    pub digest: Option<String>,
    /// Leave once it is started: 8 when it waits for approval, 9 when it goes on
    #[arg(long)]
    pub no_wait: bool,
    /// Wait no longer than this, then leave with 9
    #[arg(long, value_parser = span, value_name = "TIME", conflicts_with = "no_wait")]
    pub timeout: Option<Span>,
}

const NOT_STARTED: &str = "no run was started";

pub async fn run(args: &RunArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let (_, doc) = match (&args.plan, &args.playbook) {
        (Some(plan), _) => super::plan::kept(plan, client).await?,
        (None, playbook) => {
            talk.say("observing every target for the plan ...");
            super::plan::fetch(playbook.as_deref().unwrap_or_default(), client).await?
        }
    };
    for line in view::plan::sheet(&doc, &talk.err_look.clone(), "Nothing is changed yet.") {
        talk.say(&line);
    }
    let digest = offered(&doc, args.digest.as_deref())?;
    ask::confirm(talk, doc.service.as_str(), args.confirm.as_deref(), NOT_STARTED).await?;
    let mut follow = Follow::new(args.timeout)?;
    let body = match (&args.plan, &doc.id) {
        // The server says no to one that is stale or used.
        (Some(plan), id) => json!({ "plan": id.as_ref().unwrap_or(plan), "reason": args.reason }),
        (None, _) => {
            json!({ "playbook": args.playbook, "reason": args.reason, "digest": digest.to_string() })
        }
    };
    let opened = tokio::select! {
        opened = client.post(&["runs"], &body, Effect::Writes(NOT_STARTED)) => opened?,
        () = follow.left() => {
            talk.say("Left while the run was being asked for: it is NOT known whether it was started.");
            talk.say("`pointsman status` shows it.");
            return Ok(Exit::Left);
        }
    };
    let run = read::<OpenedDoc>(&opened, "run-opened").map_err(|fault| Fault {
        exit: Exit::Unknown,
        state: "the server accepted the request: a run may have been started".into(),
        ..fault
    })?;
    talk.say(&format!("run {} is started", run.run));
    match args.no_wait {
        false => {
            let watched = follow::watch(&run.run, client, talk, follow).await;
            watched.map_err(|error| started_all_the_same(&run.run, error))
        }
        true => {
            if talk.wants_json() {
                talk.document(&opened)?;
            } else {
                talk.print(&run.run)?;
            }
            follow::settle(&run.run, client, talk, follow).await
        }
    }
}

/// Exit code 1 promises that no run was started; here one was, and only watching it failed.
fn started_all_the_same(run: &str, error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<std::io::Error>().is_some() {
        return error;
    }
    let fault = Fault::of_chain(&error);
    match fault.exit {
        Exit::NotTalked => Fault {
            exit: Exit::StillRunning,
            state: format!("run {run} is started and may go on; it cannot be watched from here"),
            remedy: format!("pointsman watch {run}"),
            ..fault
        }
        .into(),
        _ => error,
    }
}

/// The digest to run: that of the plan on the screen, which must be the one that was named.
fn offered(doc: &PlanDoc, named: Option<&str>) -> Result<Digest, Fault> {
    let Some(plan) = &doc.plan else {
        let codes: Vec<&str> = doc.blockers.iter().map(|b| b.code.as_str()).collect();
        return Err(Fault::new(
            Exit::Refused,
            "PM0011",
            format!("the plan is blocked ({})", codes.join(", ")),
        )
        .state(NOT_STARTED)
        .remedy("each reason stands under Blocked; `pointsman explain CODE` says what to do about it"));
    };
    super::decision::same_plan(plan.digest, named, NOT_STARTED)?;
    Ok(plan.digest)
}
