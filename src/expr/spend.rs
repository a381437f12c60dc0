//! What one evaluation may use: elements that loops visit, bytes that `+` puts together, patterns that are compiled. CEL
//! itself counts nothing; `bounds` puts the names of these in the place of its own, and `cel` declares them.

use super::matcher::MAX_COMPILED;
use super::{ExprError, MAX_JOINED, MAX_STEPS, MAX_VALUE};
use ::cel::ExecutionError;
use ::cel::objects::Value as Cel;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pattern costs as much as visiting so many elements: it is compiled anew each time.
const PATTERN: usize = 50;

#[derive(Default)]
pub(super) struct Spent {
    steps: AtomicUsize,
    joined: AtomicUsize,
}

impl Spent {
    /// Also where an operator such as `||` has swallowed the error of what was stopped.
    pub(super) fn over(&self) -> Option<ExprError> {
        if self.steps.load(Ordering::Relaxed) > MAX_STEPS {
            return Some(ExprError::TooManySteps);
        }
        (self.joined.load(Ordering::Relaxed) > MAX_JOINED).then_some(ExprError::TooLarge)
    }

    fn step(&self, count: usize) -> Result<(), ExecutionError> {
        match self.steps.fetch_add(count, Ordering::Relaxed) + count > MAX_STEPS {
            true => Err(ExecutionError::function_error("loop", "too many elements")),
            false => Ok(()),
        }
    }

    /// Counts what a loop will visit, and gives the keys of a map in order: CEL leaves the order open.
    pub(super) fn visit(&self, range: Cel) -> Result<Cel, ExecutionError> {
        let range = match range {
            Cel::Map(map) => {
                let mut keys: Vec<_> = map.map.keys().cloned().collect();
                keys.sort();
                Cel::List(Arc::new(keys.into_iter().map(Cel::from).collect()))
            }
            other => other,
        };
        let count = if let Cel::List(list) = &range { list.len() } else { 0 };
        self.step(count.max(1))?;
        Ok(range)
    }

    /// `+`. Nothing longer than a value may be comes of it, and all of them together have a bound: within a loop each would be
    /// kept.
    pub(super) fn join(&self, left: Cel, right: Cel) -> Result<Cel, ExecutionError> {
        let weight = |value: &Cel| match value {
            Cel::String(text) => text.len(),
            Cel::List(list) => list.len(),
            _ => 0,
        };
        let bytes = weight(&left) + weight(&right);
        let counted = if bytes > MAX_VALUE { MAX_JOINED + 1 } else { bytes };
        if self.joined.fetch_add(counted, Ordering::Relaxed) + counted > MAX_JOINED {
            return Err(ExecutionError::function_error("+", "too large"));
        }
        left + right
    }

    pub(super) fn matches(&self, text: &str, pattern: &str) -> Result<Cel, ExecutionError> {
        self.step(PATTERN)?;
        let built = regex::RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
        let regex = built.map_err(|e| {
            ExecutionError::function_error("matches", format!("'{pattern}' not a valid regex:\n{e}"))
        })?;
        Ok(Cel::Bool(regex.is_match(text)))
    }
}
