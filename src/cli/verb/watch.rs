//! `pointsman watch`: follows a run to its end. Leaving changes nothing.

use super::follow::{self, Follow};
use crate::cli::options::span;
use crate::cli::{Client, Exit, Talk};
use crate::kernel::domain::Span;
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// Id of the run, as `status` shows it
    pub run: String,
    /// Wait no longer than this, then leave with 9
    #[arg(long, value_parser = span, value_name = "TIME")]
    pub timeout: Option<Span>,
}

pub async fn run(args: &WatchArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    follow::watch(&args.run, client, talk, Follow::new(args.timeout)?).await
}
