//! Records into the index, a page in one transaction. A page that fails leaves nothing behind.

use super::bitmap::Frequent;
use super::segment::Segment;
use super::{Filler, IndexError};
use crate::audit::{Word, facets, words};
use crate::kernel::domain::{Digest, Record, Resolved, RunId, Stamped, Stream};
use crate::store::SqliteStore;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Records of one transaction.
const PAGE: u32 = 500;
/// Remembered before the memory is emptied; forgetting costs a look-up each.
const TERMS_KEPT: usize = 50_000;
const RUNS_KEPT: usize = 64;

impl Filler {
    /// False: there is nothing to read yet. The end may be known a moment before its record can be read.
    pub(super) async fn take_page(&mut self, store: &SqliteStore) -> Result<bool, IndexError> {
        let records = store.stamped(self.at + 1, PAGE).await?;
        let Some((last, hash)) = records.last().map(|(stamped, hash)| (stamped.position, *hash)) else {
            return Ok(false);
        };
        self.begun = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.conn).await?;
        let kept = self.write(store, records, hash).await?;
        sqlx::query("COMMIT").execute(&mut self.conn).await?;
        self.begun = false;
        self.at = last;
        if let Some(kept) = kept {
            self.frequent.send_replace(Arc::new(kept));
        }
        Ok(true)
    }

    /// After a page that failed, or whose question went away in the middle of it: nothing of it stays, or all of it.
    pub(super) async fn recover(&mut self) -> Result<(), IndexError> {
        if !self.begun {
            return Ok(());
        }
        // Where no transaction is open this is an error without meaning.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.conn).await;
        let at: i64 = sqlx::query_scalar("SELECT position FROM reached").fetch_one(&mut self.conn).await?;
        // Ids that were given in that page may not be true, nor its table of words be there.
        (self.at, self.segment, self.terms) = (at.cast_unsigned(), None, HashMap::new());
        let known = self.known_bits().await?;
        self.frequent.send_replace(Arc::new(known));
        self.begun = false;
        Ok(())
    }

    /// All of it goes, in one transaction.
    pub(super) async fn begin_anew(&mut self) -> Result<(), IndexError> {
        self.begun = true;
        let words = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%'";
        let words: Vec<String> = sqlx::query_scalar(words).fetch_all(&mut self.conn).await?;
        let words: String = words.iter().map(|table| format!("DROP TABLE {table}; ")).collect();
        let empty = format!(
            "BEGIN IMMEDIATE; DELETE FROM entry; DELETE FROM term; DELETE FROM bitmap; {words}\
             UPDATE reached SET first = 0, position = 0, hash = zeroblob(32); COMMIT"
        );
        // What is known by heart goes first: a question that still sees the records asks those themselves.
        self.frequent.send_replace(Arc::default());
        sqlx::raw_sql(AssertSqlSafe(empty)).execute(&mut self.conn).await?;
        (self.at, self.segment, self.terms, self.runs) = (0, None, HashMap::new(), HashMap::new());
        self.begun = false;
        Ok(())
    }

    async fn write(
        &mut self,
        store: &SqliteStore,
        records: Vec<(Stamped, Digest)>,
        hash: Digest,
    ) -> Result<Option<Frequent>, IndexError> {
        let mut entries: Vec<Value> = vec![];
        let mut texts: BTreeMap<Segment, Vec<Value>> = BTreeMap::new();
        let mut uses: BTreeMap<i64, i64> = BTreeMap::new();
        let mut last = self.at;
        for (stamped, _) in &records {
            let run = self.run_of(store, stamped).await?;
            let facets = facets(stamped, run.as_deref());
            let mut row = vec![json!(stamped.position)];
            for word in Word::ALL {
                row.push(match facets.get(word) {
                    Some(text) => {
                        let id = self.term(word, text).await?;
                        *uses.entry(id).or_default() += 1;
                        json!(id)
                    }
                    None => Value::Null,
                });
            }
            entries.push(Value::Array(row));
            let text = json!([stamped.position, words(stamped, run.as_deref())]);
            texts.entry(Segment::of(stamped.position)).or_default().push(text);
            last = stamped.position;
        }
        let rows = |rows: Vec<Value>| Value::Array(rows).to_string();
        let entry = "INSERT INTO entry SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, \
                     value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10 FROM json_each(?1)";
        sqlx::query(entry).bind(rows(entries)).execute(&mut self.conn).await?;
        for (segment, texts) in texts {
            self.say(segment, rows(texts)).await?;
        }
        let counts = uses.into_iter().map(|(id, more)| json!([id, more])).collect();
        let count = "UPDATE term SET uses = uses + (more.value ->> 1) FROM json_each(?1) AS more \
                     WHERE term.id = more.value ->> 0";
        sqlx::query(count).bind(rows(counts)).execute(&mut self.conn).await?;
        let first = records.first().map_or(last, |(stamped, _)| stamped.position);
        let reached =
            "UPDATE reached SET position = ?1, hash = ?2, first = CASE WHEN first = 0 THEN ?3 ELSE first END";
        sqlx::query(reached)
            .bind(last.cast_signed())
            .bind(hash.0.to_vec())
            .bind(first.cast_signed())
            .execute(&mut self.conn)
            .await?;
        self.keep_bits(last).await
    }

    async fn say(&mut self, segment: Segment, rows: String) -> Result<(), IndexError> {
        let table = segment.table();
        if self.segment != Some(segment) {
            let options = "text, content = '', tokenize = 'unicode61'";
            let made = format!("CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5 ({options})");
            sqlx::query(AssertSqlSafe(made)).execute(&mut self.conn).await?;
            self.segment = Some(segment);
        }
        let said =
            format!("INSERT INTO {table} (rowid, text) SELECT value ->> 0, value ->> 1 FROM json_each(?1)");
        sqlx::query(AssertSqlSafe(said)).bind(rows).execute(&mut self.conn).await?;
        Ok(())
    }

    async fn term(&mut self, word: Word, text: &str) -> Result<i64, IndexError> {
        let key = (word as i64, text.to_owned());
        if let Some(id) = self.terms.get(&key) {
            return Ok(*id);
        }
        if self.terms.len() >= TERMS_KEPT {
            self.terms.clear();
        }
        // The update that changes nothing makes RETURNING answer for a row that is there.
        let sql = "INSERT INTO term (word, text) VALUES (?1, ?2) \
                   ON CONFLICT (word, text) DO UPDATE SET uses = uses RETURNING id";
        let row = sqlx::query(sql).bind(key.0).bind(text.to_owned()).fetch_one(&mut self.conn).await?;
        let id = row.try_get(0)?;
        self.terms.insert(key, id);
        Ok(id)
    }

    /// What the record's run was opened with.
    async fn run_of(
        &mut self,
        store: &SqliteStore,
        stamped: &Stamped,
    ) -> Result<Option<Arc<Resolved>>, IndexError> {
        let Stream::Run(id) = &stamped.stream else { return Ok(None) };
        if let Some(known) = self.runs.get(id) {
            return Ok(known.clone());
        }
        if self.runs.len() >= RUNS_KEPT {
            self.runs.clear();
        }
        let found = opened(store, id).await?;
        self.runs.insert(id.clone(), found.clone());
        Ok(found)
    }
}

async fn opened(store: &SqliteStore, id: &RunId) -> Result<Option<Arc<Resolved>>, IndexError> {
    let first = store.first(&Stream::Run(id.clone())).await?;
    Ok(match first.map(|stamped| stamped.record) {
        Some(Record::Opened(spec)) => Some(Arc::from(spec)),
        Some(_) | None => None,
    })
}
