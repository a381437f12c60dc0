//! Messages that were posted in Slack and may have to be changed later: rows beside the journal. The Slack channel of `notify`
//! writes them before and after it posts; who presses a button is led from its id to the question.

use super::people::PeopleDeed;
use super::token::TokenDeed;
use super::{SqliteStore, StoreError};
use crate::kernel::domain::{Digest, Name, Position, RunId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// Closed ones further back than this are forgotten: nobody presses a button that is not there.
const FORGET: i64 = 200_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub channel: Name,
    /// Of the record that it tells of.
    pub position: Position,
    pub run: RunId,
    /// Of a question: what its buttons carry.
    pub ask: Option<String>,
    pub digest: Digest,
    /// Slack's name of the message; none while it is not known to be posted.
    pub ts: Option<String>,
    pub title: String,
    /// Blocks, as JSON, without the buttons.
    pub body: String,
    /// It has buttons.
    pub open: bool,
}

pub(super) async fn write(conn: &mut SqliteConnection, posted: Posted) -> Result<u64, sqlx::Error> {
    let position = posted.position.cast_signed();
    sqlx::query("DELETE FROM slack_message WHERE channel = ?1 AND open = 0 AND position < ?2")
        .bind(posted.channel.to_string())
        .bind(position - FORGET)
        .execute(&mut *conn)
        .await?;
    let sql = "INSERT INTO slack_message (channel, position, run, ask, digest, ts, title, body, open) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               ON CONFLICT (channel, position) DO UPDATE SET ts = excluded.ts, body = excluded.body, open = excluded.open";
    let done = sqlx::query(sql)
        .bind(posted.channel.to_string())
        .bind(position)
        .bind(posted.run.to_string())
        .bind(posted.ask)
        .bind(posted.digest.to_string())
        .bind(posted.ts)
        .bind(posted.title)
        .bind(posted.body)
        .bind(posted.open)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

fn read(row: &SqliteRow) -> Result<Posted, sqlx::Error> {
    let digest: String = row.try_get(4)?;
    let bad = || sqlx::Error::Decode(format!("{digest:?} is no digest").into());
    Ok(Posted {
        channel: row.try_get::<String, _>(0)?.into(),
        position: row.try_get::<i64, _>(1)?.cast_unsigned(),
        run: row.try_get::<String, _>(2)?.into(),
        ask: row.try_get(3)?,
        digest: Digest::parse(&digest).ok_or_else(bad)?,
        ts: row.try_get(5)?,
        title: row.try_get(6)?,
        body: row.try_get(7)?,
        open: row.try_get(8)?,
    })
}

impl SqliteStore {
    /// Durable when this returns.
    pub async fn keep_posted(&self, posted: Posted) -> Result<(), StoreError> {
        self.token_deed(TokenDeed::People(PeopleDeed::Posted(Box::new(posted)))).await.map(drop)
    }

    /// Oldest first.
    pub async fn posted(&self, channel: &Name, run: &RunId) -> Result<Vec<Posted>, StoreError> {
        let sql = "SELECT channel, position, run, ask, digest, ts, title, body, open FROM slack_message \
                   WHERE run = ?1 AND channel = ?2 ORDER BY position";
        let rows = sqlx::query(sql).bind(run.to_string()).bind(channel.to_string()).fetch_all(&self.readers);
        let rows = rows.await.map_err(|e| StoreError::token(&e))?;
        rows.iter().map(|row| read(row).map_err(|e| StoreError::token(&e))).collect()
    }

    /// The question that a button stands for.
    pub async fn posted_by_ask(&self, ask: &str) -> Result<Option<Posted>, StoreError> {
        let sql = "SELECT channel, position, run, ask, digest, ts, title, body, open FROM slack_message WHERE ask = ?1";
        let row = sqlx::query(sql).bind(ask.to_owned()).fetch_optional(&self.readers).await;
        let row = row.map_err(|e| StoreError::token(&e))?;
        row.as_ref().map(read).transpose().map_err(|e| StoreError::token(&e))
    }
}
