//! `pointsman abort`: before the commit point, stops and takes back exactly what this run changed.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct AbortArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &AbortArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::send(&args.run, Decision::new("abort", &args.reason), client, talk).await
}
