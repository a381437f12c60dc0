//! Codes to sign in with, and browsers that are signed in: rows beside the journal, which holds who signed in when. The
//! pages of `http` use them; `token login-code` and `token recovery-codes` write beside a running server.

use super::neighbour::read_digest;
use super::token::TokenDeed;
use super::{SqliteStore, StoreError, code, open};
use crate::kernel::domain::{Digest, Name, Secret, SignIn, Span, Time};
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

/// A code for now is typed within minutes.
pub const CODE_LASTS: Span = Span::mins(10);
/// A night and the morning after it.
pub const SESSION_LASTS: Span = Span::mins(12 * 60);
pub const RECOVERY_CODES: usize = 8;

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub hash: Digest,
    pub person: Name,
    pub how: SignIn,
    pub created: Time,
    pub expires: Time,
}

#[derive(Debug)]
pub(super) enum PeopleDeed {
    MakeCode {
        hash: Digest,
        person: Name,
        how: SignIn,
        at: Time,
    },
    /// One row only if it is unused and in time.
    UseCode {
        hash: Digest,
        at: Time,
    },
    /// New recovery codes take the place of all older ones.
    ForgetRecovery {
        person: Name,
    },
    Begin(Session),
    End {
        hash: Digest,
    },
    Posted(Box<super::Posted>),
    Link(Box<super::PersonalLink>),
}

fn word(how: SignIn) -> &'static str {
    match how {
        SignIn::Code => "code",
        SignIn::Recovery => "recovery",
    }
}

fn of_word(word: &str) -> Result<SignIn, sqlx::Error> {
    match word {
        "code" => Ok(SignIn::Code),
        "recovery" => Ok(SignIn::Recovery),
        other => Err(sqlx::Error::Decode(format!("a code of the unknown kind {other:?}").into())),
    }
}

pub(super) async fn carry_out(conn: &mut SqliteConnection, deed: PeopleDeed) -> Result<u64, sqlx::Error> {
    let query = match deed {
        PeopleDeed::MakeCode { hash, person, how, at } => {
            let expires = (how == SignIn::Code).then_some((at + CODE_LASTS).0);
            // What nobody can use any more is no history: the journal has who signed in.
            let sql = "DELETE FROM sign_in_code WHERE expires IS NOT NULL AND expires < ?1";
            sqlx::query(sql).bind(at.0).execute(&mut *conn).await?;
            sqlx::query("INSERT INTO sign_in_code (hash, person, kind, created, expires) VALUES (?1, ?2, ?3, ?4, ?5)")
                .bind(hash.0.to_vec())
                .bind(person.to_string())
                .bind(word(how))
                .bind(at.0)
                .bind(expires)
        }
        PeopleDeed::UseCode { hash, at } => sqlx::query(
            "UPDATE sign_in_code SET used = ?2 WHERE hash = ?1 AND used IS NULL AND (expires IS NULL OR expires > ?2)",
        )
        .bind(hash.0.to_vec())
        .bind(at.0),
        PeopleDeed::ForgetRecovery { person } => {
            sqlx::query("DELETE FROM sign_in_code WHERE kind = 'recovery' AND person = ?1")
                .bind(person.to_string())
        }
        PeopleDeed::Begin(session) => {
            let sql = "DELETE FROM session WHERE expires < ?1";
            sqlx::query(sql).bind(session.created.0).execute(&mut *conn).await?;
            sqlx::query("INSERT INTO session (hash, person, how, created, expires) VALUES (?1, ?2, ?3, ?4, ?5)")
                .bind(session.hash.0.to_vec())
                .bind(session.person.to_string())
                .bind(word(session.how))
                .bind(session.created.0)
                .bind(session.expires.0)
        }
        PeopleDeed::Posted(posted) => return super::slack::write(conn, *posted).await,
        PeopleDeed::Link(link) => return super::link::write(conn, *link).await,
        PeopleDeed::End { hash } => {
            sqlx::query("DELETE FROM session WHERE hash = ?1").bind(hash.0.to_vec())
        }
    };
    Ok(query.execute(conn).await?.rows_affected())
}

