//! `pointsman close-watch`: a person has dealt with an old primary, and its fence watch ends.

use super::decision;
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct CloseWatchArgs {
    /// Name of the old primary's target, as `status` shows it
    pub target: String,
    /// What was done with it; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &CloseWatchArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::close_watch(&args.target, &args.reason, client, talk).await
}
