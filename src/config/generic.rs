//! `[sources.NAME]` of any sender: how its bodies are read and how they are signed. A mapping is expressions over the body; a preset is
//! such a mapping as a file. Everything is compiled here, at load; `intake::generic` evaluates it.

use crate::document::{Entry, Node, Sink, Table, code};
use crate::expr::Expr;
use crate::kernel::domain::Span;

/// Names, and the same text that a user could write.
pub const PRESETS: [(&str, &str); 6] = [
    ("datadog", include_str!("presets/datadog.toml")),
    ("grafana", include_str!("presets/grafana.toml")),
    ("icinga", include_str!("presets/nagios.toml")),
    ("nagios", include_str!("presets/nagios.toml")),
    ("newrelic", include_str!("presets/newrelic.toml")),
    ("pagerduty", include_str!("presets/pagerduty.toml")),
];
/// What an expression may see. `event`: the attributes of a CloudEvent.
const NAMES: [&str; 3] = ["body", "event", "item"];
/// Most expressions of one table.
const MOST: usize = 32;
const WINDOW: Span = Span::mins(5);

/// How the bodies of a source are read.
#[derive(Clone, Debug)]
pub struct Generic {
    pub mapping: Mapping,
    pub signature: Scheme,
    /// Its bodies are CloudEvents, whose data is what is read.
    pub cloudevents: bool,
}

#[derive(Clone, Debug)]
pub struct Mapping {
    /// A list of alerts in the body; without it the body is one.
    pub items: Option<Expr>,
    pub fingerprint: Expr,
    pub status: Expr,
    pub firing: Vec<String>,
    pub resolved: Vec<String>,
    /// Understood, and nothing that begins or ends. `*`: whatever else.
    pub ignored: Vec<String>,
    pub labels: Pairs,
    pub annotations: Pairs,
    pub starts_at: Option<Expr>,
    pub ends_at: Option<Expr>,
    /// How many alerts the sender left out.
    pub truncated: Option<Expr>,
    /// The source gives every outage a fingerprint of its own.
    pub once: bool,
}

#[derive(Clone, Debug)]
pub enum Pairs {
    /// A table of the body, as it is.
    Whole(Expr),
    Each(Vec<(String, Expr)>),
}

/// How a sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    Pointsman,
    StandardWebhooks,
    Header(HeaderScheme),
}

/// HMAC-SHA256 in a header, over the body or over a time, a separator and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderScheme {
    pub header: String,
    pub base64: bool,
    pub prefix: String,
    pub time_header: Option<String>,
    pub separator: String,
    pub window: Span,
}

/// None: the source is of a kind that is known without being told.
pub(super) fn read(table: &Table<'_>) -> Option<Generic> {
    let words: Vec<&'static str> = PRESETS.iter().map(|(name, _)| *name).collect();
    let preset = table.word("preset", &words);
    let mapping = table.table("mapping");
    let scheme = read_scheme(table);
    let cloudevents = table.boolean("cloudevents");
    if let (Some(_), Some(node)) = (preset, table.get("mapping")) {
        let says = "a source has a \"preset\" or a \"mapping\", not both";
        let hint = "copy the preset's mapping from its page in docs/sources, and change it";
        table.sink.error_hint(code::BAD_VALUE, node.at.clone(), says, hint);
    }
    let mapped = preset.is_some() || mapping.is_some();
    for key in ["signature", "cloudevents"].into_iter().filter(|key| !mapped && table.get(key).is_some()) {
        let says = format!("{key:?} belongs to a source with a \"preset\" or a \"mapping\"");
        table.sink.error(code::MISSING, table.key_at(key), says);
    }
    let preset = preset.and_then(of_preset);
    let (mapping, own) = match (mapping, preset) {
        (Some(mapping), _) => (read_mapping(mapping)?, None),
        (None, Some(preset)) => (preset.mapping, Some(preset.signature)),
        (None, None) => return None,
    };
    let signature = scheme.or(own).unwrap_or(Scheme::Pointsman);
    Some(Generic { mapping, signature, cloudevents: cloudevents.unwrap_or(false) })
}

fn of_preset(name: &str) -> Option<Generic> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    let sink = Sink::new("preset.toml", text);
    let root = crate::document::read(&sink)?;
    let table = sink.table(&root, "the preset")?;
    let read = read(&table);
    table.finish();
    read.filter(|_| !sink.has_errors())
}

