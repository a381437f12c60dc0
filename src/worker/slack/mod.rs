//! Clicks in Slack: who pressed which button is asked for a reason, and who sent the form in has decided, or is told why not.
//! `http` and the connection to Slack take a click, answer at once, and leave it here: Slack waits three seconds, and a look at
//! everything may take longer.

mod payload;
mod socket;

pub use payload::Heard;
pub use socket::listen_to_slack;

use super::people::Caller;
use super::{App, CommandError};
use crate::kernel::domain::{Actor, Name, Via};
use crate::kernel::engine::{Command, Consent, Refused, Run};
use crate::notify::Delivery;
use crate::notify::slack::{Pressed, Slack};
use crate::store::Posted;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Clicks that wait; with more, Slack is told to say that it did not work.
const WAITING: usize = 64;
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

/// By Slack's own word, of our workspace and app.
#[derive(Clone, Debug)]
pub struct Click {
    pub channel: Name,
    pub team: String,
    pub user: String,
    pub deed: Deed,
}

/// `ts` is the message that was pressed; after a crash there may be two with the same buttons.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A button, which opens a form.
    Press { ask: String, ts: String, yes: bool, trigger: String },
    /// The form, sent in.
    Say { ask: String, ts: String, yes: bool, answer: String, reason: String },
}

impl Deed {
    fn about(&self) -> (&str, &str, bool) {
        match self {
            Deed::Press { ask, ts, yes, .. } | Deed::Say { ask, ts, yes, .. } => (ask, ts, *yes),
        }
    }
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

/// `serve` runs it until `stop`. Side by side: a form can be opened for three seconds only, and a look takes longer.
pub async fn decide_clicks(app: Arc<App>, stop: CancellationToken) {
    let taken = app.clicks.from.lock().expect("invariant: no panic while holding the lock").take();
    let Some(mut clicks) = taken else { return };
    let mut tasks = JoinSet::new();
    loop {
        let click = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            click = clicks.recv(), if tasks.len() < AT_ONCE => click,
        };
        let Some(click) = click else { return };
        let app = app.clone();
        tasks.spawn(async move {
            if tokio::time::timeout(PATIENCE, answer(&app, &click)).await.is_err() {
                tracing::error!(
                    channel = %click.channel, user = %click.user,
                    "a click in Slack was not dealt with in time; whoever clicked sees no outcome"
                );
            }
        });
    }
}

