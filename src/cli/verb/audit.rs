//! `pointsman audit`: the record, listed, followed, or one of its records in full. `audit verify` is in
//! `local`.

use crate::cli::client::{read, typed};
use crate::cli::options::{Global, Output};
use crate::cli::wire::{AuditDoc, RecordDoc};
use crate::cli::{Client, Exit, Fault, Talk, local, view};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub verb: Option<AuditVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Clone, Debug, Subcommand)]
pub enum AuditVerb {
    /// Records, newest last (this is what `audit` alone does)
    List(ListArgs),
    /// One record in full
    Show {
        /// Its position in the journal
        position: u64,
    },
    /// Check every hash and every cached row, offline; leaves with 22 when something does not verify
    Verify(local::AuditVerifyArgs),
}

#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    #[arg(long)]
    pub run: Option<String>,
    /// Kind of record: opened, planned, decided, intended, finished, not_started, ...
    #[arg(long)]
    pub kind: Option<String>,
    /// From this position on
    #[arg(long, value_name = "POSITION")]
    pub since: Option<u64>,
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Go on with records as they are written
    #[arg(long)]
    pub follow: bool,
}

/// How long contact is sought again before following gives up.
const LOST_FOR_GOOD: Duration = Duration::from_secs(300);

pub async fn run(args: &AuditArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    let list = match &args.verb {
        Some(AuditVerb::Verify(args)) => return local::audit_verify(args, global.output).await,
        Some(AuditVerb::Show { position }) => {
            return Ok(show(*position, &super::client(global, talk)?, talk).await?.into());
        }
        Some(AuditVerb::List(list)) => list,
        None => &args.list,
    };
    Ok(records(list, &super::client(global, talk)?, talk).await?.into())
}

async fn show(position: u64, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = client.get(&["audit", &position.to_string()], &[]).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    for line in view::audit::whole(&record(&document)?, &talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}

async fn records(args: &ListArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let named = [
        ("run", args.run.clone()),
        ("kind", args.kind.clone()),
        ("from", args.since.map(|n| n.to_string())),
        ("limit", args.limit.map(|n| n.to_string())),
    ];
    let query: Vec<(&str, String)> = named.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
    let document = client.get(&["audit"], &query).await?;
    let page: AuditDoc = read(&document, "audit")?;
    match talk.output {
        Some(Output::Json) if !args.follow => talk.document(&document)?,
        Some(Output::Json | Output::Jsonl) => {
            for record in document["records"].as_array().into_iter().flatten() {
                one_json(record, talk)?;
            }
        }
        Some(Output::Table | Output::Github) | None => {
            for line in view::audit::rows(&page.records, &talk.look, true) {
                talk.print(&line)?;
            }
        }
    }
    if args.follow {
        let last = page.records.last().map(|r| r.position).or(args.since).unwrap_or(0);
        return follow(args, last, client, talk).await;
    }
    if let Some(next) = page.next {
        talk.say(&format!("there is more: --since {next}"));
    }
    Ok(Exit::Done)
}

/// From `last` on, without a gap and without a repeat: the position says where to go on after a break.
async fn follow(args: &ListArgs, mut last: u64, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let stream = args.run.as_ref().map(|run| format!("run:{run}"));
    let mut heard = Instant::now();
    loop {
        let fault: Fault = match client.events(last).await {
            Ok(mut events) => {
                let why = loop {
                    let event = match events.next().await {
                        Ok(event) => event,
                        Err(why) => break why,
                    };
                    heard = Instant::now();
                    let found = record(&event)?;
                    if found.position <= last {
                        continue;
                    }
                    last = found.position;
                    let wanted = stream.as_ref().is_none_or(|s| *s == found.stream)
                        && args.kind.as_ref().is_none_or(|k| *k == found.kind);
                    match wanted {
                        true if talk.wants_json() => one_json(&event, talk)?,
                        true => talk.print(&view::audit::row(&found, &talk.look))?,
                        false => {}
                    }
                };
                Fault::new(Exit::NotTalked, "PM0003", format!("following the record broke off: {why}"))
                    .state(format!("records up to {last} were shown"))
                    .remedy(format!("pointsman audit --follow --since {last}"))
            }
            Err(fault) if fault.exit == Exit::NotTalked => fault,
            Err(fault) => return Err(fault.into()),
        };
        if heard.elapsed() > LOST_FOR_GOOD {
            return Err(fault.into());
        }
        talk.say(&format!("{}; going on after record {last}", fault.failed));
        sleep(Duration::from_secs(1)).await;
    }
}

fn record(document: &Value) -> Result<RecordDoc, Fault> {
    typed(document).map_err(|e| {
        Fault::new(Exit::NotTalked, "PM0005", format!("a record cannot be understood: {e}"))
            .state("it stands in the journal; only showing it failed")
            .remedy("-o json shows it as it is")
    })
}

fn one_json(record: &Value, talk: &mut Talk) -> anyhow::Result<()> {
    let mut record = record.clone();
    record["schema"] = json!("pointsman.record/v1");
    let output = talk.output.replace(Output::Jsonl);
    let written = talk.document(&record);
    talk.output = output;
    written
}
