//! How far notices have got, channel by channel, and the sign of life: rows beside the journal, written with the other
//! neighbours. What a power cut costs of them is told again, with the same id. The outbox of `worker` writes and reads.

use super::SqliteStore;
use crate::kernel::domain::{Name, Position, Time};
use crate::kernel::journal::ReadError;
use sqlx::SqliteConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What waits for the writer's next tick.
#[derive(Default)]
pub(super) struct NoticeRows {
    cursors: HashMap<Name, Position>,
    done: HashSet<(Name, Position)>,
    beat: Option<Time>,
}

/// Where a channel stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Everything up to here is dealt with.
    pub position: Position,
    /// Beyond that, these are too.
    pub done: BTreeSet<Position>,
}

impl NoticeRows {
    pub fn is_empty(&self) -> bool {
        self.cursors.is_empty() && self.done.is_empty() && self.beat.is_none()
    }

    /// What has come since a write that failed, put onto what it failed to write.
    pub fn extend(&mut self, newer: NoticeRows) {
        self.cursors.extend(newer.cursors);
        self.done.extend(newer.done);
        self.beat = newer.beat.max(self.beat);
    }

    /// Inside the transaction of all neighbours.
    pub async fn write(&self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        for (channel, position) in &self.done {
            sqlx::query("INSERT OR IGNORE INTO notice_done (channel, position) VALUES (?1, ?2)")
                .bind(channel.to_string())
                .bind(position.cast_signed())
                .execute(&mut *conn)
                .await?;
        }
        for (channel, position) in &self.cursors {
            sqlx::query(
                "INSERT INTO notice_cursor (channel, position) VALUES (?1, ?2) \
                 ON CONFLICT (channel) DO UPDATE SET position = excluded.position",
            )
            .bind(channel.to_string())
            .bind(position.cast_signed())
            .execute(&mut *conn)
            .await?;
            sqlx::query("DELETE FROM notice_done WHERE channel = ?1 AND position <= ?2")
                .bind(channel.to_string())
                .bind(position.cast_signed())
                .execute(&mut *conn)
                .await?;
        }
        if let Some(at) = self.beat {
            let sql = "INSERT INTO heartbeat (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
            sqlx::query(sql).bind(at.0).execute(&mut *conn).await?;
        }
        Ok(())
    }
}

impl SqliteStore {
    /// Every record up to here is dealt with for this channel. Kept within two seconds; never waits.
    pub fn put_notice_cursor(&self, channel: &Name, position: Position) {
        self.buffer.notices(|rows| {
            rows.cursors.insert(channel.clone(), position);
        });
    }

    /// This one too, though others before it are not. Kept within two seconds; never waits.
    pub fn put_notice_done(&self, channel: &Name, position: Position) {
        self.buffer.notices(|rows| {
            rows.done.insert((channel.clone(), position));
        });
    }

    /// `None`: the channel is new.
    pub async fn told(&self, channel: &Name) -> Result<Option<Told>, ReadError> {
        self.flush().await?;
        let failed = |e: sqlx::Error| ReadError(e.to_string());
        let position: Option<i64> =
            sqlx::query_scalar("SELECT position FROM notice_cursor WHERE channel = ?1")
                .bind(channel.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        let Some(position) = position else { return Ok(None) };
        let done: Vec<i64> = sqlx::query_scalar("SELECT position FROM notice_done WHERE channel = ?1")
            .bind(channel.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let done = done.into_iter().map(i64::cast_unsigned).collect();
        Ok(Some(Told { position: position.cast_unsigned(), done }))
    }

    /// Writes something and waits until it is durable: whether the journal could be written now.
    pub async fn prove_writable(&self, now: Time) -> Result<(), ReadError> {
        self.buffer.notices(|rows| rows.beat = Some(now));
        self.flush().await
    }
}
