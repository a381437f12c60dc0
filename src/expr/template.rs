//! Values with `${…}` inside. A string that is only `${…}` keeps the type of its value; otherwise text is
//! spliced.

use super::{Expr, ExprError, MAX_VALUE, Vars};
use crate::document::{At, Kind, Node};
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    Fixed(Value),
    /// The whole string is one expression.
    Whole(Expr, At),
    /// Text with expressions between.
    Text(Vec<Part>, At),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    Expr(Expr),
}

/// An error with the place of the string that holds the expression.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateError {
    pub at: At,
    pub source: String,
    pub error: ExprError,
    /// The expression speaks of the alert, which is only known when one comes.
    pub needs_alert: bool,
}

impl Template {
    pub fn text(text: &str) -> Template {
        Template::Fixed(Value::from(text))
    }

    /// Compiles every string of the tree; errors are collected, not the first alone.
    pub fn of(node: &Node, errors: &mut Vec<TemplateError>) -> Template {
        match &node.kind {
            Kind::Text(text) => Template::string(text, &node.at).unwrap_or_else(|error| {
                errors.push(error);
                Template::Fixed(Value::Null)
            }),
            Kind::List(list) => Template::List(list.iter().map(|item| Template::of(item, errors)).collect()),
            Kind::Map(entries) => Template::Map(
                entries.iter().map(|e| (e.key.clone(), Template::of(&e.value, errors))).collect(),
            ),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Template::Fixed(node.json()),
        }
    }

    fn string(text: &str, at: &At) -> Result<Template, TemplateError> {
        let failed = |source: &str, error| TemplateError {
            at: at.clone(),
            source: source.to_owned(),
            error,
            needs_alert: false,
        };
        let mut parts = vec![];
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let inner = &rest[start + 2..];
            let end = closing(inner).ok_or_else(|| {
                failed(inner, ExprError::Syntax { says: "\"${\" has no closing \"}\"".into(), at: 0 })
            })?;
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let source = inner[..end].trim();
            parts.push(Part::Expr(Expr::compile(source).map_err(|error| failed(source, error))?));
            rest = &inner[end + 1..];
        }
        if parts.is_empty() {
            return Ok(Template::Fixed(Value::from(text)));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(match parts.as_slice() {
            [Part::Expr(expr)] => Template::Whole(expr.clone(), at.clone()),
            _ => Template::Text(parts, at.clone()),
        })
    }

    /// Each expression in it with the place of its string.
    pub fn exprs(&self) -> Vec<(&Expr, &At)> {
        match self {
            Template::Fixed(_) => vec![],
            Template::Whole(expr, at) => vec![(expr, at)],
            Template::Text(parts, at) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Expr(expr) => Some((expr, at)),
                    Part::Text(_) => None,
                })
                .collect(),
            Template::List(list) => list.iter().flat_map(Template::exprs).collect(),
            Template::Map(entries) => entries.iter().flat_map(|(_, value)| value.exprs()).collect(),
        }
    }
    pub fn fixed(&self) -> Option<&Value> {
        match self {
            Template::Fixed(value) => Some(value),
            Template::Whole(..) | Template::Text(..) | Template::List(_) | Template::Map(_) => None,
        }
    }
    pub fn get(&self, key: &str) -> Option<&Template> {
        match self {
            Template::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Template::Fixed(_) | Template::Whole(..) | Template::Text(..) | Template::List(_) => None,
        }
    }

    pub fn eval(&self, vars: &Vars) -> Result<Value, TemplateError> {
        match self {
            Template::Fixed(value) => Ok(value.clone()),
            Template::Whole(expr, at) => expr.eval(vars).map_err(|error| fail(expr, at, error)),
            Template::Text(parts, at) => splice(parts, at, vars),
            Template::List(list) => {
                list.iter().map(|item| item.eval(vars)).collect::<Result<_, _>>().map(Value::Array)
            }
            Template::Map(entries) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.eval(vars)?)))
                .collect::<Result<Map<String, Value>, _>>()
                .map(Value::Object),
        }
    }
}

fn fail(expr: &Expr, at: &At, error: ExprError) -> TemplateError {
    TemplateError {
        at: at.clone(),
        source: expr.source().to_owned(),
        error,
        needs_alert: expr.free().iter().any(|n| n == "alert"),
    }
}

fn splice(parts: &[Part], at: &At, vars: &Vars) -> Result<Value, TemplateError> {
    let mut text = String::new();
    for part in parts {
        let expr = match part {
            Part::Text(fixed) => {
                text.push_str(fixed);
                continue;
            }
            Part::Expr(expr) => expr,
        };
        match expr.eval(vars).map_err(|error| fail(expr, at, error))? {
            Value::String(value) => text.push_str(&value),
            value @ (Value::Bool(_) | Value::Number(_)) => text.push_str(&value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let says = "only text, numbers and true or false can stand inside a text".to_owned();
                return Err(fail(expr, at, ExprError::Evaluation(says)));
            }
        }
        if text.len() > MAX_VALUE {
            return Err(fail(expr, at, ExprError::TooLarge));
        }
    }
    Ok(Value::String(text))
}

/// The brace that ends the expression: braces of maps and in strings are skipped.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if byte == b'\\' => escaped = true,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => match byte {
                b'"' | b'\'' => quote = Some(byte),
                b'{' => depth += 1,
                b'}' if depth == 0 => return Some(i),
                b'}' => depth -= 1,
                _ => {}
            },
        }
    }
    None
}
