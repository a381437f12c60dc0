//! The real client. One short connection per verb; what the statements are is in `sql`, how a session ends in
//! `session`.

use super::node::{Hba, HbaRule, Layer, Node, Progress, Silent};
use super::port::{Attempt, Endpoint, Marker, Port, Reply, Trouble};
use super::session::{As, Opening, Work, opened, run};
use super::sql;
use crate::kernel::domain::{Epoch, Lsn, RunId, Span};
use crate::provider::owner::Claim;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// Stateless: what it needs comes with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire;

/// The first column of the first row, if there is one.
async fn text(client: &Client, statement: &str) -> Result<Option<String>, Error> {
    let messages = client.simple_query(statement).await?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    });
    Ok(row.flatten())
}

/// One statement after the other, each on its own; the first column of the last.
fn each(statements: Vec<String>) -> Work<Option<String>> {
    Box::new(move |client| {
        async move {
            let mut last = None;
            for statement in &statements {
                last = text(client, statement).await?;
            }
            Ok(last)
        }
        .boxed()
    })
}

async fn ask<T: DeserializeOwned>(at: &Endpoint, statement: &str, within: Span) -> Reply<T> {
    let row = run(at, As::Admin, within, each(vec![statement.to_owned()])).await?;
    let unread = |why: String| Trouble::Silent(Silent { layer: Layer::Query, says: why });
    let row = row.ok_or_else(|| unread("the answer has no row".into()))?;
    serde_json::from_str(&row).map_err(|e| unread(format!("the answer cannot be read: {e}")))
}

async fn tell(at: &Endpoint, statements: &[&str], within: Span) -> Reply<()> {
    let list = statements.iter().map(|&statement| statement.to_owned()).collect();
    run(at, As::Admin, within, each(list)).await.map(|_| ())
}

/// What a superuser reads in files: the history, which holds where the timeline began, and the mark of a
/// fence.
#[derive(Default, Deserialize)]
struct Files {
    history: Option<String>,
    hba_fenced: Option<bool>,
}

fn node_work() -> Work<(Option<String>, Option<String>)> {
    Box::new(|client| {
        async move {
            let node = text(client, sql::NODE).await?;
            let told = node.as_deref().and_then(|node| serde_json::from_str::<serde_json::Value>(node).ok());
            let root = told.is_some_and(|node| node["superuser"] == true);
            let files = if root { text(client, sql::NODE_FILES).await? } else { None };
            Ok((node, files))
        }
        .boxed()
    })
}

async fn node(at: &Endpoint, within: Span) -> Reply<Node> {
    let (node, files) = run(at, As::Admin, within, node_work()).await?;
    let unread = |why: serde_json::Error| {
        Trouble::Silent(Silent { layer: Layer::Query, says: format!("the answer cannot be read: {why}") })
    };
    let mut node: Node = serde_json::from_str(node.as_deref().unwrap_or("")).map_err(unread)?;
    let files: Files = files.as_deref().map_or(Ok(Files::default()), serde_json::from_str).map_err(unread)?;
    node.forked = files.history.as_deref().and_then(forked);
    node.hba_fenced = files.hba_fenced;
    Ok(node)
}

/// The last line of a history file: `timeline TAB position TAB reason`.
fn forked(history: &str) -> Option<Lsn> {
    let line = history.lines().rev().find(|line| line.starts_with(|c: char| c.is_ascii_digit()))?;
    Lsn::parse(line.split_whitespace().nth(1)?)
}

#[derive(Deserialize)]
struct RawHba {
    path: String,
    text: String,
    broken: u32,
    rules: Vec<HbaRule>,
}

async fn hba(at: &Endpoint, within: Span) -> Reply<Hba> {
    let raw: RawHba = ask(at, sql::HBA, within).await?;
    if raw.broken > 0 {
        let says = format!("{} has {} lines that the server cannot read", raw.path, raw.broken);
        return Err(Trouble::Silent(Silent { layer: Layer::Query, says }));
    }
    Ok(Hba { path: raw.path, text: raw.text, rules: raw.rules })
}

/// Truncating and writing is not one act: only a refusal to begin proves that the file is as it was.
async fn write_hba(at: &Endpoint, content: &str, within: Span) -> Reply<()> {
    let content = content.to_owned();
    let work: Work<()> = Box::new(move |client| {
        async move {
            let path = text(client, "show hba_file").await?.unwrap_or_default();
            text(client, &sql::copy_to_file(&content, &path)).await.map(|_| ())
        }
        .boxed()
    });
    match run(at, As::Admin, within, work).await {
        Err(Trouble::Denied { sqlstate, says }) if !sqlstate.starts_with("42") => {
            Err(Trouble::Doubt { says: format!("{says} ({sqlstate})") })
        }
        other => other,
    }
}

