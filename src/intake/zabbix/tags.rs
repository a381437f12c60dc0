//! Tags of a problem as labels: `tag.NAME`. A name may stand there several times, so a label holds all its values, each on
//! a line of its own. Tags that cannot be read are not "no tags": a condition that something is *not* tagged would hold.

use crate::kernel::domain::{TAGS_UNKNOWN, VALUES_APART};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `given`: a list of `{tag, value}`, or a text that holds one.
pub(super) fn labels(given: Option<&Value>) -> BTreeMap<String, String> {
    let list = match given {
        Some(Value::String(text)) => serde_json::from_str::<Value>(text).ok(),
        other => other.cloned(),
    };
    match list.as_ref().and_then(Value::as_array).and_then(|list| pairs(list)) {
        None => BTreeMap::from([(TAGS_UNKNOWN.to_owned(), "yes".to_owned())]),
        Some(tags) => joined(tags.into_iter().map(|(tag, value)| (format!("tag.{tag}"), value))),
    }
}

/// Several values of one name, sorted, each once.
pub(super) fn joined(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in pairs {
        // A line break within a value would make two of it.
        all.entry(name).or_default().insert(value.replace(VALUES_APART, " "));
    }
    let join =
        |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(&VALUES_APART.to_string());
    all.into_iter().map(|(name, values)| (name, join(values))).collect()
}

/// All of them, or none.
fn pairs(list: &[Value]) -> Option<Vec<(String, String)>> {
    list.iter()
        .map(|each| {
            let tag = each.get("tag")?.as_str().filter(|tag| !tag.is_empty())?;
            let value = match each.get("value") {
                Some(Value::String(text)) => text.as_str(),
                None | Some(Value::Null) => "",
                Some(_) => return None,
            };
            Some((tag.to_owned(), value.to_owned()))
        })
        .collect()
}
