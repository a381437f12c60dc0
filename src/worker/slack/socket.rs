//! Keeps our own connections to Slack, one for each channel with an app token: opens the next when Slack says that it will close
//! one, while the old one may still bring something, and opens another when one is lost.

use super::payload::Heard;
use crate::kernel::domain::{Name, Span};
use crate::notify::slack::{Line, Said};
use crate::worker::App;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Span = Span::secs(1);
const LONGEST_PAUSE: Span = Span::secs(30);
/// A connection that lived for so long was a good one.
const GOOD: Span = Span::secs(60);
/// Connections of one channel that are open at once: the one in use and those that Slack is about to close.
const AT_ONCE: usize = 4;

/// `serve` runs it until `stop`.
pub async fn listen_to_slack(app: Arc<App>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for (name, _, slack) in app.config.slacks() {
        if slack.app_token.is_some() {
            tasks.spawn(keep(app.clone(), name.clone(), stop.clone()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a connection to Slack ended badly; buttons lead nowhere until a restart");
        }
    }
}

/// What `status` calls it.
fn known_as(channel: &Name) -> Name {
    format!("{channel} by socket").into()
}

async fn keep(app: Arc<App>, channel: Name, stop: CancellationToken) {
    let mut lines = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let began = app.world.now();
        let opened = match app.slack(&channel) {
            Some(slack) => slack.open_line().await,
            None => return,
        };
        match opened {
            Ok(line) => {
                let leave = Arc::new(Notify::new());
                let task = lines.spawn(serve(app.clone(), channel.clone(), line, leave.clone()));
                let why = loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = leave.notified() => break None,
                        Some(ended) = lines.join_next_with_id() => match ended {
                            Ok((id, why)) if id == task.id() => break Some(why),
                            Ok(_) => {}
                            Err(error) if error.id() == task.id() => break Some(error.to_string()),
                            Err(_) => {}
                        }
                    }
                };
                if let Some(why) = why {
                    lost(&app, &channel, &why);
                }
                while lines.len() >= AT_ONCE {
                    drop(lines.join_next().await);
                }
            }
            Err(why) => lost(&app, &channel, &why),
        }
        if app.world.now().since(began) >= GOOD {
            pause = FIRST_PAUSE;
        }
        let until = app.world.now() + pause;
        pause = Span(pause.0 * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(until) => {}
        }
    }
}

fn lost(app: &App, channel: &Name, why: &str) {
    tracing::warn!(%channel, why, "there is no connection to Slack; buttons wait for the next");
    let now = app.world.now();
    app.channels.set(&known_as(channel), |state| {
        state.failing_since.get_or_insert(now);
        state.says = Some(why.to_owned());
    });
}

/// Until the connection is no more, and why.
async fn serve(app: Arc<App>, channel: Name, mut line: Line, leave: Arc<Notify>) -> String {
    loop {
        match line.next().await {
            Ok(Said::Hello) => {
                tracing::info!(%channel, "connected to Slack");
                let now = app.world.now();
                app.channels.set(&known_as(&channel), |state| {
                    (state.last, state.failing_since, state.says) = (Some(now), None, None);
                });
            }
            Ok(Said::Leave { why }) => {
                tracing::info!(%channel, why, "Slack will close this connection; another one takes its place");
                leave.notify_one();
            }
            Ok(Said::Envelope { id, kind, payload }) => {
                let show = match kind.as_str() {
                    "interactive" => {
                        match app.hear_slack(std::slice::from_ref(&channel), &payload.to_string()).await {
                            Heard::Taken => None,
                            Heard::Wrong(errors) => Some(errors),
                            // Without an acknowledgement Slack says that it did not work.
                            Heard::TooMany => continue,
                            Heard::NotOurs(why) | Heard::Unreadable(why) => {
                                tracing::warn!(%channel, why, "something that came from Slack was refused");
                                None
                            }
                        }
                    }
                    // Asked for by nobody here.
                    _ => None,
                };
                if let Err(why) = line.acknowledge(&id, show).await {
                    return why;
                }
            }
            Err(why) => return why,
        }
    }
}
