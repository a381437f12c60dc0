//! One command on a machine, as a session in its connection. How far it came is told apart: never started, ended
//! with an exit code, or lost on the way.

use super::connection::{Connections, NoConnection};
use super::pipes::{Pipes, carry};
use super::port::{Host, Ran, Tail};
use openssh_mux_client::{Connection, Error, EstablishedSession, NonZeroByteSlice, Session, SessionStatus};
use std::borrow::Cow;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;
use tokio::net::unix::pipe::{Receiver, Sender, pipe};
use tokio::time::{Instant, timeout_at};

/// How long a machine that has just answered may take to open a session.
const OPEN: Duration = Duration::from_secs(3);

pub enum Called {
    /// `stdout`: none where its end did not arrive.
    Exit {
        code: i32,
        stdout: Option<Vec<u8>>,
        tail: Tail,
    },
    NotStarted {
        layer: &'static str,
        says: String,
    },
    Unknown {
        says: String,
    },
}

impl From<Called> for Ran {
    fn from(called: Called) -> Ran {
        match called {
            Called::Exit { code, tail, .. } => Ran::Exit { code, tail },
            Called::NotStarted { layer, says } => Ran::NotStarted { layer, says },
            Called::Unknown { says } => Ran::Unknown { says },
        }
    }
}

impl From<NoConnection> for Called {
    fn from(none: NoConnection) -> Called {
        Called::NotStarted { layer: none.layer, says: none.says }
    }
}

/// `keep`: how much of the output to keep.
pub async fn call(
    connections: &Connections,
    host: &Host,
    line: &str,
    input: Option<&str>,
    keep: usize,
    within: Duration,
) -> Called {
    let until = Instant::now() + within;
    let (master, way_in) = match connections.to(host, until).await {
        Ok(found) => found,
        Err(none) => return none.into(),
    };
    let opened = match timeout_at(until.min(Instant::now() + OPEN), open(way_in, line)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(called)) => {
            master.answered(false);
            return called;
        }
        Err(_) => {
            master.answered(false);
            return Called::Unknown { says: format!("the machine did not answer within {OPEN:?}") };
        }
    };
    let (session, pipes) = opened;
    let left = until.saturating_duration_since(Instant::now());
    let Some((ended, stdout, tail)) = carry(session.wait(), pipes, input, keep, left).await else {
        master.answered(false);
        let says = format!("no end within {within:?}; we left, the command may go on");
        return Called::Unknown { says };
    };
    let called = match ended {
        Ok(SessionStatus::Exited { exit_value: Some(code) }) => {
            Called::Exit { code: i32::try_from(code).unwrap_or(i32::MAX), stdout, tail }
        }
        Ok(SessionStatus::Exited { exit_value: None } | SessionStatus::TtyAllocFail(_)) => {
            Called::Unknown { says: "the connection was lost, or a signal ended the command".into() }
        }
        Err((e, _)) => Called::Unknown { says: format!("the connection was lost: {e}") },
    };
    master.answered(matches!(called, Called::Exit { .. }));
    called
}

type Opened = (EstablishedSession, Pipes<Sender, Receiver>);

/// Only the master's own refusal proves that the command was not sent.
async fn open(way_in: Connection, line: &str) -> Result<Opened, Called> {
    let local = |e: std::io::Error| Called::NotStarted { layer: "local", says: format!("no pipe: {e}") };
    let (stdin, theirs_in) = pipe().map_err(local)?;
    let (theirs_out, stdout) = pipe().map_err(local)?;
    let (theirs_err, stderr) = pipe().map_err(local)?;
    let theirs: [OwnedFd; 3] = [
        theirs_in.into_blocking_fd().map_err(local)?,
        theirs_out.into_blocking_fd().map_err(local)?,
        theirs_err.into_blocking_fd().map_err(local)?,
    ];
    let fds = [theirs[0].as_raw_fd(), theirs[1].as_raw_fd(), theirs[2].as_raw_fd()];
    let Some(command) = NonZeroByteSlice::new(line.as_bytes()) else {
        let says = "the command holds a null byte".into();
        return Err(Called::NotStarted { layer: "configuration", says });
    };
    let session = Session::builder().cmd(Cow::Borrowed(command)).build();
    match way_in.open_new_session(&session, &fds).await {
        Ok(session) => {
            Ok((session, Pipes { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr) }))
        }
        Err(Error::RequestFailure(says) | Error::PermissionDenied(says)) => {
            Err(Called::NotStarted { layer: "ssh", says: format!("no session: {says}") })
        }
        Err(e) => Err(Called::Unknown { says: format!("the connection was lost: {e}") }),
    }
}