/// Letters and digits that nobody mixes up, in groups of four: 60 bits for a code that lasts minutes, 100 for one that
/// lies in a safe.
fn new_code(how: SignIn) -> Result<String, StoreError> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letters = match how {
        SignIn::Code => 12,
        SignIn::Recovery => 20,
    };
    let mut random = vec![0_u8; letters];
    getrandom::fill(&mut random).map_err(|e| StoreError::token(&e))?;
    let text: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    Ok(text.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// As people type it: small letters, spaces, and the letters that look like digits.
fn hash_of(typed: &str) -> Digest {
    let plain = typed.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    Digest::of(plain.collect::<String>().as_bytes())
}

impl SqliteStore {
    /// Who may sign in by this code; from now on it is good for nothing.
    pub async fn use_code(&self, typed: &str, now: Time) -> Result<Option<(Name, SignIn)>, StoreError> {
        let hash = hash_of(typed);
        if self.token_deed(TokenDeed::People(PeopleDeed::UseCode { hash, at: now })).await? == 0 {
            return Ok(None);
        }
        let failed = |e: sqlx::Error| StoreError::token(&e);
        let row = sqlx::query("SELECT person, kind FROM sign_in_code WHERE hash = ?1")
            .bind(hash.0.to_vec())
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
        let how = of_word(row.try_get(1).map_err(failed)?).map_err(failed)?;
        Ok(Some((row.try_get::<String, _>(0).map_err(failed)?.into(), how)))
    }

    /// A code for one person and the next minutes; shown once.
    pub async fn make_code(&self, person: &Name, now: Time) -> Result<Secret, StoreError> {
        let text = new_code(SignIn::Code)?;
        let (hash, person) = (hash_of(&text), person.clone());
        let deed = PeopleDeed::MakeCode { hash, person, how: SignIn::Code, at: now };
        self.token_deed(TokenDeed::People(deed)).await?;
        Ok(Secret::new(text))
    }

    /// The cookie of a browser that just signed in.
    pub async fn begin_session(&self, person: &Name, how: SignIn, now: Time) -> Result<Secret, StoreError> {
        let text = super::token::random_text("")?;
        let hash = Digest::of(text.as_bytes());
        let session =
            Session { hash, person: person.clone(), how, created: now, expires: now + SESSION_LASTS };
        self.token_deed(TokenDeed::People(PeopleDeed::Begin(session))).await?;
        Ok(Secret::new(text))
    }

    pub async fn end_session(&self, cookie: &str) -> Result<(), StoreError> {
        let hash = Digest::of(cookie.as_bytes());
        self.token_deed(TokenDeed::People(PeopleDeed::End { hash })).await.map(drop)
    }

    /// The session that this cookie stands for, while it lasts.
    pub async fn session(&self, cookie: &str, now: Time) -> Result<Option<Session>, StoreError> {
        let failed = |e: sqlx::Error| StoreError::token(&e);
        let sql = "SELECT hash, person, how, created, expires FROM session WHERE hash = ?1 AND expires > ?2";
        let row = sqlx::query(sql)
            .bind(Digest::of(cookie.as_bytes()).0.to_vec())
            .bind(now.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let session = || -> Result<Session, sqlx::Error> {
            Ok(Session {
                hash: read_digest(&row, 0)?,
                person: row.try_get::<String, _>(1)?.into(),
                how: of_word(row.try_get(2)?)?,
                created: Time(row.try_get(3)?),
                expires: Time(row.try_get(4)?),
            })
        };
        session().map(Some).map_err(failed)
    }
}

/// `token login-code` and `token recovery-codes`: rows of an existing database, beside a running server.
pub async fn make_codes(
    dir: &Path,
    person: &Name,
    how: SignIn,
    now: Time,
) -> Result<Vec<Secret>, StoreError> {
    // Looked for first with a connection that only reads: a wrong directory stays as it is.
    open::existing(dir).await?;
    let path = open::database_file(dir);
    let mut conn = open::guest(dir).await.map_err(|e| StoreError::open(&path, &e))?;
    open::require_current(dir, &mut conn).await?;
    let failed = |e: sqlx::Error| {
        let next = "see whether the disk is full or read-only, then try again";
        StoreError::new(code::TOKEN, format!("cannot keep the code: {e}"), "no code is good", next)
    };
    let mut tx = conn.begin().await.map_err(failed)?;
    let count = match how {
        SignIn::Code => 1,
        SignIn::Recovery => RECOVERY_CODES,
    };
    if how == SignIn::Recovery {
        let deed = PeopleDeed::ForgetRecovery { person: person.clone() };
        carry_out(&mut tx, deed).await.map_err(failed)?;
    }
    let mut codes = vec![];
    for _ in 0..count {
        let text = new_code(how)?;
        let deed = PeopleDeed::MakeCode { hash: hash_of(&text), person: person.clone(), how, at: now };
        carry_out(&mut tx, deed).await.map_err(failed)?;
        codes.push(Secret::new(text));
    }
    tx.commit().await.map_err(failed)?;
    conn.close().await.map_err(|e| StoreError::token(&e))?;
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_understood_as_people_type_it() {
        let code = new_code(SignIn::Code).unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (14, 2));
        assert_eq!(new_code(SignIn::Recovery).unwrap().len(), 24);
        let typed = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(hash_of(&typed), hash_of(&code), "{typed}");
        assert_ne!(hash_of(&code), hash_of(&new_code(SignIn::Code).unwrap()));
    }
}
