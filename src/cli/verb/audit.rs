//! `pointsman audit`: the record, listed, followed, or one of its records in full. `audit verify` is in
//! `cli::verify`.

use crate::audit::parse;
use crate::cli::client::{read, typed};
use crate::cli::options::{Global, Output};
use crate::cli::wire::{AuditDoc, RecordDoc};
use crate::cli::{Client, Exit, Fault, Talk, verify, view};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
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
    /// The evidence of one run in one file that `audit verify --bundle` checks anywhere
    Export {
        #[arg(long, value_name = "ID")]
        run: String,
        /// A file that does not exist yet [default: pointsman-ID.bundle.json]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Check every hash and every cached row, offline; leaves with 22 when something does not verify
    Verify(verify::AuditVerifyArgs),
}

#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// What to show, in quotes: 'playbook:shop* since:3h -action:observed result:rejected "free text"'
    ///
    /// Words: playbook run service actor via action object target result source since until seq. Words of one name are
    /// alternatives, different names must all hold, - excludes, * stands for anything, quotes keep spaces.
    #[arg(allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// The same as run:ID in the filter
    #[arg(long)]
    pub run: Option<String>,
    /// The same as action:KIND in the filter: opened, planned, decided, intended, finished, not_started, ...
    #[arg(long)]
    pub kind: Option<String>,
    /// Oldest first, from this position on; without it the newest are shown
    #[arg(long, value_name = "POSITION", alias = "since", conflicts_with = "before")]
    pub from: Option<u64>,
    /// The newest before this position
    #[arg(long, value_name = "POSITION")]
    pub before: Option<u64>,
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Go on with records as they are written
    #[arg(long, conflicts_with = "before")]
    pub follow: bool,
}

