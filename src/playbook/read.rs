//! The outline: from the tree to a draft. What is missing or mistyped is told here; what does not fit
//! together, later.

use super::model::{Places, Playbook, Trigger};
use super::zabbix::{self, Condition, ConditionError};
use super::{approval, steps};
use crate::document::{Entry, Node, Sink, Table, code, read};
use crate::expr::{Expr, Matcher, MatcherError, Template};
use crate::kernel::domain::{Mode, Name, Objective, RunKind, Span};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The end state is looked at every few seconds for that long, and no longer.
const LONGEST_WINDOW: Span = Span::mins(24 * 60);

/// `None`: too much is missing for the rules to look at the rest.
pub(super) fn draft(sink: &Sink) -> Option<Playbook> {
    let root = read(sink)?;
    let top = sink.table(&root, "the playbook")?;
    let name = top.need_name("playbook");
    let service = top.need_name("service");
    let (from, to) = (template(&top, "from"), template(&top, "to"));
    let (approval, approval_places) = approval::read(&top);
    let mut playbook = Playbook {
        name: name.unwrap_or_else(|| Name::from("?")),
        description: top.text("description").unwrap_or_default().to_owned(),
        service: service.unwrap_or_else(|| Name::from("?")),
        owner: top.name("owner"),
        kind: read_kind(&top),
        mode: read_mode(&top),
        sites: read_sites(&top),
        triggers: read_triggers(&top),
        cooldown: None,
        per_day: None,
        windows: super::windows::read(&top),
        unconfirmed_after: None,
        resume_within: None,
        min_live_targets: None,
        objective: read_objective(&top),
        approval,
        fence_watch: true,
        commit_window: Span::ZERO,
        file: sink.source().file.clone(),
        text: sink.source().text.clone(),
        digest: super::digest(&sink.source().text),
        from: from.unwrap_or(Template::Fixed(Value::Null)),
        to: to.unwrap_or(Template::Fixed(Value::Null)),
        steps: vec![],
        places: Places { approval: approval_places, ..places(&top) },
    };
    read_limits(&top, &mut playbook);
    playbook.steps = steps::guards(&top);
    playbook.steps.extend(steps::steps(&top));
    playbook.steps.extend(steps::verifications(&top));
    read_afterwards(&top, &mut playbook);
    top.not_yet("notify", "the log and the command line tell; leave it out");
    top.not_yet("use", "copy the steps");
    top.not_yet("group", "one playbook moves one service");
    top.not_yet("schedule", "a person or an alert starts a run");
    top.finish();
    Some(playbook)
}

fn places(top: &Table<'_>) -> Places {
    let value = |key: &'static str| top.get(key).map_or(top.at.clone(), |node| node.at.clone());
    Places {
        from: value("from"),
        to: value("to"),
        mode: value("mode"),
        top: top.at.clone(),
        ..Places::default()
    }
}

fn template(top: &Table<'_>, key: &'static str) -> Option<Template> {
    let node = top.need(key)?;
    top.sink.text(node, &format!("{key:?}"))?;
    Some(compile(top.sink, node))
}

/// Compiles the strings of a node; each error points at its string.
pub(super) fn compile(sink: &Sink, node: &Node) -> Template {
    let mut errors = vec![];
    let template = Template::of(node, &mut errors);
    for error in errors {
        let says = format!("in ${{{}}}: {}", error.source, error.error);
        sink.error(code::EXPRESSION, error.at, says);
    }
    template
}

fn read_kind(top: &Table<'_>) -> RunKind {
    match top.word("kind", &["failover", "switchover", "failback", "drill", "other"]) {
        Some("switchover") => RunKind::Switchover,
        Some("failback") => RunKind::Failback,
        Some("drill") => RunKind::Drill,
        Some("other") => RunKind::Other,
        _ => RunKind::Failover,
    }
}

/// Whatever cannot be read is the mode that does nothing.
fn read_mode(top: &Table<'_>) -> Mode {
    match top.word("mode", &["observe", "approve", "auto"]) {
        Some("approve") => Mode::Approve,
        Some("auto") => Mode::Auto,
        _ => Mode::Observe,
    }
}

fn read_sites(top: &Table<'_>) -> BTreeMap<Name, Map<String, Value>> {
    let mut sites = BTreeMap::new();
    let Some(node) = top.need("sites") else { return sites };
    if top.sink.table(node, "\"sites\"").is_none() {
        return sites;
    }
    for entry in node.entries() {
        if top.sink.table(&entry.value, format!("site {:?}", entry.key)).is_none() {
            continue;
        }
        let mut values = Map::new();
        for field in entry.value.entries() {
            if field.value.json().to_string().contains("${") {
                let says = "values of a site are fixed; \"${…}\" cannot stand here";
                top.sink.error(code::BAD_VALUE, field.value.at.clone(), says);
            }
            values.insert(field.key.clone(), field.value.json());
        }
        // So that a text can say which site it speaks of.
        values.entry("name").or_insert_with(|| Value::from(entry.key.as_str()));
        sites.insert(Name::from(entry.key.as_str()), values);
    }
    sites
}

fn read_triggers(top: &Table<'_>) -> Vec<Trigger> {
    let nodes = top.list("triggers").unwrap_or_default();
    nodes.iter().filter_map(|node| read_trigger(top.sink, node)).collect()
}

