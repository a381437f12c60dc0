//! Signing in at a browser: a one-time code becomes a session. The cookie is for pages alone; the API does not take it, so
//! that no other site can use it there.

use super::super::Problem;
use super::super::listen::Peer;
use super::{CSS, PageProblem, page, see};
use crate::config::Carrier;
use crate::kernel::domain::{Digest, Role, RunId, SignIn, Via};
use crate::store::SESSION_LASTS;
use crate::worker::{App, Caller, SignInError, Wish};
use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// A person at a browser.
pub struct SignedIn {
    pub caller: Caller,
    pub how: SignIn,
    cookie: String,
}

impl SignedIn {
    /// What a form must bring back: only a page that was made for this session knows it.
    pub fn form_token(&self) -> String {
        Digest::of(format!("pointsman form\n{}", self.cookie).as_bytes()).to_string()
    }

    pub fn sent_by_our_form(&self, token: &str) -> Result<(), Problem> {
        let same: bool = self.form_token().as_bytes().ct_eq(token.as_bytes()).into();
        same.then_some(()).ok_or_else(|| {
            Problem::new(
                StatusCode::FORBIDDEN,
                "PM4016",
                "this form was not made for your session",
                "nothing was decided",
                "open the page again and decide there",
            )
        })
    }
}

impl OptionalFromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Infallible;
    /// Whatever is wrong with a cookie: nobody is signed in.
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, Infallible> {
        let Some(cookie) = cookie_of(&parts.headers, app) else { return Ok(None) };
        let session = app.store.session(&cookie, app.world.now()).await.ok().flatten();
        Ok(session.and_then(|session| {
            let caller = Caller::of_person(&session.person, &app.config, Via::Web)?;
            // Who may not look at anything is nobody here.
            caller.has_any(&Role::LOOKS).then_some(())?;
            Some(SignedIn { caller, how: session.how, cookie })
        }))
    }
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = PageProblem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageProblem> {
        let found = <SignedIn as OptionalFromRequestParts<Arc<App>>>::from_request_parts(parts, app).await;
        let found = found.unwrap_or_else(|never| match never {});
        found.ok_or_else(|| {
            let problem = Problem::new(
                StatusCode::UNAUTHORIZED,
                "PM4003",
                "nobody is signed in here",
                "nothing was decided",
                "sign in with a one-time code; `pointsman token login-code` makes one",
            );
            PageProblem::back_to(problem, "/sign-in")
        })
    }
}

fn cookie_name(app: &App) -> &'static str {
    if app.config.web.is_secure() { "__Host-pointsman" } else { "pointsman" }
}

fn cookie_of(headers: &HeaderMap, app: &App) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(app)).map(|(_, value)| value.to_owned())
}

fn set_cookie(app: &App, value: &str, seconds: u64) -> HeaderValue {
    let secure = if app.config.web.is_secure() { "; Secure" } else { "" };
    let text =
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", cookie_name(app));
    HeaderValue::from_str(&text).expect("invariant: a cookie of ours is plain text")
}

/// Other sites may lead a browser here, but not make it send a form.
pub fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    // A page that tells no referrer sends the origin `null`.
    let foreign = origin.filter(|origin| *origin != "null").and_then(|o| o.split_once("://"));
    let elsewhere = foreign.is_some_and(|(_, at)| Some(at) != host);
    if site.is_some_and(|site| site != "same-origin" && site != "none") || elsewhere {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "PM4016",
            "the form was sent by another site",
            "nothing was decided",
            "open the page by its own address and decide there",
        ));
    }
    Ok(())
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    css: &'static str,
    next: &'a str,
    problem: &'a str,
    said: &'a str,
    /// Ways by which somebody can be sent a code.
    slack: bool,
    email: bool,
}

