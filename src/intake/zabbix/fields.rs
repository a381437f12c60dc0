//! The body of the media type: a flat object whose values are texts. What a macro did not become is as if it were not
//! there: it comes as the macro's own name, or as `*UNKNOWN*`.

use super::super::IntakeError;
use super::super::wire::{brief, faulty};
use serde_json::Value;
use std::collections::BTreeMap;

/// More are no message of ours.
const MAX_FIELDS: usize = 256;

pub(super) struct Fields {
    texts: BTreeMap<String, String>,
    /// A list, or a text that holds one: scripts differ.
    tags: Option<Value>,
}

impl Fields {
    pub fn read(body: &[u8]) -> Result<Fields, IntakeError> {
        let shape = |why: String| IntakeError::NotZabbix { why };
        let value: Value = serde_json::from_slice(body).map_err(|e| faulty(&e, shape))?;
        let Value::Object(map) = value else { return Err(shape("it is not an object".into())) };
        if map.len() > MAX_FIELDS {
            return Err(shape(format!("it has {} fields; at most {MAX_FIELDS} are taken", map.len())));
        }
        for needed in ["event_id", "event_value"] {
            if !map.contains_key(needed) {
                return Err(shape(format!("it has no {needed}")));
            }
        }
        let (mut texts, mut tags) = (BTreeMap::new(), None);
        for (name, value) in map {
            if name == "event_tags_json" {
                tags = Some(value);
                continue;
            }
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                // Lists, tables and flags are nothing that we read.
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
            };
            texts.insert(name, text);
        }
        Ok(Fields { texts, tags })
    }

    /// What the field says, if it says anything.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str).filter(|text| is_said(text))
    }

    /// The field holds a macro that was not filled in: so does a test of the media type.
    pub fn is_literal(&self, name: &str) -> bool {
        self.texts.get(name).is_some_and(|text| is_macro(text))
    }

    pub fn tags(&self) -> Option<&Value> {
        self.tags.as_ref()
    }
}

pub(super) fn is_said(text: &str) -> bool {
    !text.is_empty() && text != "*UNKNOWN*" && !is_macro(text)
}

/// `{EVENT.ID}`, `{$ZABBIX.URL}`, `{ITEM.VALUE1}`, and functions of them.
fn is_macro(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return false };
    inner.starts_with(|c: char| c.is_ascii_uppercase() || matches!(c, '$' | '{' | '#'))
        && !inner.contains(['"', '\n'])
}

/// A strange value, short, for an error.
pub(super) fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "not there".to_owned(), |text| format!("{:?}", brief_of(text)))
}

fn brief_of(text: &str) -> String {
    brief(text, 40)
}
