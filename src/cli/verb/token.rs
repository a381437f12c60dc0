//! `pointsman token create`: a row of the data directory; no server is needed.

use crate::cli::local;
use clap::{Args, Subcommand};
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenVerb {
    /// Print a new token, alone, on stdout; it is shown only this once
    Create(local::TokenCreateArgs),
}

pub async fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        TokenVerb::Create(args) => local::token_create(args).await,
    }
}
