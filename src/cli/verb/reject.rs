//! `pointsman reject`: no to the plan that is offered, for every alert that is open now.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct RejectArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &RejectArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::send(&args.run, Decision::new("reject", &args.reason), client, talk).await
}
