//! The audit log with many records: first pages beside hand-written SQL on the same files, free text, `audit verify` beside
//! the hash function alone, and whether an append costs more at the end than at the beginning.
//!
//! `POINTSMAN_BENCH_RECORDS` says how many records (1,000,000); ten million want about 12 GB of disk.

use crate::figures::Figures;
use crate::runs;
use pointsman::audit::{Filter, Found, Index, Page, parse};
use pointsman::kernel::domain::{
    Actor, Digest, OccurrenceId, PlaybookVerdict, Reason, Record, Role, Stream, Time, Via,
};
use pointsman::kernel::journal::{Backend as _, Batch, ChainLink, Entry, Journal, chain_hash};
use pointsman::store::{Opened, SqliteStore, verify};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH: u64 = 250;
/// What is timed in the beginning and at the end: appends of one record, and records in groups.
const SINGLY: u64 = 500;
const GROUPED: u64 = 10_000;
const TIMED: u64 = SINGLY + 2 * GROUPED;
const ROUNDS: usize = 200;
const START: i64 = 1_795_000_000_000_000;

/// Rounds of a question that takes long.
const FEW: usize = 20;
const LONG: Duration = Duration::from_secs(15);

/// Question, and the same by hand over `audit.db`; for times [`BY_TIMES`]. {words:…} is a phrase in all tables of words.
const QUESTIONS: [(&str, &str); 29] = [
    ("service:shop-7", "FROM entry WHERE service = (SELECT id FROM term WHERE word = 2 AND text = 'shop-7')"),
    ("actor:ana-500", "FROM entry WHERE actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-500')"),
    (
        "action:acknowledged",
        "FROM entry WHERE action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged')",
    ),
    (
        "object:am-1/a4711/1 result:not_started",
        "FROM entry WHERE object = (SELECT id FROM term WHERE word = 6 AND text = 'am-1/a4711/1') \
         AND +result = (SELECT id FROM term WHERE word = 8 AND text = 'not_started')",
    ),
    (
        "-action:thawed via:cli",
        "FROM entry WHERE via = (SELECT id FROM term WHERE word = 4 AND text = 'cli') \
         AND +action IS NOT (SELECT id FROM term WHERE word = 5 AND text = 'thawed')",
    ),
    (TIMES, ""),
    (
        "actor:ana-5*",
        "FROM entry WHERE +actor IN (SELECT id FROM term WHERE word = 3 AND text GLOB 'ana-5*')",
    ),
    (
        "object:am-1/a4711*",
        "FROM entry WHERE object IN (SELECT id FROM term WHERE word = 6 AND text >= 'am-1/a4711' AND text < 'am-1/a4712')",
    ),
    (
        "-actor:ana-5*",
        "FROM entry WHERE ifnull(+actor, 0) NOT IN (SELECT id FROM term WHERE word = 3 AND text GLOB 'ana-5*')",
    ),
    (
        "actor:ana-5* action:acknowledged",
        "FROM entry WHERE action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged') \
         AND +actor IN (SELECT id FROM term WHERE word = 3 AND text GLOB 'ana-5*')",
    ),
    // Frequent values that meet: in every second record of the rarer one, and in one of 91.
    (
        "actor:ana-500 action:acknowledged",
        "FROM entry WHERE actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-500') \
         AND +action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged')",
    ),
    (
        "actor:ana-50* action:acknowledged",
        "FROM entry WHERE action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged') \
         AND +actor IN (SELECT id FROM term WHERE word = 3 AND text GLOB 'ana-50*')",
    ),
    (
        "actor:ana-500 actor:ana-501",
        "FROM (SELECT position FROM entry WHERE actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-500') UNION ALL \
         SELECT position FROM entry WHERE actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-501'))",
    ),
    // Of 50,000 values.
    (
        "object:am-1/a*",
        "FROM entry WHERE EXISTS (SELECT 1 FROM term WHERE id = entry.object AND word = 6 \
         AND text >= 'am-1/a' AND text < 'am-1/b')",
    ),
    (
        "-object:am-1/a*",
        "FROM entry WHERE NOT EXISTS (SELECT 1 FROM term WHERE id = entry.object AND word = 6 \
         AND text >= 'am-1/a' AND text < 'am-1/b')",
    ),
    // All values of the column have to be looked at.
    (
        "object:*4711*",
        "FROM entry WHERE object IN (SELECT id FROM term WHERE word = 6 AND text GLOB '*4711*')",
    ),
    // Frequent values that never meet, or only long ago.
    (
        "action:acknowledged result:not_started",
        "FROM entry WHERE action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged') \
         AND +result = (SELECT id FROM term WHERE word = 8 AND text = 'not_started')",
    ),
    (
        "service:shop-7 action:thawed",
        "FROM entry WHERE service = (SELECT id FROM term WHERE word = 2 AND text = 'shop-7') \
         AND +action = (SELECT id FROM term WHERE word = 5 AND text = 'thawed')",
    ),
    (
        "action:acknowledged actor:ana-500 service:shop-3",
        "FROM entry WHERE actor = (SELECT id FROM term WHERE word = 3 AND text = 'ana-500') \
         AND +action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged') \
         AND +service = (SELECT id FROM term WHERE word = 2 AND text = 'shop-3')",
    ),
    (
        "-action:thawed -action:acknowledged -action:not_started",
        "FROM entry WHERE ifnull(+action, 0) NOT IN \
         (SELECT id FROM term WHERE word = 5 AND text IN ('thawed', 'acknowledged', 'not_started'))",
    ),
    (
        "object:am-1/* action:acknowledged",
        "FROM entry WHERE action = (SELECT id FROM term WHERE word = 5 AND text = 'acknowledged') AND +object IN \
         (SELECT id FROM term WHERE word = 6 AND text >= 'am-1/' AND text < 'am-10')",
    ),
    ("power", "FROM ({words:power})"),
    ("\"hall 3\" rack-4", "FROM ({words:\"hall 3\" AND \"rack 4\"})"),
    (
        "\"hall 3\" service:shop-7",
        "FROM entry WHERE service = (SELECT id FROM term WHERE word = 2 AND text = 'shop-7') \
         AND position IN ({words:\"hall 3\"})",
    ),
    ("-power -gra", "FROM entry WHERE position NOT IN ({words:power OR gra})"),
    ("rack-77*", "FROM ({words:\"rack 77\"*})"),
    ("\"back power\"", "FROM ({words:\"back power\"})"),
    ("\"1\"* \"p\"*", "FROM ({words:\"1\"* AND \"p\"*})"),
    (
        "power result:not_started",
        "FROM ({words:power}) JOIN entry USING (position) \
         WHERE +result = (SELECT id FROM term WHERE word = 8 AND text = 'not_started')",
    ),
];

