//! The audit log with many records: first pages beside hand-written SQL on the same files, free text, `audit verify` beside
//! the hash function alone, and whether an append costs more at the end than at the beginning.
//!
//! `POINTSMAN_BENCH_RECORDS` says how many records (1,000,000); ten million want about 12 GB of disk.

use crate::figures::Figures;
use pointsman::audit::{Index, Page, parse};
use pointsman::kernel::domain::{
    Actor, Digest, OccurrenceId, PlaybookVerdict, Reason, Record, Role, Stream, Time, Via,
};
use pointsman::kernel::journal::{Backend as _, Batch, ChainLink, Journal, chain_hash};
use pointsman::store::{Opened, SqliteStore, verify};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH: u64 = 250;
const ROUNDS: usize = 200;
const START: i64 = 1_795_000_000_000_000;

/// Question, and the same by hand over `audit.db` where that is one statement.
const QUESTIONS: [(&str, Option<&str>); 7] = [
    ("service:shop-7", Some("service = (SELECT id FROM term WHERE word = 2 AND text = 'shop-7')")),
    ("actor:ana-500", Some("actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-500')")),
    ("action:acknowledged", Some("action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged')")),
    (
        "object:am-1/a4711/1 result:not_started",
        Some(
            "object = (SELECT id FROM term WHERE word = 6 AND text = 'am-1/a4711/1') \
             AND +result = (SELECT id FROM term WHERE word = 8 AND text = 'not_started')",
        ),
    ),
    ("-action:thawed via:cli", None),
    ("since:2h until:1h", None),
    ("actor:ana-5*", None),
];
const TEXTS: [&str; 4] = ["power", "\"hall 3\" rack-4", "\"hall 3\" service:shop-7", "rack-77*"];

fn record(n: u64) -> (Stream, Record) {
    let by = Actor {
        name: format!("ana-{}", n % 1_000).into(),
        roles: vec![Role::Operator],
        via: if n.is_multiple_of(2) { Via::Cli } else { Via::Api },
        person: false,
        groups: vec![],
    };
    let reason = format!("power is back in hall {}, the standby has caught up and was looked at", n % 7);
    match n % 3 {
        0 => (Stream::Service(format!("shop-{}", n % 100).into()), Record::Acknowledged { by, reason }),
        1 => (
            Stream::Alerts("am-1".into()),
            Record::NotStarted {
                occurrence: OccurrenceId::from(format!("am-1/a{}/1", n % 50_000)),
                delivery: 1,
                labels: json!({ "alertname": "SiteDown", "note": format!("rack-{}", n % 997), "site": "gra" }),
                why: vec![PlaybookVerdict {
                    playbook: format!("shop-{}", n % 20).into(),
                    matched: n.is_multiple_of(5),
                    why: Reason::new("PM5401", "label site is gra, and the playbook waits for sbg"),
                }],
                plan: None,
            },
        ),
        _ => (Stream::Instance, Record::Thawed { service: None, by: Some(by), reason }),
    }
}

pub fn run() -> anyhow::Result<()> {
    let records =
        pointsman::config::env("POINTSMAN_BENCH_RECORDS").and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(dir.path(), records))
}

async fn measure(dir: &Path, records: u64) -> anyhow::Result<()> {
    println!("audit: {records} records");
    let Opened { store, .. } = SqliteStore::open(dir).await?;
    append(&store, records).await?;
    let began = Instant::now();
    let index = Index::open(store.clone()).await?;
    index.catch_up(records, Duration::from_secs(7_200)).await?;
    let took = began.elapsed().as_secs_f64();
    println!("  index made             {:>9.0} records a second", records as f64 / took);
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |m| m.len());
    println!(
        "  bytes a record         {:>9} journal, {} index",
        size("pointsman.db") / records,
        size("audit.db") / records
    );
    pages(dir, &store, &index, records).await?;
    index.close().await;
    store.close().await;
    check(dir).await
}

