//! Values of expressions over a body, as texts and times. A plain path is followed without the evaluator: it costs nothing, has no
//! limit on the body's size, and can say what is missing where.

use crate::expr::{Expr, Vars};
use crate::intake::time;
use crate::kernel::domain::Time;
use serde_json::Value;
use std::time::Instant;

#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub body: &'a Value,
    pub event: &'a Value,
    pub item: Option<&'a Value>,
    /// No expression is begun later.
    pub until: Instant,
}

impl Scope<'_> {
    fn named(&self, name: &str) -> Option<&Value> {
        match name {
            "body" => Some(self.body),
            "event" => Some(self.event),
            "item" => self.item,
            _ => None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a bound on work, not a time that anything is decided by")]
    pub fn value(&self, expr: &Expr) -> Result<Value, String> {
        if let Some(path) = expr.path() {
            return self.follow(&path).cloned();
        }
        if Instant::now() > self.until {
            return Err("all expressions together took longer than they may".into());
        }
        let mut vars = Vars::default();
        for name in expr.free() {
            if let Some(value) = self.named(name) {
                vars.set(name, value.clone());
            }
        }
        expr.eval(&vars).map_err(|error| format!("{}: {error}", expr.source().trim()))
    }

    fn follow(&self, path: &[&str]) -> Result<&Value, String> {
        let (first, rest) = path.split_first().ok_or("an empty path")?;
        let mut value = self.named(first).ok_or_else(|| format!("there is no {first:?}"))?;
        for (depth, key) in rest.iter().enumerate() {
            let walked = || path[..=depth].join(".");
            let Value::Object(map) = value else {
                return Err(format!("there is no {key:?} in {}, which is {}", walked(), is(value)));
            };
            value = map.get(*key).ok_or_else(|| format!("there is no {key:?} in {}", walked()))?;
        }
        Ok(value)
    }

    pub fn text(&self, expr: &Expr) -> Result<Option<String>, String> {
        text(&self.value(expr)?)
    }

    /// RFC 3339, or seconds, milliseconds or microseconds since 1970. None: the sender says no time.
    pub fn time(&self, expr: &Expr) -> Result<Option<Time>, String> {
        match self.value(expr)? {
            Value::Null => Ok(None),
            Value::String(said) if said.is_empty() => Ok(None),
            Value::String(said) => match said.parse::<i64>() {
                Ok(number) => since_1970(number),
                Err(_) => time::parse(&said),
            },
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => since_1970(number),
                // Seconds with a fraction.
                (None, Some(seconds)) if (0.0..1e11).contains(&seconds) => {
                    since_1970((seconds * 1e6).round() as i64)
                }
                (None, _) => Err(format!("{number} is not a time")),
            },
            other => Err(format!("it is {}, not a time", is(&other))),
        }
    }
}

/// Which unit is meant is seen by the size: seconds of the year 5138 are milliseconds of 1973.
fn since_1970(number: i64) -> Result<Option<Time>, String> {
    let micros = match number {
        ..0 => return Err(format!("{number} is not a time")),
        0 => return Ok(None),
        1..100_000_000_000 => number.saturating_mul(1_000_000),
        100_000_000_000..100_000_000_000_000 => number.saturating_mul(1_000),
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => return Err(format!("{number} is not a time")),
    };
    Ok(Some(Time(micros)))
}

/// A text, a number or a truth as text; nothing for null.
pub(super) fn text(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        other => Err(format!("it is {}, not a text", is(other))),
    }
}

pub(super) fn is(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
