//! The approval page: what a person reads at night, on a phone, and the one form that decides. GET and HEAD change nothing.
//! A link finds the page; only who is signed in decides, and only having said where traffic will go.

use super::super::Problem;
use super::super::runs::refused;
use super::sign_in::{SignedIn, bad_form, from_here};
use super::view::View;
use super::{CSS, PageProblem, page, see};
use crate::kernel::domain::{Actor, Digest, RunId, SignIn, Time};
use crate::kernel::engine::{Command, Run};
use crate::notify::words::clock;
use crate::worker::{App, Ask, Look, can_compare, locates};
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

/// How the plan stands after a look that was taken for this page.
pub(super) enum Fresh {
    /// Nobody who may decide is here: what was recorded is shown.
    NotLooked,
    Same(String),
    Changed(Vec<String>),
    Failed(String),
}

/// The part of the page for who is signed in.
struct Desk {
    name: String,
    token: String,
    recovery: bool,
    /// They may decide about this plan now; or why not.
    may: Result<(), String>,
    /// They asked for the run themselves.
    own: bool,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ApprovalPage {
    css: &'static str,
    view: View,
    fresh: Fresh,
    desk: Option<Desk>,
    digest: String,
    until: String,
    need: u8,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct ListPage {
    css: &'static str,
    name: String,
    token: String,
    recovery: bool,
    asks: Vec<(Ask, String)>,
}

/// Everything that waits, for who is signed in.
pub async fn list(State(app): State<Arc<App>>, signed_in: Option<SignedIn>) -> Result<Response, PageProblem> {
    let Some(signed_in) = signed_in else { return Ok(see("/sign-in")) };
    let now = app.world.now();
    let asks = app.asks(&signed_in.caller).await.map_err(Problem::store)?;
    let asks = asks.into_iter().map(|ask| {
        let until = ask.until.map(|until| clock(until, now)).unwrap_or_default();
        (ask, until)
    });
    let list = ListPage {
        css: CSS,
        name: signed_in.caller.name().to_string(),
        token: signed_in.form_token(),
        recovery: signed_in.how == SignIn::Recovery,
        asks: asks.collect(),
    };
    Ok(page(StatusCode::OK, &list))
}

/// Without the part of the link that nobody guesses, only for who is signed in.
pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<RunId>,
    signed_in: Option<SignedIn>,
) -> Result<Response, PageProblem> {
    match signed_in {
        Some(signed_in) => shown(&app, &load(&app, &id).await?, Some(signed_in)).await,
        None => Ok(see(&format!("/sign-in?next={}", safe(&id)))),
    }
}

pub async fn located(
    State(app): State<Arc<App>>,
    Path((id, locator)): Path<(RunId, String)>,
    signed_in: Option<SignedIn>,
) -> Result<Response, PageProblem> {
    let run = load(&app, &id).await?;
    match locates(&run, &locator) {
        true => shown(&app, &run, signed_in).await,
        // As for a run that does not exist.
        false => Err(Problem::no_such(format!("run {id}")).into()),
    }
}

fn safe(id: &RunId) -> String {
    id.as_str().chars().filter(char::is_ascii_alphanumeric).take(12).collect()
}

async fn load(app: &App, id: &RunId) -> Result<Run, Problem> {
    let run = app.run(id).await.map_err(Problem::store)?;
    run.ok_or_else(|| Problem::no_such(format!("run {}", safe(id))))
}

async fn shown(app: &App, run: &Run, signed_in: Option<SignedIn>) -> Result<Response, PageProblem> {
    let view = View::of(run, app.world.now());
    let by = signed_in.as_ref().map(|signed_in| signed_in.caller.on(&run.spec.service));
    let fresh = match (&by, view.open) {
        (Some(by), Some((offered, _))) if can_compare(run) && run.may_approve(by).is_ok() => {
            fresh(app.look_again(run).await, offered, app.world.now())
        }
        _ => Fresh::NotLooked,
    };
    let desk = signed_in.zip(by).map(|(signed_in, by)| desk(run, &signed_in, &by));
    let now = app.world.now();
    let (digest, until) =
        view.open.map_or_else(Default::default, |(digest, until)| (digest.to_string(), clock(until, now)));
    let need = run.spec.approval.need;
    Ok(page(StatusCode::OK, &ApprovalPage { css: CSS, view, fresh, desk, digest, until, need }))
}

fn fresh(look: Result<Look, String>, offered: Digest, now: Time) -> Fresh {
    match look {
        Ok(look) if look.confirms(offered) => Fresh::Same(clock(look.at, now)),
        Ok(look) => Fresh::Changed(look.blockers.into_iter().map(|reason| reason.says).collect()),
        Err(why) => Fresh::Failed(why),
    }
}

fn desk(run: &Run, signed_in: &SignedIn, by: &Actor) -> Desk {
    let said = match &run.consent {
        crate::kernel::engine::Consent::Asked { yes, .. } => yes.iter().find(|said| said.by.name == by.name),
        _ => None,
    };
    let may = match said {
        Some(said) => Err(format!("You approved at {}; other people are needed too.", said.at)),
        None => run.may_approve(by).map_err(|refused| refused.to_string()),
    };
    Desk {
        name: by.name.to_string(),
        token: signed_in.form_token(),
        recovery: signed_in.how == SignIn::Recovery,
        may,
        own: run.is_requester(by) && run.spec.approval.not_requester,
    }
}

#[derive(Deserialize)]
pub struct Sent {
    form: String,
    decision: String,
    #[serde(default)]
    digest: String,
    /// Where will traffic go?
    #[serde(default)]
    answer: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    solo: Option<String>,
}

pub async fn decide(
    State(app): State<Arc<App>>,
    Path(id): Path<RunId>,
    headers: HeaderMap,
    signed_in: SignedIn,
    sent: Result<Form<Sent>, FormRejection>,
) -> Result<Response, PageProblem> {
    let back = format!("/approvals/{}", safe(&id));
    let problem = |problem: Problem| PageProblem::back_to(problem, &back);
    from_here(&headers).map_err(problem)?;
    let Form(sent) = sent.map_err(|e| problem(bad_form(&e)))?;
    signed_in.sent_by_our_form(&sent.form).map_err(problem)?;
    let run = load(&app, &id).await.map_err(problem)?;
    let by = signed_in.caller.on(&run.spec.service);
    let command = command(&run, &sent).map_err(problem)?;
    if let Command::Approve { digest, .. } = &command {
        as_it_was_shown(&app, &run, *digest, &by).await.map_err(problem)?;
    }
    let said = app.command(&id, &command, &by, sent.reason.trim()).await;
    said.map_err(|error| problem(refused(error, id.as_str())))?;
    Ok(see(&back))
}

fn command(run: &Run, sent: &Sent) -> Result<Command, Problem> {
    let refuse = |code: &'static str, says: String, remedy: &str| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, says, "nothing was decided", remedy)
    };
    let needs_reason = matches!(sent.decision.as_str(), "approve" | "reject");
    if needs_reason && sent.reason.trim().is_empty() {
        let says = "a reason is required".to_owned();
        return Err(refuse("PM4012", says, "say why in a few words: it stands on the record"));
    }
    match sent.decision.as_str() {
        "approve" if sent.answer != run.spec.to.as_str() => {
            let says = format!("traffic will not go to {:?}: read the plan again", sent.answer);
            Err(refuse("PM4017", says, "open the page, and say where traffic will go"))
        }
        "approve" => Ok(Command::Approve {
            digest: Digest::parse(&sent.digest).unwrap_or(Digest::ZERO),
            accept_unfenced: vec![],
            solo: sent.solo.is_some(),
        }),
        "reject" => Ok(Command::Reject),
        "pass" => Ok(Command::Pass),
        "replan" => Ok(Command::Replan),
        other => Err(refuse("PM4011", format!("there is no decision {other:?}"), "open the page again")),
    }
}

/// Between opening and clicking things may change: then the offer is taken back, and a new one is made.
pub(super) async fn as_it_was_shown(app: &App, run: &Run, digest: Digest, by: &Actor) -> Result<(), Problem> {
    let stale = app.offer_is_stale(run, digest, by).await;
    if !stale.map_err(|error| refused(error, run.id().as_str()))? {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "PM4018",
        "things changed since this plan was made",
        "nothing was approved; a new plan is being made and offered",
        "open the page again in a moment, and read the new plan",
    ))
}