const TIMES: &str = "since:2h until:1h";
/// Over the journal alone, which has no index of times: they never go back, so halving finds them. {t} is a time.
const HALF: &str = "(WITH RECURSIVE half (low, high) AS (\
       SELECT (SELECT min(position) FROM record), (SELECT max(position) + 1 FROM record) UNION ALL \
       SELECT iif(at < {t}, (low + high) / 2 + 1, low), iif(at < {t}, high, (low + high) / 2) \
       FROM half JOIN record ON position = (low + high) / 2 WHERE low < high) SELECT max(low) FROM half)";

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
    let of_runs = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    runtime.block_on(async {
        measure(dir.path(), records).await?;
        runs::measure(of_runs.path()).await
    })
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
    pages(dir, &index, records).await?;
    index.close().await;
    store.close().await;
    check(dir, records).await
}

/// In large groups, as fast as it gets. After 10,000 and at the end each is timed: single records, each durable before the
/// next, as a quiet server writes; groups of one stream, as a delivery or a run does; and groups of a hundred streams.
async fn append(store: &Arc<SqliteStore>, records: u64) -> anyhow::Result<()> {
    let journal = Journal::new(store.clone());
    let mut timed = vec![];
    let mut next = 0;
    while next < records {
        if next == 10_000 || next + TIMED == records {
            timed.push([
                grouped(&journal, next, next + SINGLY, 1, record).await?,
                grouped(&journal, next + SINGLY, next + SINGLY + GROUPED, BATCH, |n| record(n * 3 + 2))
                    .await?,
                grouped(&journal, next + SINGLY + GROUPED, next + TIMED, BATCH, record).await?,
            ]);
            next += TIMED;
            continue;
        }
        let end = if next < 10_000 { 10_000 } else { records - TIMED }.min(next + BATCH);
        append_group(&journal, next, (next..end).map(record)).await?;
        next = end;
    }
    let [first, last] = timed.as_slice() else { anyhow::bail!("at least {} records", 10_000 + 2 * TIMED) };
    let what = ["of one", "of 250 of one stream", "of 250 of many streams"];
    for (what, (first, last)) in what.iter().zip(first.iter().zip(last)) {
        let ratio = last.median() / first.median();
        println!(
            "  append {what:<22} µs a record {first:.1} after 10,000; {last:.1} at the end; ratio {ratio:.2}"
        );
    }
    Ok(())
}

