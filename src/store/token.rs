//! Access tokens: 256 random bits, of which only the SHA-256 is kept. `http` and the hooks look them up; `token
//! create`, `token list` and `token revoke` work beside a running server.

use super::neighbour::read_digest;
use super::people::{self, PeopleDeed};
use super::plan::{self, KeptPlan};
use super::writer::Job;
use super::{DirLock, SqliteStore, StoreError, code, open};
use crate::kernel::domain::{Digest, Name, Role, Secret, Time};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

const PREFIX: &str = "pm_";

/// What is known of a token; the token itself is known to its holder only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token; its first characters name it in lists.
    pub hash: Digest,
    pub holder: Holder,
    pub created: Time,
    pub expires: Option<Time>,
    pub last_used: Option<Time>,
    pub revoked: Option<Time>,
}

/// Whose token it is, and so what it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A person of the configuration, with all of their roles or only with this one.
    Person { name: Name, only: Option<Role> },
    /// A program, or somebody who is in no configuration: one role for everything.
    Named { name: Name, role: Role },
}

impl Holder {
    pub fn name(&self) -> &Name {
        match self {
            Holder::Person { name, .. } | Holder::Named { name, .. } => name,
        }
    }
    pub fn role(&self) -> Option<Role> {
        match self {
            Holder::Person { only, .. } => *only,
            Holder::Named { role, .. } => Some(*role),
        }
    }
}

/// Characters of the hash that name a token; 48 bits of a hash help nobody to guess 256 random ones.
const ID: usize = 12;
/// Fewest characters of an id that are taken for it.
const ID_AT_LEAST: usize = 6;

impl Token {
    pub fn id(&self) -> String {
        self.hash.to_string().chars().take(ID).collect()
    }
    pub fn has_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

#[derive(Debug)]
pub(super) enum TokenDeed {
    Insert(Token),
    Revoke { hash: Digest, at: Time },
    People(PeopleDeed),
    Plan(KeptPlan),
}

/// Rows changed.
pub(super) type TokenReply = Result<u64, String>;

pub(super) async fn carry_out(conn: &mut SqliteConnection, deed: TokenDeed) -> Result<u64, sqlx::Error> {
    let query = match deed {
        TokenDeed::Insert(token) => sqlx::query(
            "INSERT INTO token (hash, role, name, created, person, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(token.hash.0.to_vec())
        .bind(token.holder.role().map_or("", Role::as_str))
        .bind(token.holder.name().to_string())
        .bind(token.created.0)
        .bind(i64::from(matches!(token.holder, Holder::Person { .. })))
        .bind(token.expires.map(|at| at.0)),
        TokenDeed::Revoke { hash, at } => {
            sqlx::query("UPDATE token SET revoked = ?2 WHERE hash = ?1 AND revoked IS NULL")
                .bind(hash.0.to_vec())
                .bind(at.0)
        }
        TokenDeed::People(deed) => return people::carry_out(conn, deed).await,
        TokenDeed::Plan(kept) => return plan::carry_out(conn, kept).await,
    };
    Ok(query.execute(conn).await?.rows_affected())
}

/// A new token and the row for it.
fn make(holder: Holder, expires: Option<Time>, now: Time) -> Result<(Secret, Token), StoreError> {
    let text = random_text(PREFIX)?;
    let hash = Digest::of(text.as_bytes());
    let token = Token { hash, holder, created: now, expires, last_used: None, revoked: None };
    Ok((Secret::new(text), token))
}

/// 256 random bits, as text.
pub(super) fn random_text(prefix: &str) -> Result<String, StoreError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|e| StoreError::token(&e))?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random)))
}

fn decode(row: &SqliteRow) -> Result<Token, StoreError> {
    let token = || -> Result<Token, sqlx::Error> {
        let role: String = row.try_get(1)?;
        let unknown = || sqlx::Error::Decode(format!("a token has the unknown role {role:?}").into());
        let name = Name::from(row.try_get::<String, _>(2)?);
        let known = Role::parse(&role);
        let holder = match (row.try_get::<i64, _>(6)? != 0, known) {
            (true, only) if only.is_some() || role.is_empty() => Holder::Person { name, only },
            (false, Some(role)) => Holder::Named { name, role },
            _ => return Err(unknown()),
        };
        let time = |column: usize| row.try_get::<Option<i64>, _>(column).map(|t| t.map(Time));
        Ok(Token {
            hash: read_digest(row, 0)?,
            holder,
            created: Time(row.try_get(3)?),
            expires: time(7)?,
            last_used: time(4)?,
            revoked: time(5)?,
        })
    };
    token().map_err(|e| StoreError::token(&e))
}

/// The token table as last read: a request must not cost a query.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    /// Raised by `clear`, so that a list read before it is not put in after it.
    generation: u64,
    tokens: Option<Arc<Vec<Token>>>,
}

impl TokenCache {
    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.0.lock().expect("invariant: no panic while holding the lock")
    }
    fn get(&self) -> Option<Arc<Vec<Token>>> {
        self.lock().tokens.clone()
    }
    fn generation(&self) -> u64 {
        self.lock().generation
    }
    fn put(&self, generation: u64, tokens: Arc<Vec<Token>>) {
        let mut cached = self.lock();
        if cached.generation == generation {
            cached.tokens = Some(tokens);
        }
    }
    /// The writer calls this when another process has written to the database.
    pub fn clear(&self) {
        let mut cached = self.lock();
        cached.generation += 1;
        cached.tokens = None;
    }
}

