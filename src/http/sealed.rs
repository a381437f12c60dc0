//! What is not there may have been there: after a cut of the journal, that is said with every "there is no such".

use super::Problem;
use crate::kernel::domain::Position;
use crate::worker::App;
use http::StatusCode;

/// `what` was looked for in the journal, and not found.
pub async fn no_such(app: &App, what: impl std::fmt::Display) -> Problem {
    match begins(app).await {
        Ok(None) => Problem::no_such(what),
        Ok(Some(first)) => Problem::new(
            StatusCode::NOT_FOUND,
            "PM2714",
            format!("there is no {what}; records before position {first} were sealed away"),
            "nothing was changed; what went, if it was there, is not in this journal any more",
            "a backup, a report or a bundle from before has it; `pointsman audit action:sealed` says when it went",
        ),
        Err(problem) => problem,
    }
}

/// The first position of a journal whose beginning went.
pub async fn begins(app: &App) -> Result<Option<Position>, Problem> {
    let first = app.store.first_position().await.map_err(Problem::store)?;
    Ok((first > 1).then_some(first))
}