async fn append(store: &Arc<SqliteStore>, records: u64) -> anyhow::Result<()> {
    let journal = Journal::new(store.clone());
    let (mut first, mut last) = (Figures::default(), Figures::default());
    let mut next = 0;
    while next < records {
        let at = Time(START + i64::try_from(next)? * 10_000);
        let mut batch = Batch::new(at);
        for n in next..(next + BATCH).min(records) {
            let (stream, record) = record(n);
            batch = batch.part(stream, None, vec![record]);
        }
        let began = Instant::now();
        journal.append(batch).await?;
        let micros = began.elapsed().as_secs_f64() * 1e6 / BATCH as f64;
        if (10_000..20_000).contains(&next) {
            first.add(micros);
        }
        if next + 10_000 >= records {
            last.add(micros);
        }
        next += BATCH;
    }
    let ratio = last.median() / first.median();
    println!("  append, µs a record    {first:.1} after 10,000; {last:.1} at the end; ratio {ratio:.2}");
    Ok(())
}

async fn pages(dir: &Path, store: &SqliteStore, index: &Index, records: u64) -> anyhow::Result<()> {
    let now = Time(START + i64::try_from(records)? * 10_000);
    let options =
        |name: &str| sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join(name)).read_only(true);
    let mut by_hand = options("audit.db").disable_statement_logging().connect().await?;
    let mut journal = options("pointsman.db").disable_statement_logging().connect().await?;
    let texts = TEXTS.iter().map(|text| (*text, None));
    for (question, sql) in QUESTIONS.into_iter().chain(texts) {
        let filter = parse(question)?;
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        let mut count = 0;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let found = index.search(&filter, Page::Before(u64::MAX), 50, now).await?;
            count = black_box(store.records(&found.positions).await?).len();
            ours.add(began.elapsed().as_secs_f64() * 1e3);
            let Some(sql) = sql else { continue };
            let began = Instant::now();
            let sql = format!("SELECT position FROM entry WHERE {sql} ORDER BY position DESC LIMIT 51");
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut by_hand).await?;
            let positions: Vec<i64> = rows.iter().take(50).map(|row| row.get(0)).collect();
            let rows =
                sqlx::query("SELECT * FROM record WHERE position IN (SELECT value FROM json_each(?1))")
                    .bind(json!(positions).to_string())
                    .fetch_all(&mut journal)
                    .await?;
            // What is read has to be understood as well.
            let decode = |row: &sqlx::sqlite::SqliteRow| {
                Record::decode(row.get::<&str, _>("kind"), 1, row.get::<&[u8], _>("body"))
            };
            black_box(rows.iter().map(decode).collect::<Result<Vec<_>, _>>()).map_err(anyhow::Error::msg)?;
            theirs.add(began.elapsed().as_secs_f64() * 1e3);
        }
        let beside = match sql {
            Some(_) => format!("; by hand {theirs:.2}; ratio {:.2}", ours.median() / theirs.median()),
            None => String::new(),
        };
        let p99 = ours.quantile(0.99);
        println!("  {question:<40} {count:>3} records, ms {ours:.2}, p99 {p99:.2}{beside}");
    }
    Ok(())
}

async fn check(dir: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    let report = verify(dir, 1..=u64::MAX, |_| {}).await?;
    let took = began.elapsed().as_secs_f64();
    anyhow::ensure!(report.chain_ok(), "{report:?}");
    // The same bytes, already in memory and decoded: nothing but the hashing, on one core.
    let store = SqliteStore::open(dir).await?.store;
    let entries = store.scan(1, 200_000).await?;
    let streams: Vec<String> = entries.iter().map(|e| e.stream.to_string()).collect();
    let mut prev = Digest::ZERO;
    let began = Instant::now();
    for (e, stream) in entries.iter().zip(&streams) {
        let (position, seq, at, kind, version, body) = (e.position, e.seq, e.at, &e.kind, e.version, &e.body);
        prev = chain_hash(&ChainLink { prev, position, stream, seq, at, kind, version, body });
    }
    let hashing = began.elapsed().as_secs_f64() / entries.len() as f64;
    black_box(prev);
    store.close().await;
    let each = took / report.checked as f64;
    println!(
        "  verify                 {:>9.0} records a second (caches included); hashing alone {:.0} on one core: {:.0} % of it",
        1.0 / each,
        1.0 / hashing,
        100.0 * hashing / each
    );
    Ok(())
}
