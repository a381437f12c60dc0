//! `pointsman skip`: leaves a stopped step out, by a person's word. The best end is then `partial`.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct SkipArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Number or name of the step, as `watch` shows it; not needed when only one is stopped
    #[arg(long)]
    pub step: Option<String>,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &SkipArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let item = decision::item(&args.run, args.step.as_deref(), client).await?;
    decision::send(&args.run, Decision::new("skip", &args.reason).item(item), client, talk).await
}
