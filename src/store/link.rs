//! Links that decide: 256 random bits for one person, one run and one plan, of which only the SHA-256 is kept. `worker` makes
//! one for each message that carries it; the page of `http` looks it up.

use super::neighbour::read_digest;
use super::people::PeopleDeed;
use super::token::{TokenDeed, random_text};
use super::{SqliteStore, StoreError};
use crate::kernel::domain::{Digest, Name, RunId, Secret, Span, Time};
use sqlx::{Row, SqliteConnection};

/// Kept for so long after their end, to say that they are over and not that they never were.
const REMEMBERED: Span = Span::mins(24 * 60);

/// What a link stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalLink {
    pub hash: Digest,
    pub person: Name,
    pub run: RunId,
    pub digest: Digest,
    pub created: Time,
    pub expires: Time,
}

pub(super) async fn write(conn: &mut SqliteConnection, link: PersonalLink) -> Result<u64, sqlx::Error> {
    let over = link.created.0 - REMEMBERED.0.cast_signed();
    sqlx::query("DELETE FROM approval_link WHERE expires < ?1").bind(over).execute(&mut *conn).await?;
    let sql = "INSERT INTO approval_link (hash, person, run, digest, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let done = sqlx::query(sql)
        .bind(link.hash.0.to_vec())
        .bind(link.person.to_string())
        .bind(link.run.to_string())
        .bind(link.digest.to_string())
        .bind(link.created.0)
        .bind(link.expires.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

impl SqliteStore {
    /// What the link carries; durable before it is sent. `link.hash` is set here.
    pub async fn make_link(&self, link: PersonalLink) -> Result<Secret, StoreError> {
        let text = random_text("")?;
        let link = PersonalLink { hash: Digest::of(text.as_bytes()), ..link };
        self.token_deed(TokenDeed::People(PeopleDeed::Link(Box::new(link)))).await?;
        Ok(Secret::new(text))
    }

    /// Over or not: the caller looks at its times.
    pub async fn link(&self, given: &str) -> Result<Option<PersonalLink>, StoreError> {
        let failed = |e: sqlx::Error| StoreError::token(&e);
        let sql = "SELECT hash, person, run, digest, created, expires FROM approval_link WHERE hash = ?1";
        let row = sqlx::query(sql)
            .bind(Digest::of(given.as_bytes()).0.to_vec())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let link = || -> Result<PersonalLink, sqlx::Error> {
            let digest: String = row.try_get(3)?;
            let bad = || sqlx::Error::Decode(format!("{digest:?} is no digest").into());
            Ok(PersonalLink {
                hash: read_digest(&row, 0)?,
                person: row.try_get::<String, _>(1)?.into(),
                run: row.try_get::<String, _>(2)?.into(),
                digest: Digest::parse(&digest).ok_or_else(bad)?,
                created: Time(row.try_get(4)?),
                expires: Time(row.try_get(5)?),
            })
        };
        link().map(Some).map_err(failed)
    }
}
