//! Reads one table key by key: each key asked for is known, whatever is left over is a mistake.

use super::{At, Entry, Kind, Node, Sink, code};
use crate::kernel::domain::{Name, Span};
use crate::units;
use std::cell::{Cell, RefCell};

/// A table being read. Call [`Table::finish`] when every key was asked for.
pub struct Table<'a> {
    pub sink: &'a Sink,
    pub at: At,
    entries: &'a [Entry],
    /// What the table is, in the words of a message: `a step`, `target "pg"`.
    what: String,
    known: RefCell<Vec<&'static str>>,
    silent: Cell<bool>,
}

impl Sink {
    pub fn table<'a>(&'a self, node: &'a Node, what: impl Into<String>) -> Option<Table<'a>> {
        let what = what.into();
        match &node.kind {
            Kind::Map(entries) => Some(Table {
                sink: self,
                at: self.head(node),
                entries,
                what,
                known: RefCell::default(),
                silent: Cell::new(false),
            }),
            _ => self.mistyped(node, &what, "a table"),
        }
    }

    /// Where a message about a whole table points: its first line, not the whole of it.
    fn head(&self, node: &Node) -> At {
        let first = node.entries().first().map_or(node.at.start, |entry| entry.key_at.start);
        let start = if node.at.is_empty() { first } else { node.at.start };
        let line = self.source().text[start..].find('\n').map_or(self.source().text.len(), |n| start + n);
        start..node.at.end.min(line).max(start)
    }

    /// Says what was expected; never quotes the value, which may be a credential.
    pub fn mistyped<T>(&self, node: &Node, what: &str, wanted: &str) -> Option<T> {
        let says = format!("{what} must be {wanted}, but this is {}", node.is());
        match (&node.kind, wanted) {
            (Kind::Int(_) | Kind::Float(_) | Kind::Bool(_), "text") => {
                self.error_hint(code::WRONG_TYPE, self.head(node), says, "put it in quotes")
            }
            _ => self.error(code::WRONG_TYPE, self.head(node), says),
        }
        None
    }
    pub fn text<'a>(&self, node: &'a Node, what: &str) -> Option<&'a str> {
        match &node.kind {
            Kind::Text(text) if text.is_empty() => {
                self.error(code::BAD_VALUE, node.at.clone(), format!("{what} must not be empty"));
                None
            }
            Kind::Text(text) => Some(text),
            _ => self.mistyped(node, what, "text"),
        }
    }
    pub fn name(&self, node: &Node, what: &str) -> Option<Name> {
        let text = self.text(node, what)?;
        let fine = text.len() <= 128 && !text.chars().any(char::is_control) && text.trim() == text;
        if !fine {
            let says = format!("{what} must be a name: at most 128 bytes, one line, no space at its ends");
            self.error(code::BAD_VALUE, node.at.clone(), says);
        }
        fine.then(|| Name::from(text))
    }
    pub fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        match node.kind {
            Kind::Bool(b) => Some(b),
            _ => self.mistyped(node, what, "true or false"),
        }
    }
    /// A whole number from `least` to `most`.
    pub fn integer(&self, node: &Node, what: &str, least: i64, most: i64) -> Option<i64> {
        match node.kind {
            Kind::Int(n) if (least..=most).contains(&n) => Some(n),
            Kind::Int(n) => {
                let says = format!("{what} must be from {least} to {most}, but this is {n}");
                self.error(code::BAD_VALUE, node.at.clone(), says);
                None
            }
            _ => self.mistyped(node, what, "a whole number"),
        }
    }
    /// A length of time, longer than zero.
    pub fn span(&self, node: &Node, what: &str) -> Option<Span> {
        let text = match &node.kind {
            Kind::Text(text) => text,
            Kind::Int(n) => {
                let says = format!("{what} is a length of time and needs its unit");
                self.error_hint(code::BAD_VALUE, node.at.clone(), says, format!("write {n}s, {n}m or {n}h"));
                return None;
            }
            _ => return self.mistyped(node, what, "a length of time like 30s"),
        };
        match units::parse_span(text) {
            Ok(Span::ZERO) => {
                self.error(code::BAD_VALUE, node.at.clone(), format!("{what} must be longer than zero"));
                None
            }
            Ok(span) => Some(span),
            Err(why) => {
                self.error(code::BAD_VALUE, node.at.clone(), format!("{what}: {why}"));
                None
            }
        }
    }
    pub fn list<'a>(&self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.kind {
            Kind::List(list) => Some(list),
            _ => self.mistyped(node, what, "a list"),
        }
    }
    pub fn names(&self, node: &Node, what: &str) -> Option<Vec<(Name, At)>> {
        let list = self.list(node, what)?;
        let each = format!("each of {what}");
        Some(list.iter().filter_map(|n| Some((self.name(n, &each)?, n.at.clone()))).collect())
    }
}