fn read_trigger(sink: &Sink, node: &Node) -> Option<Trigger> {
    let table = sink.table(node, "a trigger")?;
    let of_labels = |entry: &Entry, text: &str| {
        let error = |e: MatcherError| sink.error(code::MATCHER, entry.value.at.clone(), e.to_string());
        Matcher::parse(text).map_err(error).ok()
    };
    let alertmanager = matchers(&table, "alertmanager", of_labels);
    let generic = matchers(&table, "generic", of_labels);
    let zabbix = matchers(&table, "zabbix", |entry, text| {
        Condition::parse(&entry.key, text).map_err(|error| not_a_condition(sink, entry, &error)).ok()
    });
    let kinds = ["alertmanager", "zabbix", "generic"].into_iter().filter_map(|key| table.get(key));
    if let Some(second) = kinds.clone().nth(1) {
        let says = match table.get("generic") {
            None => "an alert comes from an Alertmanager or from a Zabbix, never from both",
            Some(_) => "an alert comes from an Alertmanager, a Zabbix or another source, never from two",
        };
        sink.error_hint(
            code::BAD_VALUE,
            second.at.clone(),
            says,
            "write two triggers: any of them is enough",
        );
    }
    let when = table.text("when").zip(table.get("when")).and_then(|(text, node)| match Expr::compile(text) {
        Ok(expr) => Some(expr),
        Err(error) => {
            sink.error(code::EXPRESSION, node.at.clone(), error.to_string());
            None
        }
    });
    let known = ["alertmanager", "when", "zabbix", "generic"].into_iter().any(|key| table.get(key).is_some());
    if !known {
        let hint = "add alertmanager: { label: value }, zabbix: { tag.NAME: value } or when: expression";
        sink.error_hint(code::MISSING, table.at.clone(), "a trigger says what it waits for", hint);
    }
    let confirmed_for = table.span("confirmed_for").unwrap_or(Span::ZERO);
    let at = table.at.clone();
    table.finish();
    // What could not be read must not become a trigger that asks for less.
    let read_all = table_read(node, "alertmanager", alertmanager.is_some())
        && table_read(node, "zabbix", zabbix.is_some())
        && table_read(node, "generic", generic.is_some())
        && table_read(node, "when", when.is_some());
    let trigger = Trigger { alertmanager, zabbix, generic, when, confirmed_for, at };
    (read_all && !trigger.is_empty()).then_some(trigger)
}

/// A table of conditions, all of which must hold.
fn matchers<T>(
    table: &Table<'_>,
    key: &'static str,
    one: impl Fn(&Entry, &str) -> Option<T>,
) -> Option<Vec<(String, T)>> {
    let (sink, inner) = (table.sink, table.table(key)?);
    let mut all = vec![];
    for entry in inner.entries() {
        let Some(text) = sink.text(&entry.value, &format!("the matcher of {:?}", entry.key)) else {
            continue;
        };
        all.extend(one(entry, text).map(|matcher| (entry.key.clone(), matcher)));
    }
    if inner.entries().is_empty() {
        sink.error(code::BAD_VALUE, inner.at.clone(), "a trigger without matchers would take every alert");
    }
    Some(all)
}

fn not_a_condition(sink: &Sink, entry: &Entry, error: &ConditionError) {
    match error {
        ConditionError::Key(key) => {
            let known = zabbix::KEYS.into_iter().chain(["tag.NAME"]);
            sink.unknown(code::UNKNOWN_KEY, entry.key_at.clone(), error.to_string(), key, known);
        }
        _ => sink.error(code::MATCHER, entry.value.at.clone(), error.to_string()),
    }
}

fn table_read(node: &Node, key: &str, read: bool) -> bool {
    read || node.get(key).is_none()
}

fn read_limits(top: &Table<'_>, playbook: &mut Playbook) {
    let Some(limits) = top.table("limits") else { return };
    playbook.cooldown = limits.span("cooldown");
    playbook.per_day = limits.integer("per_day", 1, 1_000).and_then(|n| u32::try_from(n).ok());
    playbook.unconfirmed_after = limits.span("unconfirmed_after");
    playbook.resume_within = limits.span("resume_within");
    playbook.min_live_targets =
        limits.integer("min_live_targets", 0, 100).and_then(|n| u32::try_from(n).ok());
    limits.finish();
}

fn read_objective(top: &Table<'_>) -> Objective {
    let Some(table) = top.table("objective") else { return Objective::default() };
    let objective = Objective { rto: table.span("rto"), rpo: table.span("rpo") };
    table.finish();
    objective
}

fn read_afterwards(top: &Table<'_>, playbook: &mut Playbook) {
    let Some(table) = top.table("afterwards") else { return };
    playbook.fence_watch = table.word("fence_watch", &["until_standby", "none"]) != Some("none");
    playbook.commit_window = table.span("commit_window").unwrap_or(Span::ZERO);
    if playbook.commit_window > LONGEST_WINDOW {
        let says = format!("a commit window is at most {LONGEST_WINDOW}");
        table.sink.error(code::BAD_VALUE, table.key_at("commit_window"), says);
    }
    table.finish();
}
