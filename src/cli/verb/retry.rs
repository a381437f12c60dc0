//! `pointsman retry`: looks again at a parked step, and goes on from what is seen. Never applies blindly.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Number or name of the step, as `watch` shows it; not needed when only one is parked
    #[arg(long)]
    pub step: Option<String>,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &RetryArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let item = decision::item(&args.run, args.step.as_deref(), client).await?;
    decision::send(&args.run, Decision::new("retry", &args.reason).item(item), client, talk).await
}