fn read_mapping(own: Table<'_>) -> Option<Mapping> {
    let table = &own;
    let words = |key: &'static str| -> Vec<String> {
        let nodes = table.list(key).unwrap_or_default().iter();
        nodes
            .filter_map(|node| table.sink.text(node, &format!("each of {key:?}")))
            .map(str::to_owned)
            .collect()
    };
    let over_body = ["body", "event"];
    let items = expression(table, "items", &over_body);
    let truncated = expression(table, "truncated", &over_body);
    let seen: &[&str] = if table.get("items").is_some() { &NAMES } else { &over_body };
    let (fingerprint, status) = (needed(table, "fingerprint", seen), needed(table, "status", seen));
    let (firing, resolved, ignored) = (words("firing"), words("resolved"), words("ignored"));
    let [labels, annotations] = [pairs(table, "labels", seen), pairs(table, "annotations", seen)];
    let (starts_at, ends_at) = (expression(table, "starts_at", seen), expression(table, "ends_at", seen));
    let once = table.boolean("once").unwrap_or(false);
    for key in ["firing", "resolved"] {
        if table.get(key).is_none() {
            let says = format!("{key:?} is missing: the values of \"status\" that mean it");
            table.sink.error(code::MISSING, table.at.clone(), says);
        }
    }
    let twice = |word: &&String| resolved.contains(word) || ignored.contains(word);
    if let Some(word) = firing.iter().find(twice).or_else(|| resolved.iter().find(|w| ignored.contains(w))) {
        let says = format!("the status {word:?} means two things");
        table.sink.error(code::BAD_VALUE, table.at.clone(), says);
    }
    let begin_or_end = [("firing", &firing), ("resolved", &resolved)];
    if let Some((key, _)) = begin_or_end.into_iter().find(|(_, words)| words.iter().any(|w| w == "*")) {
        let says = "only \"ignored\" may hold \"*\": what is not known is neither a problem nor its end";
        table.sink.error(code::BAD_VALUE, table.key_at(key), says);
    }
    if table.get("starts_at").is_none() && !once {
        let says = "\"starts_at\" is missing: a late copy of a problem could not be told from a new one";
        let hint = "or say once = true, if every problem has a fingerprint that never comes again";
        table.sink.error_hint(code::MISSING, table.at.clone(), says, hint);
    }
    own.finish();
    Some(Mapping {
        items,
        fingerprint: fingerprint?,
        status: status?,
        firing,
        resolved,
        ignored,
        labels: labels?,
        annotations: annotations?,
        starts_at,
        ends_at,
        truncated,
        once,
    })
}

fn needed(table: &Table<'_>, key: &'static str, seen: &[&str]) -> Option<Expr> {
    table.need(key)?;
    expression(table, key, seen)
}

fn expression(table: &Table<'_>, key: &'static str, seen: &[&str]) -> Option<Expr> {
    table.text(key)?;
    compiled(table.sink, table.get(key)?, key, seen)
}

/// An expression, or a table of them.
fn pairs(table: &Table<'_>, key: &'static str, seen: &[&str]) -> Option<Pairs> {
    let Some(node) = table.get(key) else { return Some(Pairs::Each(vec![])) };
    if node.text().is_some() {
        return compiled(table.sink, node, key, seen).map(Pairs::Whole);
    }
    let inner = table.sink.table(node, format!("{key:?}"))?;
    if inner.entries().len() > MOST {
        let says = format!("{key:?} has {} entries; at most {MOST} are taken", inner.entries().len());
        table.sink.error(code::BAD_VALUE, node.at.clone(), says);
    }
    let one = |entry: &Entry| {
        let expr = compiled(table.sink, &entry.value, &format!("{key}.{}", entry.key), seen)?;
        Some((entry.key.clone(), expr))
    };
    let all: Vec<(String, Expr)> = inner.entries().iter().filter_map(one).collect();
    (all.len() == inner.entries().len()).then_some(Pairs::Each(all))
}

fn compiled(sink: &Sink, node: &Node, what: &str, seen: &[&str]) -> Option<Expr> {
    let text = sink.text(node, &format!("{what:?}"))?;
    let expr = match Expr::compile(text) {
        Ok(expr) => expr,
        Err(error) => {
            sink.error(code::EXPRESSION, node.at.clone(), format!("{what}: {error}"));
            return None;
        }
    };
    let Some(unknown) = expr.free().iter().find(|name| !seen.contains(&name.as_str())) else {
        return Some(expr);
    };
    let says = match unknown.as_str() {
        "item" => format!("{what}: there is no \"item\" where no \"items\" are"),
        _ => format!("{what}: there is nothing named {unknown:?} here"),
    };
    sink.unknown(code::UNKNOWN_VARIABLE, node.at.clone(), says, unknown, seen.iter().copied());
    None
}

fn read_scheme(table: &Table<'_>) -> Option<Scheme> {
    let node = table.get("signature")?;
    if node.text().is_some() {
        return match table.word("signature", &["pointsman", "standard-webhooks"])? {
            "standard-webhooks" => Some(Scheme::StandardWebhooks),
            _ => Some(Scheme::Pointsman),
        };
    }
    let inner = table.sink.table(node, "\"signature\"")?;
    let header = |key: &'static str| {
        let text = inner.text(key)?;
        let name = http::HeaderName::from_bytes(text.as_bytes());
        if name.is_err() {
            let says = format!("{key:?} must be the name of a header");
            inner.sink.error(code::BAD_VALUE, inner.key_at(key), says);
        }
        name.ok().map(|name| name.as_str().to_owned())
    };
    inner.need("header");
    let scheme = HeaderScheme {
        header: header("header").unwrap_or_default(),
        base64: inner.word("encoding", &["hex", "base64"]) == Some("base64"),
        prefix: inner.text("prefix").unwrap_or_default().to_owned(),
        time_header: header("time_header"),
        separator: inner.text("separator").unwrap_or(".").to_owned(),
        window: inner.span("window").unwrap_or(WINDOW),
    };
    if scheme.window < Span::secs(1) || scheme.window > Span::mins(60) {
        inner.sink.error(code::BAD_VALUE, inner.key_at("window"), "\"window\" is between 1s and 1h");
    }
    for key in ["separator", "window"] {
        if inner.get(key).is_some() && inner.get("time_header").is_none() {
            let says = format!("{key:?} belongs to a signature with a \"time_header\"");
            inner.sink.error(code::MISSING, inner.key_at(key), says);
        }
    }
    inner.finish();
    Some(Scheme::Header(scheme))
}

#[cfg(test)]
#[path = "generic_tests.rs"]
mod tests;
