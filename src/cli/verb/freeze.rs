//! `pointsman freeze`: nothing begins for a while, everywhere or for one service.

use super::decision;
use crate::cli::options::{reason, span};
use crate::cli::{Client, Exit, Talk};
use crate::kernel::domain::Span;
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// Only this service; without it, everything
    #[arg(long)]
    pub service: Option<String>,
    /// Stands on the record, and in `status` for as long as it lasts
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// How long: 30m, 2h. It ends by itself
    #[arg(long = "for", value_parser = span, value_name = "TIME")]
    pub lasts: Span,
}

pub async fn run(args: &FreezeArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let lasts = format!("{}s", args.lasts.0.div_ceil(1_000_000));
    let mut body = json!({ "reason": args.reason, "for": lasts });
    if let Some(service) = &args.service {
        body["service"] = json!(service);
    }
    decision::say(&["freeze"], &body, client, talk).await
}
