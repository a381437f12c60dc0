//! The search held against a walk over all records with the same columns, and against text that wants to be SQL.

use super::*;
use crate::audit::{Filter, Page, Word, facets, parse, words};
use crate::kernel::domain::{
    Actor, Digest, OccurrenceId, PlaybookVerdict, Reason, Record, Role, Stamped, Stream, Time, Via,
};
use crate::kernel::journal::{Batch, Journal};
use crate::store::Opened;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
/// No page is short for the time that it takes.
const LEISURE: Budget = Budget { columns: SOON, words: SOON };

/// Names that people and machines really send, and some that nobody should.
const NAMES: [&str; 6] = ["ana", "bo", "it's", "a*b[c]?", "' OR 1=1 --", "=cmd|' /C calc'!A0"];

fn record(n: u64) -> (Stream, Record) {
    let name = NAMES[usize::try_from(n % 6).unwrap()];
    let by = Actor {
        name: name.into(),
        roles: vec![Role::Operator],
        via: if n.is_multiple_of(2) { Via::Cli } else { Via::Api },
        person: false,
        groups: vec![],
    };
    let reason = format!("power is back in hall {} <b>&\"{name}\"</b>", n % 7);
    match n % 4 {
        0 if n.is_multiple_of(44) => {
            (Stream::Service("shop-rare".into()), Record::Acknowledged { by, reason })
        }
        0 => (Stream::Service(format!("shop-{}", n % 3).into()), Record::Acknowledged { by, reason }),
        1 => (
            Stream::Alerts("am-1".into()),
            Record::NotStarted {
                occurrence: OccurrenceId::from(format!("am-1/{}/1", n % 11)),
                delivery: 1,
                labels: json!({ "alertname": "SiteDown", "site": name, "note": format!("rack-{}", n % 5) }),
                why: vec![PlaybookVerdict {
                    playbook: "shop".into(),
                    matched: n % 8 == 1,
                    why: Reason::new("PM5401", "it does not match"),
                }],
                plan: None,
            },
        ),
        2 => (Stream::Instance, Record::Thawed { service: None, by: None, reason }),
        _ => (
            Stream::Playbook("shop".into()),
            Record::Loaded {
                playbook: "shop".into(),
                digest: Digest::of(name.as_bytes()),
                active: n.is_multiple_of(3),
                problems: vec![reason],
                stays: None,
            },
        ),
    }
}

struct Scene {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    index: Index,
    all: Vec<Stamped>,
}

async fn scene(records: u64) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let Opened { store, .. } = SqliteStore::open(dir.path()).await.unwrap();
    append(&store, 0..records).await;
    let mut index = Index::open(store.clone()).await.unwrap();
    index.budget = LEISURE;
    let all = every(&store).await;
    Scene { _dir: dir, store, index, all }
}

async fn every(store: &SqliteStore) -> Vec<Stamped> {
    store.stamped(1, 10_000).await.unwrap().into_iter().map(|(stamped, _)| stamped).collect()
}

async fn append(store: &Arc<SqliteStore>, numbers: std::ops::Range<u64>) {
    let journal = Journal::new(store.clone());
    for n in numbers {
        let (stream, record) = record(n);
        let at = Time(1_795_000_000_000_000 + i64::try_from(n).unwrap() * 1_000_000);
        journal.append(Batch::new(at).part(stream, None, vec![record])).await.unwrap();
    }
}

const NOW: Time = Time(1_795_000_400_000_000);

/// The same question, asked of every record.
fn walk(all: &[Stamped], filter: &Filter) -> Vec<Position> {
    let fits = |stamped: &&Stamped| {
        let columns = facets(stamped, None);
        let of = |word: Word, excluded: bool| {
            filter.terms.iter().filter(move |t| t.word == word && t.excluded == excluded).collect::<Vec<_>>()
        };
        let columns_fit = Word::ALL.into_iter().all(|word| {
            let has = |wanted: &[&crate::audit::Term]| {
                wanted.iter().any(|t| columns.get(word).is_some_and(|value| t.pattern.fits(value)))
            };
            (of(word, false).is_empty() || has(&of(word, false))) && !has(&of(word, true))
        });
        let letters = |text: &str| -> Vec<String> {
            let pieces = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
            pieces.map(str::to_lowercase).collect()
        };
        let said = letters(&words(stamped, None));
        let texts_fit = filter.texts.iter().all(|text| {
            let phrase = letters(&text.phrase);
            let found = said.windows(phrase.len()).any(|window| {
                let (last, before) = window.split_last().unwrap();
                let (wanted, wanted_before) = phrase.split_last().unwrap();
                before == wanted_before
                    && (last == wanted || (text.prefix && last.starts_with(wanted.as_str())))
            });
            found != text.excluded
        });
        let (since, until) = (filter.since.map(|w| w.at(NOW)), filter.until.map(|w| w.at(NOW)));
        let in_time = since.is_none_or(|at| stamped.at >= at) && until.is_none_or(|at| stamped.at < at);
        let in_range = filter.seq.is_none_or(|(a, b)| (a..=b).contains(&stamped.position));
        columns_fit && texts_fit && in_time && in_range
    };
    all.iter().filter(fits).map(|s| s.position).collect()
}

