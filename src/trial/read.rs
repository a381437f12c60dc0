//! `*.test.yaml` → [`TestFile`], with all problems at once, each at its place.

use super::model::{
    Case, Deed, Expect, Fault, FaultKind, Incoming, Named, Person, Says, TestFile, Word, WorldDeed,
};
use super::words::{
    self, BY_HAND, ENDINGS, FAULTS, HANDS, PATRONI, POWER_OFF, PRIMARY, SAYS, SENTINELS, STANDBYS, STEPS,
};
use crate::document::{Node, Problem, Sink, Table, code, has_errors};
use crate::kernel::domain::{Mode, Role, SourceKind, Span};
use crate::simulated::world::{Patroni, Sentinels, Standby, Start};
use crate::units;
use std::collections::BTreeMap;

/// Most cases of one file; most entries of each list of a case.
const MOST: usize = 500;
const MOST_TIMES: i64 = 100;

/// The test file, if it has no error, and every problem.
pub fn read(text: &str, file: &str) -> (Option<TestFile>, Vec<Problem>) {
    let sink = Sink::new(file, text);
    let read = whole(&sink);
    let problems = sink.finish();
    (read.filter(|_| !has_errors(&problems)), problems)
}

fn whole(sink: &Sink) -> Option<TestFile> {
    let root = crate::document::read(sink)?;
    let top = sink.table(&root, "the test file")?;
    top.need("playbook");
    let playbook = named(&top, "playbook");
    let config = named(&top, "config");
    let mode = mode(&top);
    top.need("cases");
    let nodes = limited(&top, "cases");
    if nodes.is_empty() && top.get("cases").is_some() {
        sink.error(code::MISSING, top.key_at("cases"), "a test file has at least one case");
    }
    let mut cases: Vec<Case> = vec![];
    for node in nodes {
        let Some(case) = one_case(sink, node, mode) else { continue };
        if cases.iter().any(|other| other.name == case.name) {
            sink.error(
                code::DUPLICATE_NAME,
                case.at.clone(),
                format!("another case is named {:?}", case.name),
            );
        }
        cases.push(case);
    }
    top.finish();
    Some(TestFile {
        file: sink.source().file.clone(),
        text: sink.source().text.clone(),
        playbook: playbook?,
        config,
        cases,
    })
}

fn limited<'a>(table: &Table<'a>, key: &'static str) -> &'a [Node] {
    let list = table.list(key).unwrap_or_default();
    if list.len() > MOST {
        table.sink.error(code::BAD_VALUE, table.key_at(key), format!("{key:?} has more than {MOST} entries"));
    }
    &list[..list.len().min(MOST)]
}

fn named(table: &Table<'_>, key: &'static str) -> Option<Named> {
    let at = table.get(key)?.at.clone();
    Some((table.text(key)?.to_owned(), at))
}

fn mode(table: &Table<'_>) -> Option<Mode> {
    Some(match table.word("mode", &["observe", "approve", "auto"])? {
        "approve" => Mode::Approve,
        "auto" => Mode::Auto,
        _ => Mode::Observe,
    })
}

fn one_case(sink: &Sink, node: &Node, mode_of_all: Option<Mode>) -> Option<Case> {
    let table = sink.table(node, "a case")?;
    let name = table.need_name("name");
    let at = table.get("name").map_or(table.at.clone(), |node| node.at.clone());
    let alerts: Vec<Incoming> =
        limited(&table, "alerts").iter().filter_map(|node| incoming(sink, node)).collect();
    let started_by = named(&table, "started_by").map(|name| Person { name, roles: None });
    if table.get("alerts").is_some() == started_by.is_some() {
        let says = "a case begins with \"alerts\", or with a person in \"started_by\"";
        sink.error(code::MISSING, at.clone(), says);
    }
    let case = Case {
        name: name.map(|name| name.to_string()).unwrap_or_default(),
        mode: mode(&table).or(mode_of_all),
        alerts,
        started_by,
        start: table.table("world").map(world).unwrap_or(LIVELY),
        faults: limited(&table, "faults").iter().filter_map(|node| fault(sink, node)).collect(),
        meanwhile: limited(&table, "meanwhile").iter().filter_map(|node| deed(sink, node)).collect(),
        people: limited(&table, "people").iter().filter_map(|node| word(sink, node)).collect(),
        patience: table.span("patience"),
        expect: expectations(&table),
        at,
    };
    table.finish();
    Some(case)
}

