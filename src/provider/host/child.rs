//! A bounded child process on this machine. It is killed when its time is over, or its caller goes away.

use super::pipes::{Pipes, TAIL, carry};
use super::port::Tail;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

pub enum Ended {
    NotStarted(String),
    /// Not ended in time; it was killed.
    Late,
    Exit {
        status: ExitStatus,
        tail: Tail,
    },
}

pub async fn run(mut command: Command, within: Duration) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Ended::NotStarted(e.to_string()),
    };
    let pipes = Pipes { stdin: None::<ChildStdin>, stdout: child.stdout.take(), stderr: child.stderr.take() };
    match carry(child.wait(), pipes, None, TAIL, within).await {
        Some((Ok(status), _, tail)) => Ended::Exit { status, tail },
        Some((Err(_), ..)) | None => {
            let _ = child.start_kill();
            let _ = timeout(Duration::from_secs(1), child.wait()).await;
            Ended::Late
        }
    }
}
