//! `pointsman why`: what was decided, which condition failed, with its values; from the journal.

use crate::cli::client::read;
use crate::cli::{Client, Exit, Talk, view};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// A run, a service, or an alert: its name, its fingerprint or its occurrence
    pub of: String,
}

pub async fn run(args: &WhyArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
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
