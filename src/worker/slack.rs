//! Clicks in Slack: who pressed which button, made a decision or an answer why not. `http` takes a click, answers at once, and
//! leaves it here, since Slack waits three seconds and a look at everything may take longer.

use super::people::Caller;
use super::{App, CommandError};
use crate::kernel::domain::{Name, Via};
use crate::kernel::engine::{Command, Run};
use crate::notify::Delivery;
use crate::notify::slack::Slack;
use crate::store::Posted;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Clicks that wait; with more, Slack is told to say that it did not work.
const WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

/// Signed by Slack, of our workspace and app.
#[derive(Clone, Debug)]
pub struct Click {
    pub channel: Name,
    pub team: String,
    pub user: String,
    /// The message that was clicked; after a crash there may be two with the same buttons.
    pub ts: String,
    pub ask: String,
    pub yes: bool,
}

pub struct Clicks {
    to: mpsc::Sender<Click>,
    from: Mutex<Option<mpsc::Receiver<Click>>>,
}

impl Default for Clicks {
    fn default() -> Self {
        let (to, from) = mpsc::channel(WAITING);
        Clicks { to, from: Mutex::new(Some(from)) }
    }
}

impl App {
    /// False: too many wait.
    pub fn clicked(&self, click: Click) -> bool {
        self.clicks.to.try_send(click).is_ok()
    }
}

/// `serve` runs it until `stop`.
pub async fn decide_clicks(app: Arc<App>, stop: CancellationToken) {
    let taken = app.clicks.from.lock().expect("invariant: no panic while holding the lock").take();
    let Some(mut clicks) = taken else { return };
    loop {
        let click = tokio::select! {
            () = stop.cancelled() => return,
            click = clicks.recv() => click,
        };
        let Some(click) = click else { return };
        if tokio::time::timeout(PATIENCE, answer(&app, &click)).await.is_err() {
            tracing::error!(
                ?click,
                "a click in Slack was not dealt with in time; whoever clicked sees no outcome"
            );
        }
    }
}

async fn answer(app: &App, click: &Click) {
    let says = match decide(app, click).await {
        Ok(()) => return,
        Err(says) => says,
    };
    tracing::warn!(user = %click.user, team = %click.team, %says, "a click in Slack decided nothing");
    let Some(slack) = app.slack(&click.channel) else { return };
    if let Err(Delivery::Refused(why) | Delivery::Failed { says: why, .. }) =
        slack.whisper(&click.user, &says).await
    {
        tracing::warn!(%why, "who clicked could not be told so");
    }
}

/// Or why nothing was decided, in words for who clicked.
async fn decide(app: &App, click: &Click) -> Result<(), String> {
    let store =
        |error: &dyn std::fmt::Display| format!("Nothing was decided: the journal cannot be used: {error}");
    let posted = app.store.posted_by_ask(&click.ask).await.map_err(|e| store(&e))?;
    let posted = posted.filter(|posted| posted.channel == click.channel);
    let posted = posted.ok_or("Nothing was decided: this question is not known here.")?;
    let Some(name) = app.config.slack_person(&click.team, &click.user) else {
        return Err("Nothing was decided: you are nobody in Pointsman's configuration. Your user id has to stand with a \
                    person there."
            .to_owned());
    };
    let caller =
        Caller::of_person(name, &app.config, Via::Slack).ok_or("Nothing was decided: you are not known.")?;
    let run = app.run(&posted.run).await.map_err(|e| store(&e))?;
    let run = run.ok_or("Nothing was decided: there is no such run.")?;
    let by = caller.on(&run.spec.service);
    let said = match click.yes {
        false => app.command(run.id(), &Command::Reject, &by, "by the button in Slack").await,
        true => {
            let stale = app.offer_is_stale(&run, posted.digest, &by).await;
            if stale.map_err(|e| format!("Nothing was decided: {e}"))? {
                return Err("Nothing was approved: things changed since this plan was made. A new plan is being made and \
                            offered."
                    .to_owned());
            }
            let (digest, accept_unfenced) = (posted.digest, vec![]);
            let yes = Command::Approve { digest, accept_unfenced, solo: false };
            app.command(run.id(), &yes, &by, "by the button in Slack").await
        }
    };
    match said {
        Ok(_) if posted.ts.as_deref() != Some(click.ts.as_str()) => {
            take_buttons_away(app, &posted, click, &run).await;
            Ok(())
        }
        // The message follows with the notice of the decision, as for one that was made elsewhere.
        Ok(_) => Ok(()),
        Err(CommandError::Refused(why)) => {
            take_buttons_away(app, &posted, click, &run).await;
            Err(format!("Nothing was decided: {why}."))
        }
        Err(error) => {
            Err(format!("It is not known whether this was decided: {error}. See the approval page."))
        }
    }
}

/// From a message that nobody else would change any more: its question is over, or it is a second copy.
async fn take_buttons_away(app: &App, posted: &Posted, click: &Click, run: &Run) {
    let copy = posted.ts.as_deref() != Some(click.ts.as_str());
    let open = matches!(&run.consent, crate::kernel::engine::Consent::Asked { digest, .. } if *digest == posted.digest);
    if open && !copy {
        return;
    }
    let Some(slack) = app.slack(&click.channel) else { return };
    let outcome = run.decided().unwrap_or_else(|| run.next(app.world.now()).says);
    if let Err(error) = slack.close(posted, &click.ts, &outcome).await {
        tracing::warn!(?error, "the buttons of an old message stay; they decide nothing");
    }
}

impl App {
    fn slack(&self, name: &Name) -> Option<Slack> {
        let (_, channel, slack) = self.config.slacks().find(|(known, _, _)| *known == name)?;
        let tools = self.tools();
        Some(Slack {
            name: name.clone(),
            configured: slack.clone(),
            topics: channel.topics.clone(),
            poster: tools.poster,
            store: tools.store,
        })
    }
}