const QUESTIONS: [&str; 66] = [
    "",
    "actor:ana",
    "actor:\"it's\"",
    "actor:\"' OR 1=1 --\"",
    "actor:\"a*b[c]?\"",
    "actor:\"a*b\"*",
    "actor:a*",
    "actor:*'*",
    "actor:nobody",
    "-actor:*",
    "-actor:ana",
    "actor:ana actor:bo",
    "service:shop-0 actor:ana",
    "service:shop-* -service:shop-1",
    "action:not_started result:not_started playbook:shop",
    "action:thawed",
    "action:*ed -action:loaded -action:thawed",
    "via:cli",
    "-action:thawed via:cli",
    "-action:nothing -action:thaw* via:cli",
    "actor:ana actor:b*",
    "actor:nobody actor:an*",
    "object:am-1/3/1",
    "object:am-1/* source:am-1",
    "result:active hall",
    "power",
    "\"hall 3\"",
    "\"power is\" -\"hall 3\"",
    "-power",
    "-power -sitedown",
    "service:shop-rare -\"hall 3\"",
    "service:shop-rare \"hall 3\" -\"hall 4\"",
    "rack-4",
    "rac*",
    "\"OR\"",
    "\"NEAR(power\"",
    "\"' OR 1=1 --\" action:acknowledged",
    "since:2m",
    "since:6m until:5m",
    "since:6m until:5m action:loaded",
    "seq:7-90 actor:b*",
    "sitedown playbook:shop -rack-1 since:300s",
    // Frequent ones that never meet, or seldom.
    "action:acknowledged result:not_started",
    "service:shop-1 action:thawed",
    "action:thawed -action:thawed",
    "action:acknowledged actor:bo via:api",
    "action:loaded result:active",
    "action:not_started -object:am-1/3/1 -object:am-1/4/1",
    "object:am-1/* action:acknowledged",
    "object:am-1/* -action:not_started",
    "object:am-1/1* source:am-1",
    "actor:* action:not_started",
    "actor:* action:acknowledged",
    "action:*d -actor:*",
    "action:thaw* -hall",
    "power action:not_started",
    "rack-1 action:not_started -object:am-1/1/1",
    "service:shop-rare service:shop-1 service:shop-2 actor:ana",
    "service:shop-* via:cli -service:shop-rare",
    "service:shop-r* service:shop-1 service:shop-2 via:api",
    // Patterns, of few and of many values, that lead or do not.
    "object:*1* -actor:b*",
    "object:*/1",
    "object:am-1/1* action:not_started",
    "actor:*n* object:am-1/* ",
    "-object:*2* source:am-*",
    "actor:ana actor:bo actor:ana",
];

/// `goes_on`: pages may be short.
async fn is_found_as_by_a_walk(scene: &Scene, goes_on: bool) {
    let mut some = 0;
    for question in QUESTIONS {
        let filter = parse(question).unwrap();
        let wanted = walk(&scene.all, &filter);
        some += usize::from(!wanted.is_empty());
        for max in [7, 1_000] {
            let (mut forth, mut from) = (vec![], 1);
            loop {
                let found = scene.index.search(&filter, Page::From(from), max, NOW).await.unwrap();
                let full = found.records.len() == max as usize;
                assert!(found.records.len() <= max as usize && (full || found.rest.is_none() || goes_on));
                forth.extend(found.positions());
                let Some(next) = found.rest else { break };
                assert!(next > from, "{question}: it gets on");
                from = next;
            }
            let (mut back, mut before) = (vec![], Position::MAX);
            loop {
                let found = scene.index.search(&filter, Page::Before(before), max, NOW).await.unwrap();
                assert!(found.records.len() == max as usize || found.rest.is_none() || goes_on);
                back = [found.positions().collect(), back].concat();
                let Some(next) = found.rest else { break };
                assert!(next < before, "{question}: it gets on");
                before = next;
            }
            assert_eq!((&forth, &back), (&wanted, &wanted), "{question}, {max} at a time");
        }
    }
    assert!(some > 30, "most questions find something: {some}");
}

