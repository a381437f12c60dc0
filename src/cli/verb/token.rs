//! `pointsman token create|list|revoke`: rows of the data directory; no server is needed.

use crate::cli::{Output, local};
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
    /// Names and roles; never the tokens
    List(local::TokenListArgs),
    Revoke(local::TokenRevokeArgs),
}

pub async fn run(args: &TokenArgs, output: Option<Output>) -> anyhow::Result<ExitCode> {
    match &args.verb {
        TokenVerb::Create(args) => local::token_create(args).await,
        TokenVerb::List(args) => local::token_list(args, output).await,
        TokenVerb::Revoke(args) => local::token_revoke(args).await,
    }
}
