//! `[sources.NAME] heartbeat`: an alert that never stops while all is well. When it stays away, its source cannot tell of
//! anything else either. Read with the source; triage and the readiness of playbooks ask it.

use crate::document::{Table, code};
use crate::expr::Matcher;
use crate::kernel::domain::Span;
use std::collections::BTreeMap;

/// What is awaited, and for how long.
#[derive(Clone, Debug)]
pub struct Watchdog {
    /// Silence of that length is told.
    pub within: Span,
    /// All must hold for a heartbeat; one of them names a value.
    pub alert: Vec<(String, Matcher)>,
}

const SHORTEST: Span = Span::secs(1);
const LONGEST: Span = Span::mins(7 * 24 * 60);

impl Watchdog {
    /// Such an alert says that its source lives, and nothing else: it never starts a run.
    pub fn is_beat(&self, labels: &BTreeMap<String, String>) -> bool {
        self.alert
            .iter()
            .all(|(label, matcher)| matcher.matches_any(labels.get(label).map_or("", String::as_str)))
    }

    /// As it stands in the configuration, for people.
    pub fn says(&self) -> String {
        let all: Vec<String> =
            self.alert.iter().map(|(label, matcher)| format!("{label}{matcher}")).collect();
        all.join(", ")
    }
}

pub(super) fn read(source: &Table<'_>) -> Option<Watchdog> {
    let table = source.table("heartbeat")?;
    let within = table.need("within").and_then(|_| table.span("within"));
    if within.is_some_and(|within| within < SHORTEST || within > LONGEST) {
        let says = "\"within\" is between 1s and 7d: silence of that length is told";
        table.sink.error(code::BAD_VALUE, table.key_at("within"), says);
    }
    let alert = table.need("alert").and_then(|_| table.table("alert")).map(|alert| matchers(&alert));
    table.finish();
    Some(Watchdog { within: within?, alert: alert? })
}

fn matchers(table: &Table<'_>) -> Vec<(String, Matcher)> {
    let sink = table.sink;
    let mut all = vec![];
    for entry in table.entries() {
        let what = format!("the matcher of {:?}", entry.key);
        let Some(text) = sink.text(&entry.value, &what) else { continue };
        match Matcher::parse(text) {
            Ok(matcher) => all.push((entry.key.clone(), matcher)),
            Err(error) => sink.error(code::MATCHER, entry.value.at.clone(), error.to_string()),
        }
    }
    // Whatever matches starts nothing: conditions that hold for many would keep real alerts away.
    if !all.iter().any(|(_, matcher)| matcher.only().is_some_and(|value| !value.is_empty())) {
        let says =
            "\"alert\" names no label with one value: other alerts than a heartbeat would count as one";
        let hint = "for example { alertname = \"Watchdog\" }";
        sink.error_hint(code::BAD_VALUE, table.at.clone(), says, hint);
    }
    all
}
