//! Following a run to its end, for `watch` and `run`: polls its document, draws it, and leaves with what it
//! says. Losing the server is not the end of a run: contact is sought again, and meanwhile nothing is
//! claimed.

use crate::cli::client::read;
use crate::cli::screen::{Screen, Stale};
use crate::cli::wire::RunDoc;
use crate::cli::{Client, Exit, Fault, Talk};
use crate::kernel::domain::{Mode, Outcome, Span};
use serde_json::Value;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};

const POLL: Duration = Duration::from_millis(500);
/// A server that is started again is back long before this.
const LOST_FOR_GOOD: Duration = Duration::from_secs(300);
/// Nobody means to watch for longer; a forgotten terminal must not ask for ever.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long `--no-wait` looks for the plan to be made and asked for.
const SETTLE: Duration = Duration::from_secs(10);

/// When to leave although the run goes on. From its making on, Ctrl-C is an answer and not a death.
pub struct Follow {
    until: Instant,
    interrupt: Signal,
    resized: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Person,
    Deadline,
}

impl Follow {
    pub fn new(wait: Option<Span>) -> anyhow::Result<Follow> {
        Follow::leaving_on(SignalKind::interrupt(), wait)
    }

    /// A test leaves by another signal, since Ctrl-C would reach the other tests of its process.
    pub fn leaving_on(kind: SignalKind, wait: Option<Span>) -> anyhow::Result<Follow> {
        let wait = wait.map_or(LONGEST, Span::as_duration).min(LONGEST);
        Ok(Follow {
            until: Instant::now() + wait,
            interrupt: signal(kind)?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// The person pressed Ctrl-C.
    pub async fn left(&mut self) {
        // None means that no signal can come any more.
        if self.interrupt.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn leave(&mut self) -> Leave {
        let until = self.until;
        tokio::select! {
            () = self.left() => Leave::Person,
            () = sleep_until(until) => Leave::Deadline,
        }
    }

    /// Waits for the next look; true when the terminal has another size now.
    async fn pause(&mut self) -> bool {
        tokio::select! {
            () = sleep(POLL) => false,
            _ = self.resized.recv() => true,
        }
    }
}

pub async fn watch(run: &str, client: &Client, talk: &mut Talk, mut follow: Follow) -> anyhow::Result<Exit> {
    let mut screen = Screen::new(talk);
    let mut lost: Option<Instant> = None;
    loop {
        let fetched = tokio::select! {
            fetched = fetch(run, client) => fetched,
            leave = follow.leave() => return Ok(screen.left(run, leave == Leave::Deadline, talk)),
        };
        match fetched {
            Ok((document, doc)) => {
                lost = None;
                screen.show(&document, doc, client.now(), talk)?;
                if let Some(exit) = screen.doc().and_then(leaves_with) {
                    screen.end(talk)?;
                    return Ok(exit);
                }
            }
            Err(fault) if screen.doc().is_some() && may_come_back(&fault) => {
                let since = *lost.get_or_insert_with(Instant::now);
                if since.elapsed() > LOST_FOR_GOOD {
                    return Err(lost_for_good(run, &fault).into());
                }
                screen.stale(Stale { why: &fault.failed, at: client.now() }, talk)?;
            }
            Err(fault) => return Err(fault.into()),
        }
        if follow.pause().await {
            screen.resized();
        }
    }
}

/// Where a run stands shortly after it was started, for those who do not wait.
pub async fn settle(run: &str, client: &Client, talk: &mut Talk, mut follow: Follow) -> anyhow::Result<Exit> {
    let settled = timeout(SETTLE, async {
        loop {
            let (_, doc) = fetch(run, client).await?;
            let exit = match leaves_with(&doc) {
                Some(exit) => Some(exit),
                None if doc.asked.is_some() => Some(Exit::WaitsForApproval),
                None if doc.summary.state == "planning" => None,
                None => Some(Exit::StillRunning),
            };
            if let Some(exit) = exit {
                return Ok::<_, Fault>((exit, doc.summary.says));
            }
            sleep(POLL).await;
        }
    });
    let settled = tokio::select! {
        settled = settled => settled,
        _ = follow.leave() => return Ok(Screen::new(talk).left(run, false, talk)),
    };
    let (exit, says) = match settled {
        Ok(Ok(settled)) => settled,
        Ok(Err(fault)) => (Exit::StillRunning, format!("where it stands is not known: {}", fault.failed)),
        Err(_) => (Exit::StillRunning, "it is still being planned".to_owned()),
    };
    talk.say(&format!("run {run}: {}", crate::cli::look::clean(&says)));
    Ok(exit)
}

async fn fetch(run: &str, client: &Client) -> Result<(Value, RunDoc), Fault> {
    let document = client.get(&["runs", run], &[]).await?;
    let doc = read(&document, "run")?;
    Ok((document, doc))
}

/// With which code to leave; `None` while the run goes on by itself or waits for an answer.
pub fn leaves_with(doc: &RunDoc) -> Option<Exit> {
    if let Some(word) = &doc.outcome {
        // A word of a newer server is no success.
        let outcome = serde_json::from_value::<Outcome>(Value::String(word.clone()));
        return Some(outcome.map_or(Exit::Unknown, Exit::of_outcome));
    }
    match doc.parked {
        true if doc.doubt => Some(Exit::Unknown),
        true => Some(Exit::Partial),
        false if doc.summary.mode == Mode::Observe && doc.plan.is_some() => Some(Exit::Refused),
        false => None,
    }
}

/// Not reachable or not able just now; an answer that cannot be read will not get better.
fn may_come_back(fault: &Fault) -> bool {
    fault.exit == Exit::NotTalked && fault.code != "PM0005"
}

fn lost_for_good(run: &str, fault: &Fault) -> Fault {
    Fault::new(
        Exit::StillRunning,
        "PM0013",
        format!("no contact with the server for 5 minutes: {}", fault.failed),
    )
    .state(format!("run {run} may go on; where it stands is NOT known here"))
    .remedy(format!("when the server is back: pointsman watch {run}"))
}