#[tokio::test]
async fn the_search_finds_what_a_walk_over_all_records_finds() {
    is_found_as_by_a_walk(&scene(700).await, false).await;
}

/// Filled in pages of all sizes, so that blocks are completed in the middle of some and values become frequent at any time;
/// and by several starts.
#[tokio::test]
async fn what_is_known_of_frequent_values_grows_with_the_journal() {
    let mut scene = scene(0).await;
    let mut next = 0;
    for step in [1, 62, 1, 1, 63, 64, 65, 100, 7, 130, 200] {
        append(&scene.store, next..next + step).await;
        next += step;
        scene.index.catch_up(next, SOON).await.unwrap();
        if step == 65 || step == 130 {
            scene.index.close().await;
            scene.index = Index::open(scene.store.clone()).await.unwrap();
            scene.index.budget = LEISURE;
        }
    }
    scene.all = every(&scene.store).await;
    is_found_as_by_a_walk(&scene, false).await;
}

/// Each question ends after its first step, whatever it has found, and the next page goes on there.
#[tokio::test]
async fn a_question_without_time_loses_and_repeats_nothing() {
    let mut scene = scene(700).await;
    scene.index.budget = Budget { columns: Duration::ZERO, words: Duration::ZERO };
    is_found_as_by_a_walk(&scene, true).await;
    let mut ended_early = 0;
    for question in QUESTIONS {
        let filter = parse(question).unwrap();
        let found = scene.index.search(&filter, Page::Before(Position::MAX), 1_000, NOW).await.unwrap();
        ended_early += usize::from(found.rest.is_some());
    }
    assert!(ended_early > 10, "{ended_early} had to go on");
}

#[tokio::test]
async fn an_index_of_another_journal_or_version_or_none_at_all_is_made_anew() {
    let scene = scene(50).await;
    let count = |index: Index| async move {
        let found = index.search(&parse("actor:ana").unwrap(), Page::From(1), 100, NOW).await.unwrap();
        index.close().await;
        found.records.len()
    };
    let (path, wanted) = (scene.store.dir().join(FILE), count(scene.index).await);
    assert!(wanted > 2);
    for spoil in ["PRAGMA user_version = 99", "UPDATE reached SET hash = zeroblob(32)", "DROP TABLE entry"] {
        let mut conn = options(&path).connect().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(spoil)).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let opened = Index::open(scene.store.clone()).await;
        match (spoil, opened) {
            ("DROP TABLE entry", Ok(index)) => {
                assert!(index.search(&parse("actor:ana").unwrap(), Page::From(1), 9, NOW).await.is_err());
                index.close().await;
                remove(&path).unwrap();
            }
            (_, Ok(index)) => assert_eq!(count(index).await, wanted, "{spoil}"),
            (_, Err(error)) => panic!("{spoil}: {error}"),
        }
    }
    std::fs::write(&path, "no database at all").unwrap();
    assert_eq!(count(Index::open(scene.store.clone()).await.unwrap()).await, wanted);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_leaves_the_index_whole() {
    let scene = scene(1_200).await;
    let filter = parse("actor:ana").unwrap();
    let mut dropped = 0;
    for micros in (0..200).map(|n| n * 37) {
        let asked = scene.index.search(&filter, Page::From(1), 7, NOW);
        dropped += usize::from(tokio::time::timeout(Duration::from_micros(micros), asked).await.is_err());
    }
    assert!(dropped > 1, "some were asked in vain");
    let found = scene.index.search(&filter, Page::From(1), 2_000, NOW).await.unwrap();
    assert_eq!(found.positions().collect::<Vec<_>>(), walk(&scene.all, &filter));
}