/// Flushed once more behind them: what they had in hand is in the log then.
async fn terminate(at: &Endpoint, within: Span) -> Reply<u32> {
    let work: Work<Option<String>> = Box::new(|client| {
        async move {
            let told = text(client, sql::TERMINATE).await?;
            text(client, sql::FLUSH).await?;
            Ok(told)
        }
        .boxed()
    });
    let told = run(at, As::Admin, within, work).await?;
    Ok(told.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// What the write met, as a value: a refusal here is an answer and not an error.
enum Met {
    Nothing,
    Error { sqlstate: String, says: String },
}

fn met(result: Result<Option<String>, Error>) -> Result<Met, Error> {
    match result {
        Ok(_) => Ok(Met::Nothing),
        Err(error) => match error.as_db_error() {
            Some(db) => {
                Ok(Met::Error { sqlstate: db.code().code().to_owned(), says: db.message().to_owned() })
            }
            None => Err(error),
        },
    }
}

/// Inserts and rolls back. Without the table it creates one and rolls that back: read-only is told apart from
/// "no such table" and "no right".
fn attempt_work() -> Work<Met> {
    Box::new(|client| {
        async move {
            let insert = format!("begin; {}", sql::marker_insert("attempt", 0));
            let mut found = met(text(client, &insert).await)?;
            text(client, "rollback").await?;
            if matches!(&found, Met::Error { sqlstate, .. } if sqlstate == "42P01") {
                found = met(text(client, "begin; create table pointsman_attempt ()").await)?;
                text(client, "rollback").await?;
            }
            Ok(found)
        }
        .boxed()
    })
}

async fn attempt(at: &Endpoint, within: Span) -> Reply<Attempt> {
    match opened(at, As::App, within, attempt_work()).await {
        Ok(Met::Nothing) => Ok(Attempt::Accepted),
        // The right to a table is not what keeps a client out.
        Ok(Met::Error { sqlstate, says: _ }) if sqlstate.starts_with("42") => Ok(Attempt::Accepted),
        Ok(Met::Error { sqlstate, says }) => Ok(Attempt::RefusedBy { sqlstate, by_rules: false, says }),
        Err(Opening::Server { sqlstate, by_rules, says }) => {
            Ok(Attempt::RefusedBy { sqlstate, by_rules, says })
        }
        Err(Opening::Trouble(trouble)) => Err(trouble),
    }
}

async fn marker(at: &Endpoint, run_id: &RunId, within: Span) -> Reply<Option<Marker>> {
    let select = sql::marker_select(run_id.as_str());
    let work: Work<Option<String>> = Box::new(move |client| {
        async move {
            if text(client, sql::MARKER_EXISTS).await?.as_deref() != Some("t") {
                return Ok(None);
            }
            text(client, &select).await
        }
        .boxed()
    });
    let found = run(at, As::App, within, work).await?;
    Ok(found.and_then(|epoch| epoch.parse().ok()).map(|epoch| Marker { epoch }))
}

async fn claims(at: &Endpoint, within: Span) -> Reply<Vec<Claim>> {
    let work: Work<Option<String>> = Box::new(|client| {
        async move {
            if text(client, sql::MARKER_EXISTS).await?.as_deref() != Some("t") {
                return Ok(None);
            }
            text(client, sql::CLAIMS).await
        }
        .boxed()
    });
    let Some(found) = run(at, As::App, within, work).await? else { return Ok(vec![]) };
    let unread = |e: serde_json::Error| Silent { layer: Layer::Query, says: format!("claims: {e}") };
    let rows: Vec<String> = serde_json::from_str(&found).map_err(|e| Trouble::Silent(unread(e)))?;
    let claim = |row: &String| {
        let says = format!("{row:?} is no claim of this version");
        Claim::parse(row).ok_or(Trouble::Silent(Silent { layer: Layer::Query, says }))
    };
    rows.iter().map(claim).collect()
}

async fn mark(at: &Endpoint, run_id: &RunId, epoch: Epoch, claim: Option<&Claim>, within: Span) -> Reply<()> {
    let claim = claim.map(|claim| format!("; {}", sql::marker_insert(&claim.to_string(), epoch)));
    let insert = format!("{}{}", sql::marker_insert(run_id.as_str(), epoch), claim.unwrap_or_default());
    let work: Work<()> = Box::new(move |client| {
        async move {
            let there = text(client, sql::MARKER_EXISTS).await?.as_deref() == Some("t");
            let table = if there { String::new() } else { format!("{}; ", sql::MARKER_TABLE) };
            // One message is one transaction: the table never stays behind without the row.
            text(client, &format!("{table}{insert}")).await.map(|_| ())
        }
        .boxed()
    });
    run(at, As::App, within, work).await
}

impl Port for Wire {
    fn node<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Node>> {
        node(at, within).boxed()
    }

    fn progress<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Progress>> {
        ask(at, sql::PROGRESS, within).boxed()
    }

    fn ping<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &["select 1"], within).await }.boxed()
    }

    fn read_hba<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Hba>> {
        hba(at, within).boxed()
    }

    fn write_hba<'a>(&'a self, at: &'a Endpoint, text: &'a str, within: Span) -> BoxFuture<'a, Reply<()>> {
        write_hba(at, text, within).boxed()
    }

    fn reload<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &[sql::RELOAD], within).await }.boxed()
    }

    fn terminate_clients<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<u32>> {
        terminate(at, within).boxed()
    }

    fn set_read_only<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &[sql::SET_READ_ONLY], within).await }.boxed()
    }

    fn reset_read_only<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &[sql::RESET_READ_ONLY], within).await }.boxed()
    }

    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Attempt>> {
        attempt(at, within).boxed()
    }

    fn signal_promote<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &[sql::PROMOTE], within).await }.boxed()
    }

    fn clear_sync_standbys<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        async move { tell(at, &sql::CLEAR_SYNC, within).await }.boxed()
    }

    fn marker_row<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        within: Span,
    ) -> BoxFuture<'a, Reply<Option<Marker>>> {
        marker(at, run, within).boxed()
    }

    fn claims<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Vec<Claim>>> {
        claims(at, within).boxed()
    }

    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        claim: Option<&'a Claim>,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        mark(at, run, epoch, claim, within).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fork_is_in_the_last_line_of_the_history() {
        let text =
            "1\t0/3000098\tno recovery target specified\n\n2\t0/5000148\tno recovery target specified\n";
        assert_eq!(forked(text), Lsn::parse("0/5000148"));
        assert_eq!(forked(""), None);
    }
}
