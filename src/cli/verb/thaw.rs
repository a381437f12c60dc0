//! `pointsman thaw`: a person has looked, and runs may go on.

use super::decision;
use crate::cli::options::reason;
use crate::cli::{Client, Exit, Talk};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct ThawArgs {
    /// The freeze of this service; without it, the one of everything
    #[arg(long)]
    pub service: Option<String>,
    /// What was looked at and why it is safe; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

pub async fn run(args: &ThawArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let mut body = json!({ "reason": args.reason });
    if let Some(service) = &args.service {
        body["service"] = json!(service);
    }
    decision::say(&["thaw"], &body, client, talk).await
}
