//! A machine of the lab, seen from inside: its supervisor, its forced SSH command, its application, and the
//! janitor that cleans up after a harness that was killed. Started by the harness and by sshd, never by a
//! person.

#![forbid(unsafe_code)]

mod app;
mod app_db;
mod disk;
mod forced;
mod forced_files;
mod janitor;
mod supervise;
mod unit;

use std::process::ExitCode;

use anyhow::bail;
use lab::host_config::HostDir;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match start(&args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("lab-host: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &[String]) -> anyhow::Result<ExitCode> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["supervise", dir] => supervise::run(HostDir::new(*dir)),
        ["forced", dir] => forced::run(&HostDir::new(*dir)),
        ["janitor", dir] => janitor::run(dir.as_ref()),
        ["app", rest @ ..] => app::run(rest),
        _ => bail!(
            "usage: lab-host supervise DIR | forced DIR | janitor DIR | app --env FILE --listen ADDR --site S --log FILE"
        ),
    }
}
