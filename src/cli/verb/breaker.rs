//! `pointsman breaker reset`: a person has looked at the storm; automatic runs may open again, up to the budget.

use super::decision;
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct BreakerArgs {
    #[command(subcommand)]
    pub verb: BreakerVerb,
}

#[derive(Clone, Debug, Subcommand)]
pub enum BreakerVerb {
    /// Let automatic runs open again; what waits is looked at again first
    Reset {
        /// What was looked at; it stands on the record
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

pub async fn run(args: &BreakerArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let BreakerVerb::Reset { reason } = &args.verb;
    decision::say(&["breaker", "reset"], &json!({ "reason": reason }), client, talk).await
}