async fn answer(app: &App, click: &Click) {
    let says = match deal(app, click).await {
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

/// A click, and what it is about.
struct Case {
    posted: Posted,
    run: Run,
    by: Actor,
}

/// Or why nothing was decided, in words for who clicked.
async fn deal(app: &App, click: &Click) -> Result<(), String> {
    let case = case(app, click).await?;
    let said = match &click.deed {
        Deed::Press { trigger, .. } => ask_why(app, click, &case, trigger).await?,
        Deed::Say { yes, answer, reason, .. } => say(app, &case, yes.then_some(answer), reason).await?,
    };
    let (_, ts, _) = click.deed.about();
    match said {
        Some(Ok(())) if case.posted.ts.as_deref() != Some(ts) => {
            take_buttons_away(app, &case, click).await;
            Ok(())
        }
        // The message follows with the notice of the decision, as for one that was made elsewhere.
        None | Some(Ok(())) => Ok(()),
        Some(Err(why)) => {
            take_buttons_away(app, &case, click).await;
            Err(format!("Nothing was decided: {why}."))
        }
    }
}

fn store_failed(error: impl std::fmt::Display) -> String {
    format!("Nothing was decided: the journal cannot be used: {error}")
}

async fn case(app: &App, click: &Click) -> Result<Case, String> {
    let (ask, _, _) = click.deed.about();
    let posted = app.store.posted_by_ask(ask).await.map_err(store_failed)?;
    let posted = posted.filter(|posted| posted.channel == click.channel);
    let posted = posted.ok_or("Nothing was decided: this question is not known here.")?;
    let Some(name) = app.config.slack_person(&click.team, &click.user) else {
        return Err("Nothing was decided: you are nobody in Pointsman's configuration. Your user id has to stand with a \
                    person there."
            .to_owned());
    };
    let caller =
        Caller::of_person(name, &app.config, Via::Slack).ok_or("Nothing was decided: you are not known.")?;
    let run = app.run(&posted.run).await.map_err(store_failed)?;
    let run = run.ok_or("Nothing was decided: there is no such run.")?;
    let by = caller.on(&run.spec.service);
    Ok(Case { posted, run, by })
}

impl Case {
    fn command(&self, yes: bool) -> Command {
        match yes {
            true => Command::Approve { digest: self.posted.digest, accept_unfenced: vec![], solo: false },
            false => Command::Reject,
        }
    }

    /// A no too is about the plan of its message.
    fn about_another_plan(&self) -> Option<Refused> {
        let Consent::Asked { digest, .. } = &self.run.consent else { return None };
        let (old, new) = (self.posted.digest, *digest);
        let says = || format!("the plan changed: {} is offered now, not {}", new.short(), old.short());
        (old != new).then(|| Refused::Conflict(says()))
    }
}

/// Nothing is decided by a press alone: the form asks for the reason. Who cannot decide sees none.
async fn ask_why(
    app: &App,
    click: &Click,
    case: &Case,
    trigger: &str,
) -> Result<Option<Result<(), Refused>>, String> {
    let (ask, ts, yes) = click.deed.about();
    let could = case.run.decide(&case.command(yes), &case.by, "to see", app.world.now()).map(drop);
    if let Some(refused) = case.about_another_plan().or(could.err()) {
        return Ok(Some(Err(refused)));
    }
    let slack = app.slack(&click.channel).ok_or("Nothing was decided: the channel is not known any more.")?;
    match slack.open_form(trigger, &Pressed { ask, ts, yes }, &case.run).await {
        Ok(()) => Ok(None),
        Err(Delivery::Refused(says) | Delivery::Failed { says, .. }) => Err(format!(
            "Nothing was decided: Slack did not open the form for your reason ({says}). Press again, or decide on the \
             approval page."
        )),
        Err(Delivery::Done) => Ok(None),
    }
}

/// A yes comes with where traffic will go.
async fn say(
    app: &App,
    case: &Case,
    yes: Option<&String>,
    reason: &str,
) -> Result<Option<Result<(), Refused>>, String> {
    if let Some(refused) = case.about_another_plan() {
        return Ok(Some(Err(refused)));
    }
    if let Some(answer) = yes {
        if answer != case.run.spec.to.as_str() {
            return Err("Nothing was decided: traffic will not go there.".to_owned());
        }
        let stale = app.offer_is_stale(&case.run, case.posted.digest, &case.by).await;
        if stale.map_err(|e| format!("Nothing was decided: {e}"))? {
            return Err("Nothing was approved: things changed since this plan was made. A new plan is being made and \
                        offered."
                .to_owned());
        }
    }
    match app.command(case.run.id(), &case.command(yes.is_some()), &case.by, reason).await {
        Ok(_) => Ok(Some(Ok(()))),
        Err(CommandError::Refused(why)) => Ok(Some(Err(why))),
        Err(error) => {
            Err(format!("It is not known whether this was decided: {error}. See the approval page."))
        }
    }
}

/// From a message that nobody else would change any more: its question is over, or it is a second copy.
async fn take_buttons_away(app: &App, case: &Case, click: &Click) {
    let Case { posted, run, .. } = case;
    let (_, ts, _) = click.deed.about();
    let copy = posted.ts.as_deref() != Some(ts);
    // As it stands now, not as it stood before this click.
    let run = app.run(run.id()).await.ok().flatten().unwrap_or_else(|| run.clone());
    let open = matches!(&run.consent, Consent::Asked { digest, .. } if *digest == posted.digest);
    if open && !copy {
        return;
    }
    let Some(slack) = app.slack(&click.channel) else { return };
    let outcome = run.decided().unwrap_or_else(|| run.next(app.world.now()).says);
    if let Err(error) = slack.close(posted, ts, &outcome).await {
        tracing::warn!(?error, "the buttons of an old message stay; they decide nothing");
    }
}

impl App {
    pub(super) fn slack(&self, name: &Name) -> Option<Slack> {
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
