//! `pointsman thaw`: a person has looked, and runs may start again.

use super::decision;
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct ThawArgs {
    /// What was looked at and why it is safe; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &ThawArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    decision::thaw(&args.reason, client, talk).await
}
