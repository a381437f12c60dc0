//! `audit verify` and the cached rows: real runs of the shipped playbook, driven in the simulated world, and their
//! appends put into SQLite. Honest rows pass at every moment; a change of any column is named.

use crate::sim::plot::{NOW, Plot, Staged as _, shipped};
use crate::sim::{CUT_OFF, KILLED};
use futures_util::future::BoxFuture;
use pointsman::kernel::domain::{Digest, Epoch, Name, Position, Record, Seq, SourceKind, Stream};
use pointsman::kernel::drive::{Driver, Pass, opening};
use pointsman::kernel::engine::alerts_cached;
use pointsman::kernel::journal::{
    AppendError, Backend, Entry, Head, Journal, MemoryBackend, NewEntry, RawBatch, RawPart, ReadError, Row,
    Summarised, Written,
};
use pointsman::kernel::port::World as _;
use pointsman::kernel::sim::{Schedule, Sim};
use pointsman::provider::ProviderRegistry;
use pointsman::simulated::world::{Start, TwoSites};
use pointsman::store::{Difference, SqliteStore, VerifyReport, code, verify, verify_resuming};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A journal in memory that remembers what was appended.
#[derive(Default)]
struct Tee(MemoryBackend, Mutex<Vec<RawBatch>>);

impl Backend for Tee {
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>> {
        let written = self.0.append_now(&batch);
        if written.is_ok() {
            self.1.lock().unwrap().push(batch);
        }
        Box::pin(std::future::ready(written))
    }
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        self.0.read(stream, from)
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.0.scan(from, max)
    }
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>> {
        self.0.epoch(service)
    }
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>> {
        self.0.cursor(name)
    }
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>> {
        self.0.content(digest)
    }
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>> {
        self.0.summaries(prefix, max)
    }
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>> {
        self.0.head()
    }
}

/// Opens the run and drives it by another process than the one that opened it, until it waits for a person or ends.
fn drive(tee: &Arc<Tee>, run: &str, epoch: Epoch, start: Start) {
    let mut plot = Plot::shipped(&shipped()[0].0, start);
    plot.spec.run = run.into();
    plot.spec.epoch = epoch;
    let sim = Sim::new(Schedule::default(), NOW);
    let sites = TwoSites::new(&plot.config, &plot.spec, sim.fuse.clone(), start, None, &sim.world).unwrap();
    let registry = ProviderRegistry { config: plot.config.clone(), ports: sites.ports() };
    let journal = Journal::new(tee.clone());
    let (world, samples) = (Arc::new(sim.world.clone()), sites.samples(&sim.world));
    let driver = Driver::new(&journal, &registry, world, samples, "life 1");
    let whole = async {
        journal.append(opening(&plot.spec, sim.world.now()).unwrap()).await.unwrap();
        for _ in 0..1_000 {
            match driver.drive(&plot.spec.run).await.unwrap() {
                Pass::Waiting { wake: Some(at), .. } => sim.world.advance_to(at),
                Pass::Waiting { wake: None, .. } | Pass::Finished(_) | Pass::Observed(_) => return,
            }
        }
        panic!("it does not come to an end");
    };
    sim.block_on(whole).unwrap();
}

/// One run that succeeded, one that waits for a person and holds its locks, and an alert that started nothing. The
/// clock of the second run stands behind the journal's last time.
fn appends() -> Vec<RawBatch> {
    let tee = Arc::new(Tee::default());
    drive(&tee, "S1M001", 1, KILLED);
    drive(&tee, "S1M002", 3, CUT_OFF);
    let mut all = std::mem::take(&mut *tee.1.lock().unwrap());
    let (between, last) = (all.len() / 2, all.len());
    all.insert(last, claim(1, 9));
    all.insert(between, claim(0, 7));
    let opened = Record::OccurrenceOpened {
        occurrence: "am/f/1".into(),
        kind: SourceKind::Alertmanager,
        fingerprint: "f".into(),
        labels: json!({}),
        annotations: Value::Null,
        started: NOW,
        delivery: 7,
    };
    let part = RawPart {
        stream: Stream::Alerts("am".into()),
        expect: Some(0),
        entries: vec![NewEntry::of(&opened)],
        summary: alerts_cached(&opened),
    };
    let rows = vec![Row::Cursor { name: "triage".into(), position: 7 }];
    all.push(RawBatch { at: NOW, parts: vec![part], epoch: None, rows });
    all
}

