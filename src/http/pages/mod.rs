//! Pages for people, made here whole: one answer, no script, nothing from elsewhere. Approvals and signing in; whatever can
//! be done here can be done with the API and the command line.

pub mod approval;
pub mod link;
pub mod sign_in;
mod view;

use super::Problem;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

const CSS: &str = include_str!("../../../templates/style.css");

/// The page's own style by its hash, and forms that lead back here; nothing else is loaded, run, framed or sent.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(CSS.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// A page that says what went wrong, in four parts as everywhere.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    css: &'static str,
    title: &'a str,
    failed: &'a str,
    state: &'a str,
    remedy: &'a str,
    code: &'a str,
    /// Where to go on.
    back: &'a str,
}

pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => dressed((status, Html(html)).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            dressed(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// Go there, with a GET: so that a reload repeats nothing.
pub(super) fn see(path: &str) -> Response {
    dressed((StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response())
}

fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// An error as a page, with a way on.
pub struct PageProblem {
    problem: Problem,
    back: String,
}

impl PageProblem {
    pub(super) fn back_to(problem: Problem, back: impl Into<String>) -> PageProblem {
        PageProblem { problem, back: back.into() }
    }
}

impl From<Problem> for PageProblem {
    fn from(problem: Problem) -> PageProblem {
        PageProblem::back_to(problem, "/approvals")
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let PageProblem { problem, back } = self;
        let title = match problem.status {
            StatusCode::CONFLICT => "Not decided",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::NOT_FOUND => "There is nothing here",
            StatusCode::UNAUTHORIZED => "Not signed in",
            _ => "That did not work",
        };
        let (failed, state, remedy, code) = (&problem.failed, &problem.state, &problem.remedy, problem.code);
        page(problem.status, &Message { css: CSS, title, failed, state, remedy, code, back: &back })
    }
}
