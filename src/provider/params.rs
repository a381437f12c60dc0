//! Reads the parameters of a spec by name and keeps every problem, so that a playbook's author sees them all at once.
//!
//! Called by each room's `bind`. What nobody asked for is an unknown parameter.

use crate::kernel::domain::{Span, Spec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub struct Params<'a> {
    spec: &'a Spec,
    with: Map<String, Value>,
    asked: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl<'a> Params<'a> {
    /// `target` may stand among the parameters; it must then be the spec's own.
    pub fn new(spec: &'a Spec) -> Params<'a> {
        let mut problems = vec![];
        let with = match &spec.with {
            Value::Object(map) => map.clone(),
            Value::Null => Map::new(),
            other => {
                problems.push(format!("{}: `with` must be a table, not {other}", spec.kind));
                Map::new()
            }
        };
        let mut params = Params { spec, with, asked: BTreeSet::new(), problems };
        if let Some(named) = params.maybe::<String>("target")
            && named != spec.target.as_str()
        {
            params.problem(format!(
                "`target` is {named:?} here, but the step is for {:?}",
                spec.target.as_str()
            ));
        }
        params
    }

    pub fn maybe<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        self.asked.insert(key);
        let value = self.with.get(key).filter(|value| !value.is_null())?.clone();
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(e) => {
                self.problem(format!("`{key}`: {e}"));
                None
            }
        }
    }

    pub fn need<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        if self.with.get(key).is_none_or(Value::is_null) {
            self.asked.insert(key);
            self.problem(format!("`{key}` is missing"));
            return None;
        }
        self.maybe(key)
    }

    /// A length of time such as `20s`.
    pub fn span(&mut self, key: &'static str) -> Option<Span> {
        let text: String = self.maybe(key)?;
        match crate::units::parse_span(&text) {
            Ok(span) => Some(span),
            Err(says) => {
                self.problem(format!("`{key}`: {says}"));
                None
            }
        }
    }

    pub fn problem(&mut self, says: impl std::fmt::Display) {
        self.problems.push(format!("{} on {}: {says}", self.spec.kind, self.spec.target));
    }

    /// All problems, unknown parameters among them.
    pub fn done(mut self) -> Result<(), Vec<String>> {
        let unknown: Vec<String> =
            self.with.keys().filter(|key| !self.asked.contains(key.as_str())).cloned().collect();
        let known = self.asked.iter().copied().collect::<Vec<_>>().join(", ");
        for key in unknown {
            self.problem(format!("`{key}` is not a parameter; there are: {known}"));
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_problem_is_told_at_once() {
        let spec = Spec {
            kind: "x.y".into(),
            target: "t".into(),
            with: json!({"ttl": "no", "zzz": 1, "target": "u"}),
        };
        let mut params = Params::new(&spec);
        let _: Option<u32> = params.need("ttl");
        let _: Option<String> = params.need("name");
        let said = params.done().unwrap_err().join("\n");
        for part in ["`target` is \"u\"", "`ttl`:", "`name` is missing", "`zzz` is not a parameter"] {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }
}
