//! `pointsman resume --data NEWDIR --from-bundle FILE`: the disk of the server is dead in the middle of a run.

use crate::audit;
use crate::cli::local::in_parts;
use crate::cli::{Exit, Talk};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
pub struct ResumeArgs {
    /// The new data directory; it must not exist yet, or be empty
    #[arg(long, value_name = "NEWDIR")]
    pub data: PathBuf,
    /// What `pointsman audit export --run ID` has written
    #[arg(long, value_name = "FILE")]
    pub from_bundle: PathBuf,
    /// Public key of the old server's checkpoints (PEM), kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

pub async fn run(args: &ResumeArgs, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    let run = audit::resume(&args.data, &args.from_bundle, args.key.as_deref())
        .await
        .map_err(|e| in_parts(e.into()))?;
    let summary = run.summary();
    if talk.wants_json() {
        talk.document(
            &json!({ "schema": "pointsman.resumed/v1", "run": run.id(), "service": summary.service,
            "state": summary.state, "says": summary.says, "frozen": true }),
        )?;
        return Ok(Exit::Done.into());
    }
    talk.print(&format!(
        "run {} of {} is in {}: {}",
        run.id(),
        summary.service,
        args.data.display(),
        summary.says
    ))?;
    talk.print("It is FROZEN: what was done after the bundle was made is not known here.")?;
    talk.print("1. Make sure that the old server is stopped and stays stopped.")?;
    talk.print(&format!(
        "2. pointsman serve --data {} with the same configuration and playbooks",
        args.data.display()
    ))?;
    talk.print(&format!(
        "3. Compare the targets with `pointsman audit 'run:{}'`, then `pointsman thaw --reason ...`",
        run.id()
    ))?;
    Ok(Exit::Done.into())
}
