//! `pointsman override`: one rule does not bind one service for a while, by a person's word.

use super::decision;
use crate::cli::options::{reason, span};
use crate::cli::{Client, Exit, Talk};
use crate::kernel::domain::{Rule, Span};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct OverrideArgs {
    /// never_empty_rrset, min_live_targets or changes_per_hour
    #[arg(value_parser = rule)]
    pub rule: Rule,
    /// The service that it shall not bind
    #[arg(long)]
    pub service: String,
    /// Stands on the record, in the plan, and in `status` for as long as it lasts
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// How long, up to 1h: 15m. It ends by itself
    #[arg(long = "for", value_parser = span, value_name = "TIME", required_unless_present = "end")]
    pub lasts: Option<Span>,
    /// It binds again, from now on
    #[arg(long, conflicts_with = "lasts")]
    pub end: bool,
}

fn rule(text: &str) -> Result<Rule, String> {
    let all: Vec<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    Rule::parse(text).ok_or_else(|| format!("there is no rule {text:?}; there are: {}", all.join(", ")))
}

pub async fn run(args: &OverrideArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let mut body = json!({ "rule": args.rule, "service": args.service, "reason": args.reason });
    match args.lasts {
        Some(lasts) => {
            body["for"] = json!(format!("{}s", lasts.0.div_ceil(1_000_000)));
            decision::say(&["overrides"], &body, client, talk).await
        }
        None => decision::say(&["overrides", "end"], &body, client, talk).await,
    }
}
