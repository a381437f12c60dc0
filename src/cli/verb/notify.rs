//! `pointsman notify test CHANNEL`: whether a channel works is found out before the night that needs it. The server sends,
//! since its network and its credentials are what counts.

use crate::cli::client::Effect;
use crate::cli::look::clean;
use crate::cli::{Client, Exit, Talk};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct NotifyArgs {
    #[command(subcommand)]
    verb: NotifyVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum NotifyVerb {
    /// Send a test notice through a channel now; a pager is raised and let go
    Test {
        /// As the configuration names it: [channel.NAME]
        channel: String,
    },
}

pub async fn run(args: &NotifyArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let NotifyVerb::Test { channel } = &args.verb;
    let nothing = "a test notice may have been sent; nothing else was done";
    let document = client.post(&["channels", channel, "test"], &json!({}), Effect::Writes(nothing)).await?;
    if talk.wants_json() {
        talk.document(&document)?;
    } else {
        talk.print(&clean(document["says"].as_str().unwrap_or("the channel took the test notice")))?;
    }
    Ok(Exit::Done)
}
