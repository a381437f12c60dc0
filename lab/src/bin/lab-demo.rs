//! The demo's command line; `scripts/demo` builds and starts it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::demo::{Flags, run};

const USAGE: &str = "usage: lab-demo [--keep] [--host-lost] [--zabbix]
  --keep       leave everything running afterwards, until Ctrl-C
  --host-lost  the machine of the primary is lost too: the run asks a person instead of promoting
  --zabbix     a Zabbix watches the primary and tells of it, in place of Prometheus and Alertmanager";

/// As shells report an end by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let mut flags = Flags::default();
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--keep" => flags.keep = true,
            "--host-lost" => flags.host_lost = true,
            "--zabbix" => flags.zabbix = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("lab-demo: unknown argument {other:?}\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).map(|runtime| runtime.block_on(play(flags)));
    match ended {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Ctrl-C drops the whole stage: every server goes with it.
async fn play(flags: Flags) -> ExitCode {
    tokio::select! {
        // With --keep, Ctrl-C is the story's own end.
        biased;
        ended = run(flags) => match ended {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => fail(&error),
        },
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nlab-demo: stopped by Ctrl-C; every server of it is taken away");
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("lab-demo: {error:#}");
    ExitCode::FAILURE
}
