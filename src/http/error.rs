//! An error in four parts, as JSON: what failed, what state things are in, what to do, and a code to look up.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Problem {
    pub schema: &'static str,
    pub code: &'static str,
    pub failed: String,
    pub state: String,
    pub remedy: String,
    /// It is not known whether the request took effect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub doubt: bool,
    #[serde(skip)]
    pub status: StatusCode,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        failed: impl Into<String>,
        state: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem {
            schema: "pointsman.error/v1",
            code,
            failed: failed.into(),
            state: state.into(),
            remedy: remedy.into(),
            doubt: false,
            status,
        }
    }

    /// The store cannot take or give anything now.
    pub fn store(error: impl std::fmt::Display) -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "PM4001",
            format!("the journal cannot be used: {error}"),
            "nothing was changed and nothing is half done",
            "see the server's log and the disk of its data directory; it recovers by itself",
        )
    }

    /// The store did not answer whether it kept the record.
    pub fn doubt(error: impl std::fmt::Display) -> Problem {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "PM4001",
            format!("it is not known whether this was written down: {error}"),
            "it may have taken effect",
            "`pointsman watch` shows where the run stands; then decide again if it is still asked for",
        );
        Problem { doubt: true, ..problem }
    }

    pub fn no_such(what: impl std::fmt::Display) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "PM4002",
            format!("there is no {what}"),
            "nothing was changed",
            "`pointsman status` lists runs and playbooks",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

pub async fn no_such_page(uri: http::Uri) -> Problem {
    Problem::no_such(format!("page {}", uri.path()))
}