fn incoming(sink: &Sink, node: &Node) -> Option<Incoming> {
    let table = sink.table(node, "an alert")?;
    let payload = named(&table, "payload");
    let pairs = |key: &'static str| -> BTreeMap<String, String> {
        let each = table.get(key).map(Node::entries).unwrap_or_default().iter();
        each.filter_map(|e| Some((e.key.clone(), sink.text(&e.value, &format!("{:?}", e.key))?.to_owned())))
            .collect()
    };
    let (labels, annotations) = (pairs("labels"), pairs("annotations"));
    if payload.is_some() == table.get("labels").is_some() {
        sink.error(code::MISSING, table.at.clone(), "an alert has either \"labels\" or \"payload\"");
    }
    let from = table.word("from", &SourceKind::ALL.map(SourceKind::as_str));
    let from = from.and_then(SourceKind::of).unwrap_or_default();
    let source = table.name("source");
    if payload.is_some() && from == SourceKind::Generic && table.get("source").is_none() {
        let says = "\"source\" is missing: the source of the configuration whose mapping reads the payload";
        sink.error(code::MISSING, table.at.clone(), says);
    }
    table.finish();
    Some(match payload {
        Some(file) => Incoming::Payload { from, source, file },
        None => Incoming::Labels { from, source, labels, annotations },
    })
}

/// What is not said: everything lives, and each call takes a moment.
const LIVELY: Start = Start {
    primary_killed: false,
    primary_hangs: false,
    app_dead: false,
    ssh_cut: false,
    orders: false,
    cut_replication: false,
    behind: 0,
    standby: Standby::Follows,
    patroni: Patroni::Runs,
    sentinels: Sentinels::Agree,
    new_app_dead: false,
    source_silent: false,
    dns_silent: false,
    resolvers_silent: false,
    promote_looks: 2,
    dns_lag: 2,
    latency: Span::millis(20),
};

fn world(table: Table<'_>) -> Start {
    let is = |key: &'static str, words: [&'static str; 2]| table.word(key, &words) == Some(words[1]);
    let count =
        |key, default| table.integer(key, 0, 1_000).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let behind = table.text("behind").zip(table.get("behind")).and_then(|(text, node)| {
        let bytes = units::parse_bytes(text);
        bytes.map_err(|why| table.sink.error(code::BAD_VALUE, node.at.clone(), why)).ok()
    });
    let primary = table.word("primary", &PRIMARY);
    let start = Start {
        primary_killed: primary == Some(PRIMARY[1]),
        primary_hangs: primary == Some(PRIMARY[2]),
        app_dead: is("app", ["alive", "dead"]),
        ssh_cut: is("machine", ["answers", "cut off"]),
        orders: table.boolean("orders").unwrap_or(false),
        cut_replication: is("replication", ["flows", "cut"]),
        behind: behind.unwrap_or(0),
        standby: table
            .word("standby", &words::names(&STANDBYS))
            .and_then(|word| words::of(&STANDBYS, word))
            .unwrap_or_default(),
        patroni: table
            .word("patroni", &words::names(&PATRONI))
            .and_then(|word| words::of(&PATRONI, word))
            .unwrap_or_default(),
        sentinels: table
            .word("sentinels", &words::names(&SENTINELS))
            .and_then(|word| words::of(&SENTINELS, word))
            .unwrap_or_default(),
        new_app_dead: is("new_app", ["alive", "dead"]),
        source_silent: is("source", ["answers", "silent"]),
        dns_silent: is("second_name_server", ["answers", "silent"]),
        resolvers_silent: is("resolvers", ["answer", "silent"]),
        promote_looks: count("promote_looks", LIVELY.promote_looks),
        dns_lag: count("dns_lag", LIVELY.dns_lag),
        latency: table.span("latency").unwrap_or(LIVELY.latency),
    };
    table.finish();
    start
}

fn fault(sink: &Sink, node: &Node) -> Option<Fault> {
    let table = sink.table(node, "a fault")?;
    table.need("step");
    table.need("fault");
    let step = named(&table, "step");
    let mut known = words::names(&FAULTS);
    known.push(BY_HAND);
    let word = table.word("fault", &known);
    let hand = table.word("hand", &words::names(&HANDS)).and_then(|word| words::of(&HANDS, word));
    if (word == Some(BY_HAND)) != table.get("hand").is_some() {
        sink.error(
            code::MISSING,
            table.at.clone(),
            "\"hand\" belongs to fault: changed by hand, and to no other",
        );
    }
    let times = table.integer("times", 1, MOST_TIMES).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    table.finish();
    let kind = match word? {
        BY_HAND => FaultKind::ByHand(hand?),
        word => words::of(&FAULTS, word)?,
    };
    Some(Fault { step: step?, kind, times })
}