/// Microseconds a record, of each group.
async fn grouped(
    journal: &Journal,
    from: u64,
    to: u64,
    size: u64,
    record: fn(u64) -> (Stream, Record),
) -> anyhow::Result<Figures> {
    let mut each = Figures::default();
    for first in (from..to).step_by(usize::try_from(size)?) {
        let began = Instant::now();
        append_group(journal, first, (first..first + size).map(record)).await?;
        each.add(began.elapsed().as_secs_f64() * 1e6 / size as f64);
    }
    Ok(each)
}

/// Returns when they are durable. `first`: how many there are before, which says when it is.
async fn append_group(
    journal: &Journal,
    first: u64,
    records: impl Iterator<Item = (Stream, Record)>,
) -> anyhow::Result<()> {
    let batch = Batch::new(Time(START + i64::try_from(first)? * 10_000));
    journal
        .append(records.fold(batch, |batch, (stream, record)| batch.part(stream, None, vec![record])))
        .await?;
    Ok(())
}

async fn pages(dir: &Path, index: &Index, records: u64) -> anyhow::Result<()> {
    let now = Time(START + i64::try_from(records)? * 10_000);
    let options =
        |name: &str| sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join(name)).read_only(true);
    let mut by_hand = options("audit.db").disable_statement_logging().connect().await?;
    let mut journal = options("pointsman.db").disable_statement_logging().connect().await?;
    let hour = 3_600_000_000;
    let half = |time: Time| HALF.replace("{t}", &time.0.to_string());
    let (since, until) = (half(Time(now.0 - 2 * hour)), half(Time(now.0 - hour)));
    let by_times = format!(
        "SELECT * FROM record WHERE position >= {since} AND position < {until} ORDER BY position DESC LIMIT 50"
    );
    let tables =
        "SELECT name FROM sqlite_schema WHERE name GLOB 'words_*' AND sql LIKE 'CREATE VIRTUAL TABLE%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut by_hand).await?;
    for (question, sql) in QUESTIONS {
        let filter = parse(question)?;
        let sql = format!("SELECT position {} ORDER BY position DESC LIMIT 51", in_words(sql, &tables));
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        let (mut count, mut pages) = (0, 0);
        let all = Instant::now();
        for round in 0..ROUNDS {
            if round >= FEW && all.elapsed() > LONG {
                break;
            }
            let began = Instant::now();
            let found = index.search(&filter, Page::Before(u64::MAX), 50, now).await?;
            black_box(&found.records);
            ours.add(began.elapsed().as_secs_f64() * 1e3);
            let began = Instant::now();
            let rows = match question {
                TIMES => sqlx::query(AssertSqlSafe(by_times.clone())).fetch_all(&mut journal).await?,
                _ => {
                    let rows = sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(&mut by_hand).await?;
                    let positions: Vec<i64> = rows.iter().take(50).map(|row| row.get(0)).collect();
                    let sql = "SELECT * FROM record WHERE position IN (SELECT value FROM json_each(?1)) \
                               ORDER BY position DESC";
                    sqlx::query(sql).bind(json!(positions).to_string()).fetch_all(&mut journal).await?
                }
            };
            // What is read has to be understood as well.
            let decode = |row: &sqlx::sqlite::SqliteRow| {
                Record::decode(row.get::<&str, _>("kind"), 1, row.get::<&[u8], _>("body"))
            };
            black_box(rows.iter().map(decode).collect::<Result<Vec<_>, _>>()).map_err(anyhow::Error::msg)?;
            theirs.add(began.elapsed().as_secs_f64() * 1e3);
            if round == 0 {
                let theirs = rows.iter().rev().map(|row| row.get::<i64, _>("position").cast_unsigned());
                let positions: Vec<u64>;
                (positions, pages) = to_the_end(index, &filter, found, now).await?;
                count = positions.len().min(50);
                let same = positions[positions.len() - count..].iter().copied().eq(theirs);
                anyhow::ensure!(same, "{question}: by hand it is something else");
            }
        }
        let most = ours.quantile(1.0);
        println!(
            "  {question:<56} {count:>3} records in {pages} pages, ms {ours:.2}, p99 {:.2}, most {most:.2}; by hand {theirs:.2}, \
             p99 {:.2}; ratio {:.2}",
            ours.quantile(0.99),
            theirs.quantile(0.99),
            ours.median() / theirs.median()
        );
    }
    Ok(())
}

