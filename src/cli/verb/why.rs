//! `pointsman why`: what was decided, which condition failed, with its values; from the journal.

use crate::cli::client::{Effect, read};
use crate::cli::{Client, Exit, Talk, view};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// A run, a service, or an alert: its name, its fingerprint or its occurrence
    pub of: String,
    /// For an alert: what today's playbooks would do with it; looks at the targets, changes and records nothing
    #[arg(long)]
    pub replay: bool,
}

pub async fn run(args: &WhyArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    if args.replay {
        return replay(args, client, talk).await;
    }
    let document = client.get(&["why"], &[("of", args.of.clone())]).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    for line in view::why::screen(&read(&document, "why")?, &talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}

/// The stored alert against today's playbooks, as a dry run.
async fn replay(args: &WhyArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = client.post(&["replays"], &json!({ "of": args.of }), Effect::None).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    for line in view::why::replay(&read(&document, "replay")?, &talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}
