//! `pointsman close`: ends a parked run as it stands, and frees its locks.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct CloseArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &CloseArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::send(&args.run, Decision::new("close", &args.reason), client, talk).await
}
