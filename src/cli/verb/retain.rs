//! `pointsman db retain`: records of an age go. Where a server has the data directory, it is asked; else this takes its place.

use crate::cli::client::{Effect, read};
use crate::cli::local::{in_parts, invalid, read_config};
use crate::cli::options::Global;
use crate::cli::wire::RetentionDoc;
use crate::cli::{Exit, Talk};
use crate::config::Config;
use crate::kernel::domain::Span;
use crate::store::{self, CheckpointFiles, StoreError};
use crate::units::counted;
use crate::worker::{CutError, Gone, Offline, retain_offline, retention_document};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
pub struct RetainArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    /// Records of that age go, like 400d; at least 35d
    #[arg(long, value_name = "AGE", value_parser = super::super::options::span)]
    pub older_than: Span,
    /// Say what would go and what counts still; nothing goes
    #[arg(long)]
    pub dry_run: bool,
    /// Without a server: its configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Without a server: its playbooks, whose cooldowns count
    #[arg(long, value_name = "DIR", default_value = "playbooks")]
    pub playbooks: PathBuf,
    /// Without a server: its key [default: DIR/checkpoint.key]
    #[arg(long, value_name = "FILE")]
    pub checkpoint_key: Option<PathBuf>,
    /// Without a server: its checkpoints [default: DIR/checkpoints.jsonl]
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Option<PathBuf>,
}

/// Told by name; there may be a hundred open alerts.
const SHOWN: usize = 20;

pub async fn run(args: &RetainArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<Exit> {
    if !args.data.join("pointsman.db").exists() {
        // A directory that is named by mistake must not become a journal.
        store::journal_name(&args.data).await.map_err(|e| in_parts(e.into()))?;
    }
    let config = match &args.config {
        None => Config::default(),
        Some(path) => match read_config(path)? {
            (Some(config), _, _) => config,
            (None, _, problems) => return Err(invalid(path, &problems).into()),
        },
    };
    let offline = Offline {
        data: args.data.clone(),
        config,
        playbooks: args.playbooks.clone(),
        checkpoints: CheckpointFiles { key: args.checkpoint_key.clone(), file: args.checkpoints.clone() },
        older_than: args.older_than,
        dry: args.dry_run,
    };
    let (document, note) = match retain_offline(&offline).await {
        Ok(Gone { retained, records, note }) => {
            let gone = (!args.dry_run).then_some(records);
            (retention_document(&retained.cut, retained.decided.as_ref(), args.dry_run, gone), note)
        }
        Err(error) if in_use(&error) => (ask(args, global, talk).await?, None),
        Err(error) => return Err(told(error)),
    };
    show(&document, note.as_deref(), talk)?;
    Ok(Exit::Done)
}

fn in_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(|error| error.code == store::code::IN_USE)
}

/// Errors of the store keep their parts, also inside of a cut.
fn told(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<CutError>() {
        Ok(CutError::Store(error)) => in_parts(error.into()),
        Ok(error) => in_parts(
            StoreError::new(
                store::code::RETENTION,
                error.to_string(),
                "no cut was decided by this; what was decided before stays so",
                "`pointsman db retain --dry-run` says what would go, and what counts still",
            )
            .into(),
        ),
        Err(error) => in_parts(error),
    }
}

async fn ask(args: &RetainArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<Value> {
    let journal = store::journal_name(&args.data).await.map_err(|e| in_parts(e.into()))?;
    let client = super::client(global, talk)?;
    let older_than = format!("{}s", args.older_than.0 / 1_000_000);
    let body = json!({ "older_than": older_than, "dry_run": args.dry_run, "journal": journal });
    let effect = if args.dry_run { Effect::None } else { Effect::Writes("no cut was decided") };
    Ok(client.post(&["retentions"], &body, effect).await?)
}

fn show(document: &Value, note: Option<&str>, talk: &mut Talk) -> anyhow::Result<()> {
    if talk.wants_json() {
        talk.document(document)?;
    } else {
        let doc: RetentionDoc = read(document, "retention")?;
        talk.print(&sentence(&doc))?;
        for held in doc.held.iter().take(SHOWN) {
            talk.print(&format!("  kept from {} on: {}", held.first, crate::cli::look::clean(&held.says)))?;
        }
        let more = doc.held.len().saturating_sub(SHOWN);
        if more > 0 {
            talk.print(&format!("  and {} more; -o json has all", counted(more, "reason")))?;
        }
    }
    if let Some(note) = note {
        talk.say(note);
    }
    Ok(())
}

fn sentence(doc: &RetentionDoc) -> String {
    let last = doc.before.saturating_sub(1);
    let range = format!("{} to {last}", doc.first);
    match (doc.goes, doc.record, doc.gone) {
        (_, _, _) if doc.dry_run && doc.goes == 0 => {
            format!("nothing would go; records up to {} are old enough", doc.aged)
        }
        (goes, _, _) if doc.dry_run => format!("{goes} records would go, positions {range}; nothing has"),
        (_, None, Some(gone)) if gone > 0 => {
            format!("{gone} records went that were sealed before; nothing more is to go")
        }
        (_, None, _) => format!("nothing goes; records up to {} are old enough", doc.aged),
        (_, Some(record), Some(gone)) => {
            format!("{gone} records went, up to position {last}; record {record} says so and is signed")
        }
        (goes, Some(record), None) => {
            format!(
                "{goes} records go, positions {range}: record {record} says so; the server takes them away now"
            )
        }
    }
}
