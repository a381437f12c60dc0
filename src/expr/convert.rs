//! Between JSON and CEL's values, without loss and with a bound on size.

use super::{ExprError, MAX_VALUE};
use cel::Value as Cel;
use cel::objects::{Key, Map};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn to_cel(value: &Value) -> Result<Cel, ExprError> {
    match value {
        Value::Null => Ok(Cel::Null),
        Value::Bool(b) => Ok(Cel::Bool(*b)),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Ok(Cel::Int(n)),
            (None, Some(x)) => Ok(Cel::Float(x)),
            (None, None) => Err(ExprError::Evaluation(format!("{n} is not a number that expressions know"))),
        },
        Value::String(text) if text.len() > MAX_VALUE => Err(ExprError::TooLarge),
        Value::String(text) => Ok(Cel::String(Arc::new(text.clone()))),
        Value::Array(list) => Ok(Cel::List(Arc::new(list.iter().map(to_cel).collect::<Result<_, _>>()?))),
        Value::Object(map) => {
            let map: Result<HashMap<Key, Cel>, ExprError> =
                map.iter().map(|(key, value)| Ok((Key::from(key.as_str()), to_cel(value)?))).collect();
            Ok(Cel::Map(Map { map: Arc::new(map?) }))
        }
    }
}

pub(super) fn from_cel(value: &Cel) -> Result<Value, ExprError> {
    let mut left = MAX_VALUE;
    json(value, &mut left)
}

fn json(value: &Cel, left: &mut usize) -> Result<Value, ExprError> {
    let weight = if let Cel::String(text) = value { text.len() + 1 } else { 1 };
    *left = left.checked_sub(weight).ok_or(ExprError::TooLarge)?;
    match value {
        Cel::Null => Ok(Value::Null),
        Cel::Bool(b) => Ok(Value::Bool(*b)),
        Cel::Int(n) => Ok(Value::from(*n)),
        Cel::UInt(n) => Ok(Value::from(*n)),
        Cel::Float(x) if x.is_finite() => Ok(Value::from(*x)),
        Cel::String(text) => Ok(Value::from(text.as_str())),
        Cel::List(list) => {
            list.iter().map(|item| json(item, left)).collect::<Result<_, _>>().map(Value::Array)
        }
        Cel::Map(map) => {
            let mut keys: Vec<&Key> = map.map.keys().collect();
            keys.sort();
            keys.into_iter()
                .map(|key| match key {
                    Key::String(text) => Ok((text.to_string(), json(&map.map[key], left)?)),
                    Key::Int(_) | Key::Uint(_) | Key::Bool(_) => {
                        Err(ExprError::Evaluation("a key that is not text has no place in a playbook".into()))
                    }
                })
                .collect::<Result<_, _>>()
                .map(Value::Object)
        }
        other => Err(ExprError::Evaluation(format!("a {:?} has no place in a playbook", other.type_of()))),
    }
}
