//! One file per verb; here only which one it is. Called by `cli::main`.

pub mod abort;
pub mod ack;
pub mod approve;
pub mod audit;
pub mod breaker;
pub mod check;
pub mod close;
pub mod close_watch;
pub mod confirm;
pub mod db;
mod decision;
pub mod explain;
pub(super) mod follow;
pub mod freeze;
pub mod init;
pub mod lift;
pub mod match_alert;
pub mod notify;
pub mod pass;
pub mod plan;
pub mod playbook;
pub mod ready;
pub mod reject;
pub mod report;
pub mod resume;
mod retain;
pub mod retry;
pub mod run;
pub mod schema;
pub mod skip;
pub mod status;
pub mod test;
pub mod thaw;
pub mod token;
mod version;
pub mod watch;
pub mod why;

use super::options::{Cli, Command, Global, Output};
use super::{Client, Exit, Fault, Talk, local};
use crate::kernel::domain::Secret;
use std::process::ExitCode;

pub async fn run(cli: Cli, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    let output = global.output;
    let fits = match output {
        Some(Output::Csv) => matches!(cli.command, Command::Audit(_)),
        Some(Output::Html) => matches!(cli.command, Command::Report(_)),
        Some(Output::Md) => matches!(cli.command, Command::Report(_) | Command::Plan(_)),
        Some(Output::Github) => matches!(cli.command, Command::Check(_)),
        Some(Output::Table | Output::Json | Output::Jsonl) | None => true,
    };
    if !fits {
        return Err(Fault::new(Exit::Usage, "PM0002", "this verb does not print in that format")
            .state("nothing was done")
            .remedy(
                "-o table, json or jsonl; csv is for `audit`, md for `plan` and `report`, html for `report`, github for `check`",
            )
            .into());
    }
    let exit = match &cli.command {
        Command::Serve(args) => return local::serve(args).await,
        Command::Token(args) => return token::run(args, talk).await,
        Command::Audit(args) => return audit::run(args, global, talk).await,
        Command::Check(args) => check::run(args, talk)?,
        Command::Init(args) => init::run(args, talk)?,
        Command::Schema(args) => schema::run(args, talk)?,
        Command::Match(args) => match_alert::run(args, global, talk).await?,
        Command::Test(args) => test::run(args, talk)?,
        Command::Resume(args) => return resume::run(args, talk).await,
        Command::Db(args) => return db::run(args, global, talk).await,
        Command::Report(args) => report::run(args, &client(global, talk)?, talk).await?,
        Command::Explain(args) => explain::run(args, talk)?,
        Command::Version => version::run(talk)?,
        Command::Status => status::run(&client(global, talk)?, talk).await?,
        Command::Ready(args) => ready::run(args, &client(global, talk)?, talk).await?,
        Command::Plan(args) => plan::run(args, &client(global, talk)?, talk).await?,
        Command::Run(args) => run::run(args, &client(global, talk)?, talk).await?,
        Command::Watch(args) => watch::run(args, &client(global, talk)?, talk).await?,
        Command::Approve(args) => approve::run(args, &client(global, talk)?, talk).await?,
        Command::Pass(args) => pass::run(args, &client(global, talk)?, talk).await?,
        Command::Reject(args) => reject::run(args, &client(global, talk)?, talk).await?,
        Command::Confirm(args) => confirm::run(args, &client(global, talk)?, talk).await?,
        Command::Retry(args) => retry::run(args, &client(global, talk)?, talk).await?,
        Command::Skip(args) => skip::run(args, &client(global, talk)?, talk).await?,
        Command::Abort(args) => abort::run(args, &client(global, talk)?, talk).await?,
        Command::Close(args) => close::run(args, &client(global, talk)?, talk).await?,
        Command::CloseWatch(args) => close_watch::run(args, &client(global, talk)?, talk).await?,
        Command::Freeze(args) => freeze::run(args, &client(global, talk)?, talk).await?,
        Command::Thaw(args) => thaw::run(args, &client(global, talk)?, talk).await?,
        Command::Override(args) => lift::run(args, &client(global, talk)?, talk).await?,
        Command::Ack(args) => ack::run(args, &client(global, talk)?, talk).await?,
        Command::Breaker(args) => breaker::run(args, &client(global, talk)?, talk).await?,
        Command::Playbook(args) => playbook::run(args, &client(global, talk)?, talk).await?,
        Command::Notify(args) => notify::run(args, &client(global, talk)?, talk).await?,
        Command::Why(args) => why::run(args, &client(global, talk)?, talk).await?,
    };
    Ok(exit.into())
}

fn client(global: &Global, talk: &mut Talk) -> Result<Client, Fault> {
    let token = crate::config::env("POINTSMAN_TOKEN").filter(|token| !token.trim().is_empty());
    let client =
        Client::new(&global.server, token.map(|token| Secret::new(token.trim())), global.person.as_deref())?;
    if client.is_exposed() {
        talk.say("warning: the token goes to another machine without encryption; use https");
    }
    Ok(client)
}