impl ListArgs {
    /// None: all records.
    fn filter(&self) -> Option<String> {
        let of = |word: &str, value: &Option<String>| value.as_ref().map(|v| format!("{word}:{v}"));
        let parts = [self.filter.clone(), of("run", &self.run), of("action", &self.kind)];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|p| !p.trim().is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// How to go on from a position, ready to paste.
    fn again(&self, flag: &str, position: u64) -> String {
        let filter = self.filter().map_or(String::new(), |f| format!(" '{}'", f.replace('\'', "'\\''")));
        format!("pointsman audit{filter} {flag} {position}")
    }
}

/// How often somebody who waits for a first record is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// How long contact is sought again before following gives up.
const LOST_FOR_GOOD: Duration = Duration::from_secs(300);

pub async fn run(args: &AuditArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    let list = match &args.verb {
        Some(AuditVerb::Verify(args)) => return verify::audit_verify(args, global.output).await,
        Some(AuditVerb::Show { position }) => {
            return Ok(show(*position, &super::client(global, talk)?, talk).await?.into());
        }
        Some(AuditVerb::Export { run, to }) => {
            return Ok(export(run, to.as_deref(), &super::client(global, talk)?, talk).await?.into());
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

async fn export(run: &str, to: Option<&Path>, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let run = run.to_uppercase();
    let bundle = client.get(&["runs", &run, "bundle"], &[]).await?;
    let path = to.map_or_else(|| PathBuf::from(format!("pointsman-{run}.bundle.json")), Path::to_owned);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&serde_json::to_vec(&bundle)?)?;
        file.sync_all()
    };
    write().map_err(|e| {
        Fault::new(Exit::NotTalked, "PM0001", format!("{} cannot be written: {e}", path.display()))
            .state("nothing was changed at the server")
            .remedy("name a file that does not exist yet with --to")
    })?;
    let count = bundle["bodies"].as_object().map_or(0, serde_json::Map::len);
    match talk.wants_json() {
        true => talk.document(
            &json!({ "schema": "pointsman.exported/v1", "run": run, "file": path, "records": count }),
        )?,
        false => talk.print(&format!(
            "{} has {count} records of run {run}; `pointsman audit verify --bundle` checks it",
            path.display()
        ))?,
    }
    Ok(Exit::Done)
}

async fn records(args: &ListArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let filter = args.filter();
    if let Some(text) = &filter {
        // The server reads it again; a mistake is told here even when the server is older.
        parse(text).map_err(|e| {
            Fault::new(Exit::Usage, "PM2701", e.says)
                .state("nothing was asked")
                .remedy("`pointsman audit --help` has the words; put the whole filter in quotes")
        })?;
    }
    let (document, page) = first_page(args, filter.as_ref(), client, talk).await?;
    match talk.output {
        Some(Output::Json) if !args.follow => talk.document(&document)?,
        Some(Output::Json | Output::Jsonl) => {
            for record in document["records"].as_array().into_iter().flatten() {
                one_json(record, talk)?;
            }
        }
        Some(Output::Csv) => {
            talk.print(&view::csv::head())?;
            for record in &page.records {
                talk.print(&view::csv::row(record))?;
            }
        }
        Some(Output::Table | Output::Md | Output::Html | Output::Github) | None => {
            for line in view::audit::rows(&page.records, &talk.look, true) {
                talk.print(&line)?;
            }
        }
    }
    if let Some(first) = page.begins {
        talk.say(&format!("records before position {first} were sealed away"));
    }
    if args.follow {
        let last = page.records.last().map(|r| r.position).or(args.from).unwrap_or(0);
        let last = page.follow.unwrap_or(last);
        return follow(args, filter.as_deref(), last, client, talk).await;
    }
    if let Some(next) = page.next {
        let says =
            if page.partial { "records from there on were not looked at yet" } else { "there is more" };
        talk.say(&format!("{says}: {}", args.again("--from", next)));
    }
    if let Some(previous) = page.previous {
        let says = if page.partial { "older records were not looked at yet" } else { "there are older ones" };
        talk.say(&format!("{says}: {}", args.again("--before", previous)));
    }
    Ok(Exit::Done)
}

/// The first page with a record in it: where a server has looked for as long as it does and found none, it is asked to go on.
async fn first_page(
    args: &ListArgs,
    filter: Option<&String>,
    client: &Client,
    talk: &mut Talk,
) -> anyhow::Result<(Value, AuditDoc)> {
    // Plain reading in order needs no index.
    let search = filter.cloned().or_else(|| args.from.is_none().then(String::new));
    let (mut from, mut before) = (args.from, args.before);
    let (mut told, mut follow) = (Instant::now(), None);
    loop {
        let named = [
            ("q", search.clone()),
            ("from", from.map(|n| n.to_string())),
            ("before", before.map(|n| n.to_string())),
            ("limit", args.limit.map(|n| n.to_string())),
        ];
        let query: Vec<(&str, String)> = named.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        let document = client.get(&["audit"], &query).await?;
        let mut page: AuditDoc = read(&document, "audit")?;
        // What was written since the first question was asked is newer than any older page.
        if args.from.is_none() {
            page.follow = *follow.get_or_insert(page.follow);
        }
        let further = (page.next, page.previous);
        let gets_on = further != (None, None) && further != (from, before);
        if !(page.partial && page.records.is_empty() && gets_on) {
            return Ok((document, page));
        }
        (from, before) = further;
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let at = from.or(before).unwrap_or(0);
            talk.say(&format!("nothing yet, at position {at}"));
        }
    }
}

/// From `last` on, without a gap and without a repeat: the position says where to go on after a break.
async fn follow(
    args: &ListArgs,
    filter: Option<&str>,
    mut last: u64,
    client: &Client,
    talk: &mut Talk,
) -> anyhow::Result<Exit> {
    let mut heard = Instant::now();
    loop {
        let fault: Fault = match client.events(last, filter).await {
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
                    match talk.output {
                        Some(Output::Json | Output::Jsonl) => one_json(&event, talk)?,
                        Some(Output::Csv) => talk.print(&view::csv::row(&found))?,
                        Some(Output::Table | Output::Md | Output::Html | Output::Github) | None => {
                            talk.print(&view::audit::row(&found, &talk.look))?
                        }
                    }
                };
                Fault::new(Exit::NotTalked, "PM0003", format!("following the record broke off: {why}"))
                    .state(format!("records up to {last} were shown"))
                    .remedy(format!("{} --follow", args.again("--from", last + 1)))
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
