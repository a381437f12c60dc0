//! `pointsman playbook`: which there are, their text in every form, what became of them, and taking one out of use.

use super::decision;
use crate::cli::options::{reason, span};
use crate::cli::wire::{FormDoc, PastFormsDoc, PlaybooksDoc, ScorecardDoc};
use crate::cli::{Client, Exit, Fault, Talk, view};
use crate::kernel::domain::Span;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct PlaybookArgs {
    #[command(subcommand)]
    verb: PlaybookVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum PlaybookVerb {
    /// What is in force, with owner, mode, and who took it out of use
    List,
    /// The text that is in force, as it was read; or a form of the past
    Show(ShowArgs),
    /// What changed: to the form in force from the one before it; to a refused file from the form in force
    Diff(DiffArgs),
    /// Every form, when it came into force or was refused; who disabled it, and why
    History { playbook: String },
    /// Of one that only observes: what it would have done with the alerts of the last weeks, against what people did
    Scorecard(ScorecardArgs),
    /// Nothing starts it for a while. Runs that are open go on: `freeze` stops those
    Disable(DisableArgs),
    /// Back into use before its time; what waits is looked at again
    Enable(EnableArgs),
}

#[derive(Clone, Debug, Args)]
struct ShowArgs {
    playbook: String,
    /// The beginning of a digest, as `history` shows it
    #[arg(long, value_name = "DIGEST", value_parser = decision::digest_start)]
    form: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct DiffArgs {
    playbook: String,
    /// From this form, as `history` shows it
    #[arg(long, value_name = "DIGEST", value_parser = decision::digest_start)]
    from: Option<String>,
    /// To this form; without it, what is newest
    #[arg(long, value_name = "DIGEST", value_parser = decision::digest_start)]
    to: Option<String>,
    /// To a file here, that is about to be sent
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct ScorecardArgs {
    playbook: String,
    /// How far back
    #[arg(long, default_value_t = 28)]
    days: u64,
}

#[derive(Clone, Debug, Args)]
struct DisableArgs {
    playbook: String,
    /// Stands on the record, and in `status` for as long as it lasts
    #[arg(long, value_parser = reason)]
    reason: String,
    /// How long, up to 31 days: 2h, 7d. It ends by itself
    #[arg(long = "for", value_parser = span, value_name = "TIME")]
    lasts: Span,
}

#[derive(Clone, Debug, Args)]
struct EnableArgs {
    playbook: String,
    /// Stands on the record
    #[arg(long, value_parser = reason)]
    reason: String,
}

pub async fn run(args: &PlaybookArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    match &args.verb {
        PlaybookVerb::List => {
            let document = client.get(&["playbooks"], &[]).await?;
            let look = talk.look.clone();
            shown(&document, talk, || {
                let doc: PlaybooksDoc = view::playbook::read(&document, "playbooks")?;
                Ok(view::playbook::list(&doc, &look))
            })
        }
        PlaybookVerb::Show(args) => show(args, client, talk).await,
        PlaybookVerb::Diff(args) => diff(args, client, talk).await,
        PlaybookVerb::History { playbook } => {
            let document = client.get(&["playbooks", playbook, "history"], &[]).await?;
            let look = talk.look.clone();
            shown(&document, talk, || {
                let doc: PastFormsDoc = view::playbook::read(&document, "playbook-history")?;
                Ok(view::playbook::history(&doc, &look))
            })
        }
        PlaybookVerb::Scorecard(args) => {
            let query = [("days", args.days.to_string())];
            let document = client.get(&["playbooks", &args.playbook, "scorecard"], &query).await?;
            let look = talk.look.clone();
            shown(&document, talk, || {
                let doc: ScorecardDoc = view::playbook::read(&document, "scorecard")?;
                Ok(view::scorecard::screen(&doc, &look))
            })
        }
        PlaybookVerb::Disable(args) => {
            let lasts = format!("{}s", args.lasts.0.div_ceil(1_000_000));
            let body = json!({ "reason": args.reason, "for": lasts });
            decision::say(&["playbooks", &args.playbook, "disable"], &body, client, talk).await
        }
        PlaybookVerb::Enable(args) => {
            let body = json!({ "reason": args.reason });
            decision::say(&["playbooks", &args.playbook, "enable"], &body, client, talk).await
        }
    }
}

fn shown(
    document: &Value,
    talk: &mut Talk,
    lines: impl FnOnce() -> Result<Vec<String>, Fault>,
) -> anyhow::Result<Exit> {
    if talk.wants_json() {
        talk.document(document)?;
        return Ok(Exit::Done);
    }
    for line in lines()? {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}

/// The text alone is data: it can be sent into a file.
async fn show(args: &ShowArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let (document, doc) = fetch(client, &args.playbook, args.form.as_deref()).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    for line in view::playbook::head(&doc, &talk.err_look.clone()) {
        talk.say(&line);
    }
    talk.write_raw(
        &view::playbook::text(&document).iter().map(|line| format!("{line}\n")).collect::<String>(),
    )?;
    Ok(Exit::Done)
}

async fn fetch(client: &Client, playbook: &str, form: Option<&str>) -> Result<(Value, FormDoc), Fault> {
    let query: Vec<(&str, String)> = form.iter().map(|form| ("form", (*form).to_owned())).collect();
    let document = client.get(&["playbooks", playbook], &query).await?;
    let doc = view::playbook::read(&document, "playbook")?;
    Ok((document, doc))
}

/// Leaves with 20 where there is a difference, as `plan --detailed-exitcode` does: a script may ask.
async fn diff(args: &DiffArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let (now, doc) = fetch(client, &args.playbook, None).await?;
    let past: PastFormsDoc = view::playbook::read(
        &client.get(&["playbooks", &args.playbook, "history"], &[]).await?,
        "playbook-history",
    )?;
    let (from, to) =
        view::playbook::between(&doc, &past, (args.from.as_deref(), args.to.as_deref()), args.file.is_some());
    let Some(from) = from else {
        talk.say(&format!("playbook {} has had one form only", doc.name));
        return Ok(Exit::Done);
    };
    let old = match from == doc.form {
        true => now.clone(),
        false => fetch(client, &args.playbook, Some(&from)).await?.0,
    };
    let (name, new) = match &args.file {
        Some(path) => {
            let text = crate::document::read_file(path).map_err(|e| {
                Fault::new(Exit::Invalid, "PM1200", format!("{} cannot be read: {e}", path.display()))
            })?;
            (path.display().to_string(), text.lines().map(str::to_owned).collect())
        }
        None => {
            let document = fetch(client, &args.playbook, Some(&to)).await?.0;
            (to.clone(), view::playbook::text(&document))
        }
    };
    let lines = view::playbook::diff((&from, &view::playbook::text(&old)), (&name, &new));
    if talk.wants_json() {
        talk.document(
            &json!({ "schema": "pointsman.playbook-diff/v1", "playbook": args.playbook, "from": from,
            "to": name, "lines": lines }),
        )?;
    } else {
        for line in &lines {
            talk.print(&view::playbook::painted(line, &talk.look.clone()))?;
        }
    }
    Ok(if lines.is_empty() { Exit::Done } else { Exit::HasChanges })
}