/// Every hash is compared, and in full: the time tells nothing about how much was right.
fn search(tokens: &[Token], hash: Digest) -> Option<Token> {
    let mut found = None;
    for token in tokens {
        let same: bool = token.hash.0.ct_eq(&hash.0).into();
        if same && token.revoked.is_none() {
            found = Some(token);
        }
    }
    found.cloned()
}

impl SqliteStore {
    /// Returned once; it cannot be shown again.
    pub async fn insert_token(&self, role: Role, name: &Name, now: Time) -> Result<Secret, StoreError> {
        let (secret, token) = make(Holder::Named { name: name.clone(), role }, None, now)?;
        self.token_deed(TokenDeed::Insert(token)).await?;
        Ok(secret)
    }

    /// The live token that was presented. One made beside this process counts at once, one revoked beside it
    /// within two seconds, one revoked here at once.
    pub async fn authenticate(&self, presented: &str, now: Time) -> Result<Option<Token>, StoreError> {
        let hash = Digest::of(presented.as_bytes());
        let known = self.cache.get();
        let mut found = known.as_ref().and_then(|known| search(known, hash));
        if found.is_none() {
            let generation = self.cache.generation();
            let fresh = Arc::new(self.tokens().await?);
            self.cache.put(generation, fresh.clone());
            found = search(&fresh, hash);
        }
        found = found.filter(|token| !token.has_expired(now));
        if let Some(token) = &found {
            self.buffer.used(token.hash, now);
        }
        Ok(found)
    }

    /// Oldest first, revoked ones too.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        all(&self.readers).await
    }

    /// False: there is no such live token.
    pub async fn revoke_token(&self, hash: Digest, now: Time) -> Result<bool, StoreError> {
        let revoked = self.token_deed(TokenDeed::Revoke { hash, at: now }).await;
        self.cache.clear();
        Ok(revoked? > 0)
    }

    pub(super) async fn token_deed(&self, deed: TokenDeed) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        let closed = |_| StoreError::token(&"the store is closed, or too many wait");
        self.jobs.try_send(Job::Token(deed, reply)).map_err(closed)?;
        let failed = |why: String| StoreError::token(&why);
        self.answer(answer).await.map_err(failed)?.map_err(failed)
    }
}

async fn all<'e>(from: impl sqlx::SqliteExecutor<'e>) -> Result<Vec<Token>, StoreError> {
    let sql = "SELECT hash, role, name, created, last_used, revoked, person, expires FROM token ORDER BY created, hash";
    let rows = sqlx::query(sql).fetch_all(from).await.map_err(|e| StoreError::token(&e))?;
    rows.iter().map(decode).collect()
}

/// `token list`: oldest first, revoked ones too. Reads beside a running server, which notes uses each second.
pub async fn list_tokens(dir: &Path) -> Result<Vec<Token>, StoreError> {
    all(&mut open::existing(dir).await?).await
}

/// `token revoke`: the token and whether it was live until now. A running server stops taking it within two seconds.
pub async fn revoke_token(dir: &Path, id: &str, now: Time) -> Result<(Token, bool), StoreError> {
    // Looked for first with a connection that only reads: a wrong directory stays as it is.
    let found = named(list_tokens(dir).await?, id)?;
    let path = open::database_file(dir);
    let mut conn = open::guest(dir).await.map_err(|e| StoreError::open(&path, &e))?;
    let deed = TokenDeed::Revoke { hash: found.hash, at: now };
    let changed = carry_out(&mut conn, deed).await.map_err(|e| StoreError::token(&e))?;
    conn.close().await.map_err(|e| StoreError::token(&e))?;
    Ok((found, changed > 0))
}

fn named(tokens: Vec<Token>, id: &str) -> Result<Token, StoreError> {
    let wanted = id.trim().to_ascii_lowercase();
    let mut found: Vec<Token> =
        tokens.into_iter().filter(|t| t.hash.to_string().starts_with(&wanted)).collect();
    let long_enough = wanted.len() >= ID_AT_LEAST;
    if let (1, true, Some(token)) = (found.len(), long_enough, found.pop()) {
        return Ok(token);
    }
    let what = match long_enough {
        false => format!("an id has at least {ID_AT_LEAST} characters, {id:?} has fewer"),
        true => format!("not exactly one token has the id {id:?}"),
    };
    let next = "`pointsman token list --data DIR` shows them";
    Err(StoreError::new(code::NO_TOKEN, what, "no token was revoked", next))
}

/// `token create`: one row, beside a running server and without its lock. Where there is no database yet it is
/// made, under the lock.
pub async fn create_token(
    dir: &Path,
    holder: Holder,
    expires: Option<Time>,
    now: Time,
) -> Result<Secret, StoreError> {
    if !open::database_file(dir).exists() {
        let _lock = DirLock::take(dir)?;
        open::create_file(dir)?;
        let path = open::database_file(dir);
        let mut conn = open::writer(dir).await.map_err(|e| StoreError::open(&path, &e))?;
        open::prepare(dir, &mut conn).await?;
        conn.close().await.map_err(|e| StoreError::open(&path, &e))?;
    }
    let (secret, token) = make(holder, expires, now)?;
    let path = open::database_file(dir);
    let mut conn = open::guest(dir).await.map_err(|e| StoreError::open(&path, &e))?;
    open::require_current(dir, &mut conn).await?;
    carry_out(&mut conn, TokenDeed::Insert(token)).await.map_err(|e| {
        StoreError::new(
            code::TOKEN,
            format!("cannot keep the new token: {e}"),
            "no token was made",
            "see whether the disk is full or read-only, then try again",
        )
    })?;
    conn.close().await.map_err(|e| StoreError::token(&e))?;
    Ok(secret)
}
