//! YAML, read from the parser's events so that every duplicate key and every alias is seen with its place.
//!
//! Aliases, anchors and tags are errors: a playbook is what a person reads, and what expands cannot be read.

use super::{At, Entry, Kind, MAX_DEPTH, MAX_NODES, Node, Sink, code};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

pub(super) fn read(sink: &Sink) -> Option<Node> {
    let mut reader = Reader { sink, open: vec![], root: None, nodes: 0 };
    for event in Parser::new_from_str(&sink.source().text) {
        match event {
            Ok((event, span)) => {
                if !reader.take(event, at(&span)) {
                    return None;
                }
            }
            Err(error) => {
                reader.syntax(&error);
                return None;
            }
        }
    }
    let root = reader.root.take();
    if root.is_none() {
        sink.error(code::UNREADABLE, 0..0, "the file is empty");
    }
    root
}

/// A collection that has begun and not ended.
enum Open {
    List(At, Vec<Node>),
    Map { at: At, entries: Vec<Entry>, key: Option<(String, At)> },
}

struct Reader<'a> {
    sink: &'a Sink,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

fn at(span: &Span) -> At {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

impl Reader<'_> {
    fn syntax(&self, error: &ScanError) {
        let place = error.marker().byte_offset().unwrap_or(0);
        self.sink.error(code::SYNTAX, place..place, format!("this is not YAML: {}", error.kind()));
    }

    /// False: nothing after this can be understood.
    fn take(&mut self, event: Event<'_>, at: At) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.decorated(anchor, tag.is_some(), &at);
                self.within_budget(&at) && self.value(Node { kind: scalar(&text, style), at })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.decorated(anchor, tag.is_some(), &at);
                self.begin(Open::List(at, vec![]))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.decorated(anchor, tag.is_some(), &at);
                self.begin(Open::Map { at, entries: vec![], key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(at.end),
            Event::Alias(_) => {
                let says = "aliases (*name) are not part of the language";
                self.sink.error_hint(code::NO_ALIASES, at.clone(), says, "write the value out");
                self.within_budget(&at) && self.value(Node { at, kind: Kind::Null })
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                self.sink.error(code::SYNTAX, at, "a file holds one document; a second one begins here");
                false
            }
            _ => true,
        }
    }

    fn decorated(&self, anchor: usize, tagged: bool, at: &At) {
        let at = at.start..at.start;
        if anchor != 0 {
            let says = "anchors (&name) are not part of the language";
            self.sink.error_hint(code::NO_ALIASES, at.clone(), says, "write the value out where it is used");
        }
        if tagged {
            self.sink.error_hint(
                code::NO_ALIASES,
                at,
                "tags (!name) are not part of the language",
                "remove the tag",
            );
        }
    }

    fn within_budget(&mut self, at: &At) -> bool {
        self.nodes += 1;
        let says = if self.nodes > MAX_NODES {
            format!("the file has more than {MAX_NODES} values")
        } else if self.open.len() >= MAX_DEPTH {
            format!("values are nested more than {MAX_DEPTH} deep")
        } else {
            return true;
        };
        self.sink.error(code::UNREADABLE, at.start..at.start, says);
        false
    }

    fn begin(&mut self, open: Open) -> bool {
        let at = match &open {
            Open::List(at, _) | Open::Map { at, .. } => at.clone(),
        };
        let fits = self.within_budget(&at);
        self.open.push(open);
        fits
    }

    fn end(&mut self, end: usize) -> bool {
        match self.open.pop() {
            Some(Open::List(at, list)) => self.value(Node { at: at.start..end, kind: Kind::List(list) }),
            Some(Open::Map { at, entries, .. }) => {
                self.value(Node { at: at.start..end, kind: Kind::Map(entries) })
            }
            None => false,
        }
    }

    fn value(&mut self, node: Node) -> bool {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, list)) => list.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((key, key_at)) => insert(self.sink, entries, Entry { key, key_at, value: node }),
                None => *key = Some((self.sink.key(&node), node.at)),
            },
        }
        true
    }
}

/// The first of two equal keys stays.
fn insert(sink: &Sink, entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter().find(|other| other.key == entry.key) {
        None => entries.push(entry),
        Some(first) => {
            let (line, _) = sink.source().place(first.key_at.start);
            let says = format!("{:?} is given twice; the first is in line {line}", entry.key);
            sink.error_hint(code::DUPLICATE_KEY, entry.key_at, says, "keep one of the two");
        }
    }
}

impl Sink {
    fn key(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Text(text) => text.clone(),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => {
                self.source().text.get(node.at.clone()).unwrap_or_default().to_owned()
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                self.error(
                    code::WRONG_TYPE,
                    node.at.clone(),
                    format!("a key is text, but this is {}", node.is()),
                );
                String::new()
            }
        }
    }
}

/// YAML 1.2 core schema: `no` and `on` are words, `0o17` is a number.
fn scalar(text: &str, style: ScalarStyle) -> Kind {
    if style != ScalarStyle::Plain {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let radix =
        |prefix: &str, base: u32| text.strip_prefix(prefix).and_then(|t| i64::from_str_radix(t, base).ok());
    let number = text.parse::<i64>().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8));
    if let Some(number) = number {
        return Kind::Int(number);
    }
    let like_a_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(x) if like_a_number && x.is_finite() => Kind::Float(x),
        _ => Kind::Text(text.to_owned()),
    }
}