#[tokio::test]
async fn every_statement_is_led_by_an_index() {
    let scene = scene(200).await;
    scene.index.catch_up(200, SOON).await.unwrap();
    let mut bounded = 0;
    for question in QUESTIONS {
        let filter = parse(question).unwrap();
        if filter.terms.is_empty() && filter.texts.is_empty() {
            continue;
        }
        let plan = scene.index.plan(&filter).await.unwrap();
        let good = [
            "SEARCH entry USING INDEX",
            "SEARCH entry USING COVERING INDEX",
            "SEARCH entry USING INTEGER PRIMARY KEY",
            "SCAN words_0 VIRTUAL TABLE INDEX",
        ];
        let leads = |line: &&String| good.iter().any(|start| line.starts_with(start));
        assert!(plan.iter().any(|line| leads(&line)), "{question}: {plan:?}");
        assert!(!plan.iter().any(|line| line.starts_with("SCAN entry")), "{question}: {plan:?}");
        let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE")).count();
        let by_values = plan.iter().filter(|line| line.contains("INDEX entry_")).count();
        let choices = plan.iter().filter(|line| *line == "MATERIALIZE lead").count();
        assert!(choices <= 1, "who leads is found once: {question}: {plan:?}");
        assert!(sorts <= by_values + choices, "only a set of values sorts: {question}: {plan:?}");
        bounded += plan.iter().filter(|line| line.starts_with("MATERIALIZE end_")).count();
    }
    assert!(bounded > 0, "no plan of a walk with an end was looked at");
}

/// A thousand records a second, while one reader walks the past again and again and another one keeps up with the end.
#[tokio::test]
async fn pages_lose_and_repeat_nothing_at_a_thousand_records_a_second() {
    const RECORDS: u64 = 3_000;
    let scene = scene(300).await;
    let filter = parse("-action:thawed").unwrap();
    let old = walk(&scene.all, &filter);
    let written = std::sync::atomic::AtomicBool::new(false);
    let is_written = || written.load(std::sync::atomic::Ordering::SeqCst);
    let writing = async {
        let began = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for group in 0..RECORDS / 10 {
            tick.tick().await;
            let ten = (0..10).map(|n| 300 + group * 10 + n).map(|n| append(&scene.store, n..n + 1));
            futures_util::future::join_all(ten).await;
        }
        written.store(true, std::sync::atomic::Ordering::SeqCst);
        RECORDS as f64 / began.elapsed().as_secs_f64()
    };
    let back = async {
        let mut walks = 0;
        while !is_written() {
            let (mut seen, mut before) = (vec![], 301);
            loop {
                let found = scene.index.search(&filter, Page::Before(before), 50, NOW).await.unwrap();
                seen = [found.positions().collect(), seen].concat();
                let Some(next) = found.rest else { break };
                before = next;
            }
            assert_eq!(seen, old, "the past is as it was");
            walks += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        walks
    };
    let forth = async {
        let (mut seen, mut from, mut pages): (Vec<Position>, Position, u32) = (vec![], 1, 0);
        while from <= 300 + RECORDS {
            let found = scene.index.search(&filter, Page::From(from), 20, NOW).await.unwrap();
            seen.extend(found.positions());
            pages += u32::from(!is_written());
            from = found.rest.unwrap_or(found.head + 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (seen, pages)
    };
    let all = futures_util::future::join3(writing, back, forth);
    let (rate, walks, (seen, pages)) = tokio::time::timeout(3 * SOON, all).await.unwrap();
    println!("{rate:.0} records/s; {pages} pages of the end and {walks} walks over the past meanwhile");
    assert!(pages > 20 && walks > 2, "it was asked while they came: {pages} pages, {walks} walks");
    let all = every(&scene.store).await;
    assert_eq!(all.len(), 3_300);
    assert_eq!(seen, walk(&all, &filter));
}

#[tokio::test]
async fn pages_lose_and_repeat_nothing_while_records_arrive() {
    let scene = scene(300).await;
    let filter = parse("-action:thawed").unwrap();
    let old = walk(&scene.all, &filter);
    let writers = (0..8_u64).map(|w| {
        let store = scene.store.clone();
        async move { append(&store, 300 + w * 60..360 + w * 60).await }
    });
    let back = async {
        let (mut seen, mut before) = (vec![], 301);
        loop {
            let found = scene.index.search(&filter, Page::Before(before), 10, NOW).await.unwrap();
            seen = [found.positions().collect(), seen].concat();
            let Some(next) = found.rest else { break seen };
            before = next;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let forth = async {
        let (mut seen, mut from): (Vec<Position>, Position) = (vec![], 1);
        while from <= 780 {
            let found = scene.index.search(&filter, Page::From(from), 20, NOW).await.unwrap();
            seen.extend(found.positions());
            from = found.rest.unwrap_or(found.head + 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen
    };
    let both = futures_util::future::join3(futures_util::future::join_all(writers), back, forth);
    let (_, back, forth) = tokio::time::timeout(SOON, both).await.unwrap();
    assert_eq!(back, old);
    let all = every(&scene.store).await;
    assert_eq!(all.len(), 780);
    assert_eq!(forth, walk(&all, &filter));
}
