//! `pointsman confirm`: a person says that a manual step was done.

use super::decision::{self, Decision};
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct ConfirmArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Number or name of the step, as `watch` shows it; not needed when only one waits
    #[arg(long)]
    pub step: Option<String>,
    /// What was done; it stands on the record
    #[arg(long, default_value = "")]
    pub reason: String,
}

pub async fn run(args: &ConfirmArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let item = decision::item(&args.run, args.step.as_deref(), client).await?;
    decision::send(&args.run, Decision::new("confirm", &args.reason).item(item), client, talk).await
}