/// Positions of the first page and of those that it leaves to be asked for until it is full, oldest first; and how many
/// pages these were.
async fn to_the_end(
    index: &Index,
    filter: &Filter,
    first: Found,
    now: Time,
) -> anyhow::Result<(Vec<u64>, usize)> {
    let mut found = vec![first];
    while let Some(rest) = found[found.len() - 1].rest
        && found.iter().map(|f| f.records.len()).sum::<usize>() < 50
    {
        found.push(index.search(filter, Page::Before(rest), 50, now).await?);
    }
    Ok((found.iter().rev().flat_map(Found::positions).collect(), found.len()))
}

/// The same phrase in each table of words.
fn in_words(sql: &str, tables: &[String]) -> String {
    let Some((before, rest)) = sql.split_once("{words:") else { return sql.to_owned() };
    let (phrase, after) = rest.split_once('}').unwrap_or((rest, ""));
    let each =
        tables.iter().map(|t| format!("SELECT {t}.rowid AS position FROM {t} WHERE {t} MATCH '{phrase}'"));
    format!("{before}{}{after}", each.collect::<Vec<_>>().join(" UNION ALL "))
}

/// A line of what the kernel says about this process, in kB.
fn memory(name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let number: String = line.chars().filter(char::is_ascii_digit).collect();
    Ok(number.parse()?)
}

/// Nothing but the hashing, of records that are in memory and decoded, on as many threads. Records a second.
fn hashing(entries: &[Entry], threads: usize) -> f64 {
    let streams: Vec<String> = entries.iter().map(|e| e.stream.to_string()).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut prev = Digest::ZERO;
                for (e, stream) in entries.iter().zip(&streams) {
                    let Entry { position, seq, at, kind, version, body, .. } = e;
                    let (position, seq, at, version) = (*position, *seq, *at, *version);
                    let (stream, kind) = (stream.as_bytes(), kind.as_bytes());
                    prev = chain_hash(&ChainLink { prev, position, stream, seq, at, kind, version, body });
                }
                black_box(prev);
            });
        }
    });
    (entries.len() * threads) as f64 / began.elapsed().as_secs_f64()
}

