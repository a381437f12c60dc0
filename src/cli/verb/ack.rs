//! `pointsman ack`: a person has seen what the last automatic run did; the next one may come after its cooldown.

use super::decision;
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct AckArgs {
    pub service: String,
    /// What was looked at; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &AckArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let path = ["services", &args.service, "ack"];
    decision::say(&path, &json!({ "reason": args.reason }), client, talk).await
}