/// What `ahead` writes when a target has seen a later state of this journal.
fn claim(seq: Seq, epoch: Epoch) -> RawBatch {
    let claimed = Record::Claimed { owner: "a later state of this journal".into(), epoch };
    let part = RawPart {
        stream: Stream::Service("blog".into()),
        expect: Some(seq),
        entries: vec![NewEntry::of(&claimed)],
        summary: None,
    };
    let rows = vec![Row::RaiseEpoch { service: "blog".into(), to: epoch }];
    RawBatch { at: NOW, parts: vec![part], epoch: None, rows }
}

async fn verified(dir: &Path) -> VerifyReport {
    let report = verify(dir, 1..=u64::MAX, |_| {}).await.unwrap();
    assert!(report.chain_ok(), "{report:?}");
    report
}

#[tokio::test]
async fn honest_rows_are_what_their_records_say_after_every_append() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    for batch in appends() {
        store.append(batch.clone()).await.unwrap();
        let report = verified(dir.path()).await;
        assert!(report.ok(), "after {batch:?}: {:#?}", report.differences);
    }
    store.close().await;
    // Two runs, one source; a service and six targets at least; one service; one reader.
    assert!(verified(dir.path()).await.cached >= 12);
}

#[tokio::test]
async fn appends_in_flight_are_no_difference() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let (batches, path) = (appends(), dir.path().to_owned());
    let looking = tokio::spawn(async move {
        let mut ends = std::collections::BTreeSet::new();
        loop {
            let report = verified(&path).await;
            assert!(report.ok(), "{:#?}", report.differences);
            ends.insert(report.to);
            if report.differences.is_empty() && store_is_done(&path) {
                return ends.len();
            }
        }
    });
    for batch in batches {
        store.append(batch).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    std::fs::write(dir.path().join("done"), "").unwrap();
    let looks = looking.await.unwrap();
    assert!(looks > 5, "only {looks} looks met another end");
    store.close().await;
}

fn store_is_done(dir: &Path) -> bool {
    dir.join("done").exists()
}

#[tokio::test]
async fn claims_of_what_was_checked_earlier_count_as_well() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, then) = (state.path().join("first"), state.path().join("then"));
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let resumed = async |file: &Path| {
        let report = verify_resuming(dir.path(), file, |_| {}).await.unwrap();
        assert!(report.chain_ok(), "{report:?}");
        report
    };
    let mut parts = appends();
    let rest = parts.split_off(parts.len() * 3 / 4);
    for batch in parts {
        store.append(batch).await.unwrap();
    }
    assert!(resumed(&first).await.ok());
    for batch in rest {
        store.append(batch).await.unwrap();
        assert!(resumed(&first).await.ok(), "the claim of 7 is in the file, that of 9 comes in between");
    }
    assert!(resumed(&first).await.ok() && resumed(&then).await.ok());
    store.close().await;
    let mut conn = connect(dir.path()).await;
    sqlx::query("UPDATE epoch SET epoch = 7 WHERE service = 'blog'").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    for file in [first, then] {
        let report = resumed(&file).await;
        let found = report.differences.first().map(|d| (d.table, &*d.key, d.row.clone(), d.records.clone()));
        assert_eq!(found, Some(("epoch", "blog", Some("7".into()), Some("9".into()))));
    }
}

/// Of a later version of this program, say: what it claims is not known, and that is no zero.
#[tokio::test]
async fn a_claim_that_cannot_be_read_is_a_difference() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).await.unwrap().store;
    let mut later = claim(0, 7);
    later.parts[0].entries[0].version = 2;
    store.append(later).await.unwrap();
    store.close().await;
    let report = verified(dir.path()).await;
    let [found] = &report.differences[..] else { panic!("{:?}", report.differences) };
    assert_eq!((found.table, &*found.key, found.row.as_deref()), ("epoch", "blog", Some("7")));
    assert!(found.records.as_deref().is_some_and(|says| says.contains("cannot be read")), "{found:?}");
}

async fn connect(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(dir.join("pointsman.db")).connect().await.unwrap()
}

