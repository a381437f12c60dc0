//! TOML through the `toml` crate's spanned tree, which goes on after an error.

use super::{At, Entry, Kind, MAX_DEPTH, MAX_NODES, Node, Sink, code};
use ::toml::Spanned;
use ::toml::de::{DeInteger, DeTable, DeValue};

pub(super) fn read(sink: &Sink) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(&sink.source().text);
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        match error.message() {
            "duplicate key" => {
                sink.error_hint(code::DUPLICATE_KEY, at, "this key is given twice", "keep one of the two")
            }
            message => sink.error(code::SYNTAX, at, format!("this is not TOML: {message}")),
        }
    }
    let mut left = MAX_NODES;
    map(sink, table.get_ref(), table.span(), MAX_DEPTH, &mut left)
}

fn map(sink: &Sink, table: &DeTable<'_>, at: At, depth: usize, left: &mut usize) -> Option<Node> {
    let mut entries = vec![];
    for (key, value) in table.iter() {
        let value = node(sink, value, depth, left)?;
        entries.push(Entry { key: key.get_ref().to_string(), key_at: key.span(), value });
    }
    // The tree is sorted by key; people read in the order of the file.
    entries.sort_by_key(|entry| entry.key_at.start);
    Some(Node { at, kind: Kind::Map(entries) })
}

fn node(sink: &Sink, value: &Spanned<DeValue<'_>>, depth: usize, left: &mut usize) -> Option<Node> {
    let at = value.span();
    if *left == 0 || depth == 0 {
        let says = match depth {
            0 => format!("values are nested more than {MAX_DEPTH} deep"),
            _ => format!("the file has more than {MAX_NODES} values"),
        };
        sink.error(code::UNREADABLE, at, says);
        return None;
    }
    *left -= 1;
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => integer(sink, number, &at),
        DeValue::Float(number) => match number.as_str().replace('_', "").parse::<f64>() {
            Ok(x) if x.is_finite() => Kind::Float(x),
            _ => Kind::Text(number.to_string()),
        },
        DeValue::Boolean(b) => Kind::Bool(*b),
        DeValue::Datetime(time) => Kind::Text(time.to_string()),
        DeValue::Array(list) => {
            let list: Option<Vec<Node>> = list.iter().map(|item| node(sink, item, depth - 1, left)).collect();
            Kind::List(list?)
        }
        DeValue::Table(table) => return map(sink, table, at, depth - 1, left),
    };
    Some(Node { at, kind })
}

fn integer(sink: &Sink, number: &DeInteger<'_>, at: &At) -> Kind {
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) => Kind::Int(number),
        Err(_) => {
            sink.error(code::BAD_VALUE, at.clone(), "this number is too large");
            Kind::Null
        }
    }
}
