//! The command line: reads arguments, talks to the server through HTTP, and says what it saw. Called by
//! `main`.
//!
//! stdout is data, stderr is talk. One file per verb in `verb`; what a verb shows is made in `view` from
//! the documents in `wire`, so that it can be tested without a server. Verbs that need the store are in
//! `local`.

mod ask;
mod client;
mod clock;
mod events;
mod exit;
mod fault;
pub mod local;
mod look;
mod options;
mod screen;
mod table;
mod talk;
mod verb;
mod verify;
mod view;
mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use exit::Exit;
pub use fault::Fault;
pub use look::Look;
pub use options::{Cli, Output};
pub use talk::Talk;

use std::process::ExitCode;

/// Runs the verb, prints what went wrong, and gives the documented exit code.
pub async fn main(cli: Cli) -> ExitCode {
    let mut talk = Talk::of_process(&cli.global);
    execute(cli, &mut talk).await
}

async fn execute(cli: Cli, talk: &mut Talk) -> ExitCode {
    let output = cli.global.output;
    match verb::run(cli, talk).await {
        Ok(code) => code,
        // Whoever read our output has left; nothing at the server depends on that.
        Err(error) if is_broken_pipe(&error) => Exit::Left.into(),
        Err(error) => {
            let fault = Fault::of_chain(&error);
            match output {
                Some(Output::Json | Output::Jsonl) => talk.say(&fault.as_json().to_string()),
                Some(Output::Table | Output::Csv | Output::Md | Output::Html | Output::Github) | None => {
                    talk.say(fault.as_text().trim_end())
                }
            }
            fault.exit.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