/// Every field of every summary, changed: table, key, statement.
async fn changed_summaries(dir: &Path) -> Vec<(&'static str, String, String)> {
    let mut conn = connect(dir).await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT stream, value FROM summary").fetch_all(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let mut all = vec![];
    for (stream, value) in rows {
        let value: Value = serde_json::from_str(&value).unwrap();
        for (name, old) in value.as_object().unwrap() {
            let mut changed = value.clone();
            changed[name] = match old {
                Value::Number(n) => json!(n.as_u64().unwrap() + 1),
                Value::String(text) => json!(format!("{text}x")),
                _ => json!("x"),
            };
            let sql = format!("UPDATE summary SET value = '{changed}' WHERE stream = '{stream}'");
            all.push(("summary", stream.clone(), sql));
        }
        for position in ["position + 1", "position - 1", "-1"] {
            let sql = format!("UPDATE summary SET position = {position} WHERE stream = '{stream}'");
            all.push(("summary", stream.clone(), sql));
        }
        for change in ["SET value = 'no json'", "SET stream = stream || 'x'"] {
            let sql = format!("UPDATE summary {change} WHERE stream = '{stream}'");
            all.push(("summary", stream.clone(), sql));
        }
        all.push(("summary", stream.clone(), format!("DELETE FROM summary WHERE stream = '{stream}'")));
    }
    all
}

#[tokio::test]
async fn a_change_of_any_cached_column_is_named() {
    let clean = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(clean.path()).await.unwrap().store;
    for batch in appends() {
        store.append(batch).await.unwrap();
    }
    store.close().await;
    assert!(verified(clean.path()).await.ok());
    let mut all = changed_summaries(clean.path()).await;
    assert!(all.len() > 2 * 17, "{}", all.len());
    let more = [
        (
            "summary",
            "run:GHOST",
            "INSERT INTO summary SELECT 'run:GHOST', value, position FROM summary LIMIT 1",
        ),
        (
            "summary",
            "source:am",
            "INSERT INTO summary SELECT 'source:am', value, position FROM summary LIMIT 1",
        ),
        ("summary", "", "INSERT INTO summary SELECT '', value, position FROM summary LIMIT 1"),
        (
            "summary",
            "run:\u{FFFD}",
            "UPDATE summary SET stream = CAST(x'72756e3aff' AS TEXT) WHERE stream = 'run:S1M001'",
        ),
        ("lock", "service:shop", "UPDATE lock SET run = 'S1M001' WHERE key = 'service:shop'"),
        ("lock", "service:shop", "UPDATE lock SET key = 'service:shoq' WHERE key = 'service:shop'"),
        ("lock", "target:pg-sbg", "DELETE FROM lock WHERE key = 'target:pg-sbg'"),
        ("lock", "target:ghost", "INSERT INTO lock VALUES ('target:ghost', 'S1M002')"),
        ("epoch", "shop", "UPDATE epoch SET epoch = epoch + 1 WHERE service = 'shop'"),
        ("epoch", "shop", "UPDATE epoch SET epoch = -epoch WHERE service = 'shop'"),
        ("epoch", "shop", "UPDATE epoch SET service = 'shoq' WHERE service = 'shop'"),
        ("epoch", "shop", "DELETE FROM epoch WHERE service = 'shop'"),
        ("epoch", "blog", "UPDATE epoch SET epoch = 7 WHERE service = 'blog'"),
        ("epoch", "blog", "DELETE FROM epoch WHERE service = 'blog'"),
        ("epoch", "wiki", "INSERT INTO epoch VALUES ('wiki', 1)"),
        ("cursor", "triage", "UPDATE cursor SET position = 100000"),
        ("cursor", "triage", "UPDATE cursor SET position = -1"),
    ];
    all.extend(more.map(|(table, key, sql)| (table, key.to_owned(), sql.to_owned())));
    for (table, key, sql) in all {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(clean.path().join("pointsman.db"), dir.path().join("pointsman.db")).unwrap();
        let mut conn = connect(dir.path()).await;
        let done = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut conn).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{sql}");
        conn.close().await.unwrap();
        let report = verified(dir.path()).await;
        assert!(!report.ok(), "{sql}");
        let named = |d: &&Difference| d.table == table && d.key == key;
        let found = report.differences.iter().find(named);
        let found = found.unwrap_or_else(|| panic!("{sql}: names {:#?}", report.differences));
        let error = found.error();
        assert_eq!(error.code, code::BAD_CACHE);
        assert!(error.what.contains(&format!("{table}[{key}]")) && found.row != found.records, "{error}");
    }
}
