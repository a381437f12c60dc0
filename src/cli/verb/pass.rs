//! `pointsman pass`: "not me, next". Neither yes nor no; others are asked without waiting.

use super::decision::{self, Decision};
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct PassArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &PassArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::send(&args.run, Decision::new("pass", &args.reason), client, talk).await
}
