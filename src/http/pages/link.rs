//! The page behind a link of one's own: the plan as recorded, and one word about it, without signing in. Where a playbook takes
//! words by link only. Whoever follows it, and whatever fills in forms, decides nothing: the site has to be typed.

use super::super::Problem;
use super::super::runs::refused;
use super::approval::{Fresh, as_it_was_shown};
use super::sign_in::{bad_form, from_here};
use super::view::View;
use super::{CSS, PageProblem, page, see};
use crate::kernel::domain::{Actor, Via, Way};
use crate::kernel::engine::{Command, Run};
use crate::notify::words::clock;
use crate::store::PersonalLink;
use crate::worker::{App, Caller};
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    css: &'static str,
    view: View,
    fresh: Fresh,
    need: u8,
    person: String,
    digest: String,
    until: String,
    /// Something can be said by this link now.
    open: bool,
    /// Or why not.
    over: String,
}

/// A link that is known, and all that it stands for.
struct Found {
    link: PersonalLink,
    run: Run,
    by: Actor,
}

pub async fn show(State(app): State<Arc<App>>, Path(given): Path<String>) -> Result<Response, PageProblem> {
    let Found { link, run, by } = found(&app, &given).await?;
    let now = app.world.now();
    let over = over(&app, &link, &run, &by);
    let view = View::of(&run, now);
    let shown = LinkPage {
        css: CSS,
        fresh: Fresh::NotLooked,
        need: run.spec.approval.need,
        person: link.person.to_string(),
        digest: link.digest.to_string(),
        until: clock(link.expires, now),
        open: over.is_none(),
        over: view.closed.clone().or(over).unwrap_or_default(),
        view,
    };
    Ok(page(StatusCode::OK, &shown))
}

async fn found(app: &App, given: &str) -> Result<Found, Problem> {
    let link = app.store.link(given).await.map_err(Problem::store)?.ok_or_else(no_link)?;
    let caller = Caller::of_person(&link.person, &app.config, Via::Link).ok_or_else(no_link)?;
    let run = app.run(&link.run).await.map_err(Problem::store)?.ok_or_else(no_link)?;
    let by = caller.on(&run.spec.service);
    Ok(Found { link, run, by })
}

fn no_link() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "PM4019",
        "this link leads nowhere (any more)",
        "nothing was decided",
        "sign in and decide there, or follow the link of the newest message",
    )
}

/// Why nothing can be said by this link now; in words for its page.
fn over(app: &App, link: &PersonalLink, run: &Run, by: &Actor) -> Option<String> {
    let now = app.world.now();
    if !run.spec.approval.allows(Way::Link) {
        return Some("The playbook takes no word by link: sign in to decide.".to_owned());
    }
    let yes = Command::Approve { digest: link.digest, accept_unfenced: vec![], solo: false };
    match run.decide(&yes, by, "to see", now) {
        _ if now >= link.expires => Some(format!("This link is over since {}.", clock(link.expires, now))),
        Ok(_) => None,
        Err(refused) => {
            let says = refused.to_string();
            let mut letters = says.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Some(format!("{first}{}.", letters.as_str()))
        }
    }
}

#[derive(Deserialize)]
pub struct Sent {
    decision: String,
    #[serde(default)]
    digest: String,
    /// Where will traffic go? Typed.
    #[serde(default)]
    answer: String,
    #[serde(default)]
    reason: String,
}

pub async fn decide(
    State(app): State<Arc<App>>,
    Path(given): Path<String>,
    headers: HeaderMap,
    sent: Result<Form<Sent>, FormRejection>,
) -> Result<Response, PageProblem> {
    from_here(&headers)?;
    let Found { link, run, by } = found(&app, &given).await?;
    // To where one is: the page itself never says what its address carries.
    let problem = |problem: Problem| PageProblem::back_to(problem, "");
    let Form(sent) = sent.map_err(|e| problem(bad_form(&e)))?;
    understood(&app, &link, &run, &sent).map_err(problem)?;
    if let Some(says) = over(&app, &link, &run, &by).or_else(|| another_plan(&link, &run, &sent)) {
        let remedy = "read where things stand; who wants to say more signs in";
        let over = Problem::new(StatusCode::CONFLICT, "PM4013", says, "this click decided nothing", remedy);
        return Err(problem(over));
    }
    let command = command(&link, &sent).map_err(problem)?;
    if let Command::Approve { digest, .. } = &command {
        as_it_was_shown(&app, &run, *digest, &by).await.map_err(problem)?;
    }
    let said = app.command(run.id(), &command, &by, sent.reason.trim()).await;
    said.map_err(|error| problem(refused(error, run.id().as_str())))?;
    Ok(see(&format!("/links/{given}")))
}

/// The answer that a robot does not give, to any of the words: also a no harms somebody.
fn understood(app: &App, link: &PersonalLink, run: &Run, sent: &Sent) -> Result<(), Problem> {
    let door = link.hash.to_string();
    if !app.doors.answers.try_once(&door, app.world.now()) {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "PM4015",
            "too many wrong answers were given by this link",
            "nothing was decided, and the link is as good as before",
            "wait a minute, read the plan, and type the name of the site where traffic will go",
        ));
    }
    let typed = sent.answer.trim();
    if !typed.eq_ignore_ascii_case(run.spec.to.as_str()) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4017",
            "the site that was typed is not where traffic will go",
            "nothing was decided",
            "read the plan, and type the name of the site where traffic will go",
        ));
    }
    app.doors.answers.forget(&door);
    Ok(())
}

fn another_plan(link: &PersonalLink, run: &Run, sent: &Sent) -> Option<String> {
    let shown = sent.digest == link.digest.to_string();
    let offered = matches!(&run.consent, crate::kernel::engine::Consent::Asked { digest, .. } if *digest == link.digest);
    (!shown || !offered).then(|| "this link is about another plan than the one that is offered".to_owned())
}

fn command(link: &PersonalLink, sent: &Sent) -> Result<Command, Problem> {
    let refuse = |code: &'static str, says: String, remedy: &str| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, says, "nothing was decided", remedy)
    };
    match sent.decision.as_str() {
        "approve" | "reject" if sent.reason.trim().is_empty() => {
            let says = "a reason is required".to_owned();
            Err(refuse("PM4012", says, "say why in a few words: it stands on the record"))
        }
        "approve" => Ok(Command::Approve { digest: link.digest, accept_unfenced: vec![], solo: false }),
        "reject" => Ok(Command::Reject),
        "pass" => Ok(Command::Pass),
        other => Err(refuse("PM4011", format!("there is no decision {other:?}"), "open the link again")),
    }
}