impl<'a> SignInPage<'a> {
    fn of(app: &App, next: &'a str) -> SignInPage<'a> {
        let (slack, email) = (app.config.carries(Carrier::Slack), app.config.carries(Carrier::Email));
        SignInPage { css: CSS, next, problem: "", said: "", slack, email }
    }
}

#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// Only the id of a run leads anywhere after signing in.
fn after(next: &str) -> String {
    let is_id = (1..=12).contains(&next.len()) && next.chars().all(|c| c.is_ascii_alphanumeric());
    if is_id { format!("/approvals/{}", RunId::from(next)) } else { "/approvals".to_owned() }
}

pub async fn show(
    State(app): State<Arc<App>>,
    Query(Next { next }): Query<Next>,
    signed_in: Option<SignedIn>,
) -> Response {
    match signed_in {
        Some(_) => see(&after(&next)),
        None => page(StatusCode::OK, &SignInPage::of(&app, &next)),
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    person: String,
    by: String,
    #[serde(default)]
    next: String,
}

/// The same answer for whomever: it tells nobody who is known here.
pub async fn send_code(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<Peer>>>,
    headers: HeaderMap,
    wanted: Result<Form<Wanted>, FormRejection>,
) -> Result<Response, PageProblem> {
    let back = |problem: Problem| PageProblem::back_to(problem, "/sign-in");
    from_here(&headers).map_err(back)?;
    let Form(Wanted { person, by, next }) = wanted.map_err(|e| back(bad_form(&e)))?;
    let by = Carrier::parse(&by).ok_or_else(|| {
        let says = format!("no code is sent by {by:?}");
        back(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PM4011",
            says,
            "nothing was sent",
            "open the page again",
        ))
    })?;
    let said = format!(
        "If {:?} is known here and reached that way, a code is on its way. It is good for ten minutes, and for one time.",
        person.trim().chars().take(64).collect::<String>()
    );
    let wish = Wish { person: person.trim().into(), by, from: address(peer) };
    let shown = SignInPage::of(&app, &next);
    Ok(match app.wish_for_code(wish) {
        true => page(StatusCode::OK, &SignInPage { said: &said, ..shown }),
        false => {
            let problem = "Too many codes were asked for: wait a minute. PM4015";
            page(StatusCode::TOO_MANY_REQUESTS, &SignInPage { problem, ..shown })
        }
    })
}

fn address(peer: Option<Extension<ConnectInfo<Peer>>>) -> String {
    match peer {
        Some(Extension(ConnectInfo(Peer::Address(address)))) => address.ip().to_string(),
        Some(Extension(ConnectInfo(Peer::Socket))) | None => "this machine".to_owned(),
    }
}

#[derive(Deserialize)]
pub struct Code {
    code: String,
    #[serde(default)]
    next: String,
}

pub async fn enter(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<Peer>>>,
    headers: HeaderMap,
    code: Result<Form<Code>, FormRejection>,
) -> Result<Response, PageProblem> {
    from_here(&headers)?;
    let Form(Code { code, next }) = code.map_err(|e| bad_form(&e))?;
    let from = address(peer);
    match app.sign_in(&code, &from).await {
        Ok((_, cookie)) => {
            // A new session for each sign-in; what was there before is good for nothing.
            if let Some(old) = cookie_of(&headers, &app) {
                app.store.end_session(&old).await.map_err(Problem::store)?;
            }
            let mut response = see(&after(&next));
            let seconds = SESSION_LASTS.0 / 1_000_000;
            response.headers_mut().insert(header::SET_COOKIE, set_cookie(&app, cookie.expose(), seconds));
            Ok(response)
        }
        Err(SignInError::Store(why)) => Err(Problem::store(why).into()),
        Err(error) => {
            let status = match error {
                SignInError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::FORBIDDEN,
            };
            tracing::warn!(%from, %error, "somebody could not sign in");
            let problem = match error {
                SignInError::TooMany => {
                    "Too many codes were tried from there: wait a minute. PM4015".to_owned()
                }
                other => format!("Not signed in: {other}. PM4014"),
            };
            Ok(page(status, &SignInPage { problem: &problem, ..SignInPage::of(&app, &next) }))
        }
    }
}

#[derive(Deserialize)]
pub struct Leave {
    form: String,
}

pub async fn leave(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    signed_in: SignedIn,
    leave: Result<Form<Leave>, FormRejection>,
) -> Result<Response, PageProblem> {
    from_here(&headers)?;
    let Form(Leave { form }) = leave.map_err(|e| bad_form(&e))?;
    signed_in.sent_by_our_form(&form)?;
    app.store.end_session(&signed_in.cookie).await.map_err(Problem::store)?;
    let mut response = see("/sign-in");
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&app, "", 0));
    Ok(response.into_response())
}

pub(super) fn bad_form(error: &FormRejection) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "PM4011",
        format!("the form cannot be read: {error}"),
        "nothing was decided",
        "open the page again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_run_leads_on() {
        assert_eq!(after("7KQ4M2"), "/approvals/7KQ4M2");
        for next in ["", "//evil.example", "https://evil.example", "../x", "a b", "A".repeat(13).as_str()] {
            assert_eq!(after(next), "/approvals", "{next}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(k, v)| ((*k).parse().unwrap(), HeaderValue::from_static(v))).collect()
        };
        let fine: [&[(&str, &str)]; 4] = [
            &[],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://pm.example"), ("host", "pm.example")],
            &[("sec-fetch-site", "none")],
        ];
        for pairs in fine {
            assert!(from_here(&headers(pairs)).is_ok(), "{pairs:?}");
        }
        let foreign: [&[(&str, &str)]; 4] = [
            &[("origin", "https://evil.example"), ("host", "pm.example")],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://pm.example.evil"), ("host", "pm.example")],
        ];
        for pairs in foreign {
            assert!(from_here(&headers(pairs)).is_err(), "{pairs:?}");
        }
    }
}