/// The least that a check through SQLite does: rows of the same file, borrowed, and their hash. Records a second.
fn floor(dir: &Path, records: u64, threads: u64) -> anyhow::Result<f64> {
    let part = |thread: u64| -> anyhow::Result<Digest> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(dir.join("pointsman.db"), flags)?;
        let mut rows = conn.prepare(
            "SELECT position, stream, seq, at, kind, version, body, hash FROM record \
             WHERE position BETWEEN ?1 AND ?2 ORDER BY position",
        )?;
        let ends = (records * thread / threads + 1, records * (thread + 1) / threads);
        let mut rows = rows.query((ends.0.cast_signed(), ends.1.cast_signed()))?;
        let mut prev = Digest::ZERO;
        while let Some(row) = rows.next()? {
            let integer = |column: usize| -> anyhow::Result<i64> { Ok(row.get_ref(column)?.as_i64()?) };
            prev = chain_hash(&ChainLink {
                prev,
                position: integer(0)?.cast_unsigned(),
                stream: row.get_ref(1)?.as_str()?.as_bytes(),
                seq: integer(2)?.cast_unsigned(),
                at: Time(integer(3)?),
                kind: row.get_ref(4)?.as_str()?.as_bytes(),
                version: u16::try_from(integer(5)?)?,
                body: row.get_ref(6)?.as_blob()?,
            });
            black_box(row.get_ref(7)?.as_blob()?);
        }
        Ok(prev)
    };
    let began = Instant::now();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let parts: Vec<_> = (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        for part in parts {
            black_box(part.join().expect("invariant: it does not panic")?);
        }
        Ok(())
    })?;
    Ok(records as f64 / began.elapsed().as_secs_f64())
}

/// Records a second.
async fn verified(dir: &Path, from: u64) -> anyhow::Result<f64> {
    let began = Instant::now();
    let report = verify(dir, from..=u64::MAX, |_| {}).await?;
    anyhow::ensure!(report.chain_ok(), "{report:?}");
    Ok(report.checked as f64 / began.elapsed().as_secs_f64())
}

async fn check(dir: &Path, records: u64) -> anyhow::Result<()> {
    // As somebody has it who was given the file. The kernel holds it in large pieces, and what the server wrote page by page in
    // small ones, which it copies more slowly.
    let copy = dir.join("copy");
    std::fs::create_dir(&copy)?;
    std::fs::copy(dir.join("pointsman.db"), copy.join("pointsman.db"))?;
    // Sets the mark of the most memory so far to what is used now.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS:")?;
    let whole = verified(dir, 1).await?;
    // From the second record on, the cached rows are not compared: the chain alone.
    let chain = verified(dir, 2).await?;
    let of_copy = verified(&copy, 2).await?;
    let more = memory("VmHWM:")?.saturating_sub(before) / 1_024;
    let store = SqliteStore::open(dir).await?.store;
    let entries = store.scan(1, 200_000).await?;
    store.close().await;
    let (one, two) = (hashing(&entries, 1), hashing(&entries, 2));
    let floor = floor(dir, records, 2)?;
    println!(
        "  verify                 {whole:>9.0} records a second with the cached rows, {:.0} % of hashing; the chain alone \
         {chain:.0}, of a copy {of_copy:.0}",
        100.0 * whole / two
    );
    println!(
        "  hashing alone          {one:>9.0} on one core, {two:.0} on two: the chain has {:.0} % of two, of a copy {:.0} %; \
         {more} MB more memory",
        100.0 * chain / two,
        100.0 * of_copy / two
    );
    println!(
        "  rows and their hash    {floor:>9.0} on two cores, nothing checked: the chain has {:.0} % of that",
        100.0 * chain / floor
    );
    Ok(())
}