fn deed(sink: &Sink, node: &Node) -> Option<Deed> {
    let table = sink.table(node, "a deed")?;
    table.need("after");
    table.need("hand");
    let mut known = words::names(&HANDS);
    known.push(POWER_OFF);
    let word = table.word("hand", &known);
    let after = table.span("after");
    table.finish();
    let what = match word? {
        POWER_OFF => WorldDeed::PowerOffOld,
        word => WorldDeed::Hand(words::of(&HANDS, word)?),
    };
    Some(Deed { after: after?, what })
}

fn word(sink: &Sink, node: &Node) -> Option<Word> {
    let table = sink.table(node, "what a person says")?;
    let at = table.at.clone();
    table.need("who");
    table.need("says");
    let name = named(&table, "who");
    let roles = table.names("as").map(|names| {
        let known = Role::ALL.map(Role::as_str);
        let role = |(name, at): (crate::kernel::domain::Name, crate::document::At)| {
            let role = Role::parse(name.as_str());
            if role.is_none() {
                sink.unknown(
                    code::UNKNOWN_NAME,
                    at,
                    format!("there is no role {name:?}"),
                    name.as_str(),
                    known,
                );
            }
            role
        };
        names.into_iter().filter_map(role).collect()
    });
    let says: Option<Says> = table.word("says", &words::names(&SAYS)).and_then(|word| words::of(&SAYS, word));
    let (after, at_time) = (table.span("after"), table.span("at"));
    if after.is_some() && at_time.is_some() {
        sink.error(
            code::BAD_VALUE,
            table.key_at("at"),
            "either \"after\" the question, or \"at\" a time after the alert",
        );
    }
    let read = Word {
        who: Person { name: name.unwrap_or_default(), roles },
        says: says.unwrap_or(Says::Close),
        step: named(&table, "step"),
        after: at_time.or(after).unwrap_or(Span::ZERO),
        at_time: at_time.is_some(),
        powers_off: table.boolean("powers_off").unwrap_or(false),
        refused: table.text("refused").map(str::to_owned),
        at,
    };
    table.finish();
    says.map(|_| read)
}

fn expectations(case: &Table<'_>) -> Expect {
    case.need("expect");
    let Some(table) = case.table("expect") else { return Expect::default() };
    let texts = |key: &'static str| -> Vec<String> {
        let each = |node: &Node| Some(table.sink.text(node, &format!("each of {key:?}"))?.to_owned());
        match table.get(key) {
            Some(Node { kind: crate::document::Kind::Text(_), .. }) => {
                table.text(key).map(str::to_owned).into_iter().collect()
            }
            _ => limited(&table, key).iter().filter_map(each).collect(),
        }
    };
    let own = |(name, at): (crate::kernel::domain::Name, crate::document::At)| (name.to_string(), at);
    let steps = table.get("steps").map(Node::entries).unwrap_or_default().iter().filter_map(|entry| {
        let word = table.sink.text(&entry.value, &format!("how step {:?} stands", entry.key))?;
        if !STEPS.contains(&word) {
            let says = format!("a step cannot stand as {word:?}");
            table.sink.unknown(code::BAD_VALUE, entry.value.at.clone(), says, word, STEPS);
        }
        Some(((entry.key.clone(), entry.key_at.clone()), (word.to_owned(), entry.value.at.clone())))
    });
    let outcome = table.word("outcome", &ENDINGS).zip(table.get("outcome"));
    let loses = table.text("loses_at_most").zip(table.get("loses_at_most")).and_then(|(text, node)| {
        units::parse_bytes(text).map_err(|why| table.sink.error(code::BAD_VALUE, node.at.clone(), why)).ok()
    });
    let expect = Expect {
        outcome: outcome.map(|(word, node)| (word.to_owned(), node.at.clone())),
        says: texts("says"),
        steps: steps.collect(),
        order: table.names("order").unwrap_or_default().into_iter().map(own).collect(),
        journal: texts("journal"),
        never: texts("never"),
        within: table.span("within"),
        loses_at_most: loses,
        writers: table
            .names("writers")
            .map(|names| names.into_iter().map(|(name, _)| name.to_string()).collect()),
    };
    table.finish();
    if expect.outcome.is_none() {
        let hint = "for example outcome: succeeded, not started, held or parked";
        table_missing(case, hint);
    }
    expect
}

/// A test that expects nothing cannot fail.
fn table_missing(case: &Table<'_>, hint: &str) {
    if case.sink.has_errors() {
        return;
    }
    case.sink.error_hint(
        code::MISSING,
        case.key_at("expect"),
        "a case says which \"outcome\" it expects",
        hint,
    );
}