impl<'a> Table<'a> {
    pub fn get(&self, key: &'static str) -> Option<&'a Node> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
    /// Where the key itself stands.
    pub fn key_at(&self, key: &str) -> At {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.at.clone(), |entry| entry.key_at.clone())
    }
    pub fn need(&self, key: &'static str) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            // A misspelt key is told once, as unknown.
            let known = self.known.borrow();
            let misspelt = self
                .entries
                .iter()
                .any(|e| !known.contains(&e.key.as_str()) && super::nearest(&e.key, [key]).is_some());
            if !misspelt {
                self.sink.error(code::MISSING, self.at.clone(), format!("{} has no {key:?}", self.what));
            }
        }
        found
    }
    fn what(&self, key: &str) -> String {
        format!("{key:?} of {}", self.what)
    }
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        self.sink.text(self.get(key)?, &self.what(key))
    }
    pub fn need_text(&self, key: &'static str) -> Option<&'a str> {
        self.sink.text(self.need(key)?, &self.what(key))
    }
    pub fn name(&self, key: &'static str) -> Option<Name> {
        self.sink.name(self.get(key)?, &self.what(key))
    }
    pub fn need_name(&self, key: &'static str) -> Option<Name> {
        self.sink.name(self.need(key)?, &self.what(key))
    }
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.sink.boolean(self.get(key)?, &self.what(key))
    }
    pub fn integer(&self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        self.sink.integer(self.get(key)?, &self.what(key), least, most)
    }
    pub fn span(&self, key: &'static str) -> Option<Span> {
        self.sink.span(self.get(key)?, &self.what(key))
    }
    pub fn list(&self, key: &'static str) -> Option<&'a [Node]> {
        self.sink.list(self.get(key)?, &self.what(key))
    }
    pub fn names(&self, key: &'static str) -> Option<Vec<(Name, At)>> {
        self.sink.names(self.get(key)?, &self.what(key))
    }
    pub fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.sink.table(self.get(key)?, self.what(key))
    }
    /// One of a fixed set of words.
    pub fn word(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let node = self.get(key)?;
        let text = self.sink.text(node, &self.what(key))?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let says = format!("{} cannot be {text:?}", self.what(key));
            self.sink.unknown(code::BAD_VALUE, node.at.clone(), says, text, words.iter().copied());
        }
        found
    }
    /// A key of the language that this version does not enforce: an error, never silently ignored.
    pub fn not_yet(&self, key: &'static str, hint: &str) {
        if self.get(key).is_some() {
            let says = format!("{key:?} is not yet in this version");
            self.sink.error_hint(code::NOT_YET, self.key_at(key), says, hint);
        }
    }
    /// What this table is could not be told, so nothing can be said about its other keys.
    pub fn ignore_rest(&self) {
        self.silent.set(true);
    }
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }
    /// Reports every key that nobody asked for. Keys that begin with `x-` are the user's own.
    pub fn finish(self) {
        let known = self.known.borrow();
        for entry in self.entries {
            if self.silent.get() || known.contains(&entry.key.as_str()) || entry.key.starts_with("x-") {
                continue;
            }
            let says = format!("{} has no key {:?}", self.what, entry.key);
            self.sink.unknown(
                code::UNKNOWN_KEY,
                entry.key_at.clone(),
                says,
                &entry.key,
                known.iter().copied(),
            );
        }
    }
}
