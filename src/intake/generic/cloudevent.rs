//! CloudEvents 1.0 over HTTP: the data is what a mapping calls `body`, the attributes are `event`. One event in one request:
//! structured (all of it is the body) or binary (the attributes are headers).

use super::super::IntakeError;
use super::super::wire::brief;
use serde_json::{Map, Value};

/// How a request carries its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Not an event: the body is the message.
    #[default]
    Plain,
    Structured,
    /// The attributes, by name without `ce-`.
    Binary(Vec<(String, String)>),
}

/// Longest value of an attribute.
const MAX_ATTRIBUTE: usize = 4 << 10;
const MAX_ATTRIBUTES: usize = 64;

impl Mode {
    /// `signed`: the sender is proven by a signature over the body, which does not cover the headers.
    pub fn of(headers: &http::HeaderMap, signed: bool) -> Result<Mode, IntakeError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = header("content-type").to_ascii_lowercase();
        if media.starts_with("application/cloudevents-batch") {
            return Err(not_an_event("several events in one request are not taken: send each by itself"));
        }
        if media.starts_with("application/cloudevents") {
            return match media.starts_with("application/cloudevents+json") {
                true => Ok(Mode::Structured),
                false => Err(not_an_event("only events written as JSON are taken")),
            };
        }
        if header("ce-specversion").is_empty() {
            let why = "it is neither application/cloudevents+json nor has it the header ce-specversion";
            return Err(not_an_event(why));
        }
        if signed {
            let why =
                "its attributes stand in headers, which its signature does not cover: send it structured";
            return Err(not_an_event(why));
        }
        let mut attributes = vec![];
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
            let text =
                value.to_str().ok().and_then(percent_decoded).filter(|text| text.len() <= MAX_ATTRIBUTE);
            let text = text.ok_or_else(|| not_an_event(&format!("the header ce-{name} cannot be read")))?;
            attributes.push((name.to_owned(), text));
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(not_an_event("it has too many attributes"));
        }
        Ok(Mode::Binary(attributes))
    }

    pub(super) fn in_headers(&self) -> bool {
        matches!(self, Mode::Binary(_))
    }
}

/// What expressions see.
pub struct Message {
    pub body: Value,
    pub event: Value,
}

impl Message {
    pub(super) fn open(value: Value, mode: &Mode) -> Result<Message, IntakeError> {
        let (attributes, body) = match mode {
            Mode::Plain => return Ok(Message { body: value, event: Value::Null }),
            Mode::Structured => {
                let Value::Object(mut event) = value else { return Err(not_an_event("it is not an object")) };
                if event.contains_key("data_base64") {
                    return Err(not_an_event("its data is not JSON (data_base64)"));
                }
                let data = event.remove("data").ok_or_else(|| not_an_event("it has no data"))?;
                (event, data)
            }
            Mode::Binary(attributes) => {
                let each = attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
                (each.collect::<Map<_, _>>(), value)
            }
        };
        let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("specversion") != "1.0" {
            let says = format!("its specversion is {:?}, not 1.0", brief(text("specversion"), 20));
            return Err(not_an_event(&says));
        }
        if let Some(missing) = ["id", "source", "type"].into_iter().find(|name| text(name).is_empty()) {
            return Err(not_an_event(&format!("it has no {missing}")));
        }
        Ok(Message { body, event: Value::Object(attributes) })
    }
}

fn not_an_event(why: &str) -> IntakeError {
    IntakeError::NotAnEvent { why: why.to_owned() }
}

/// As the binding of CloudEvents to HTTP writes what is not ASCII.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                hex::decode(digits).ok()?[0]
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> http::HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (http::HeaderName::try_from(*name).unwrap(), http::HeaderValue::try_from(*value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn an_event_is_structured_or_binary_and_nothing_else() {
        let structured = headers(&[("content-type", "application/cloudevents+json; charset=utf-8")]);
        assert_eq!(Mode::of(&structured, true), Ok(Mode::Structured));
        let binary = headers(&[("ce-specversion", "1.0"), ("ce-subject", "caf%C3%A9"), ("x-other", "1")]);
        let Ok(Mode::Binary(mut attributes)) = Mode::of(&binary, false) else { panic!() };
        attributes.sort();
        assert_eq!(attributes, [("specversion".into(), "1.0".into()), ("subject".into(), "café".to_owned())]);
        assert!(Mode::of(&binary, true).is_err(), "a signature covers the body alone");
        for (pairs, says) in [
            (vec![("content-type", "application/json")], "neither"),
            (vec![("content-type", "application/cloudevents-batch+json")], "several events"),
            (vec![("content-type", "application/cloudevents+avro")], "as JSON"),
            (vec![("ce-specversion", "1.0"), ("ce-subject", "%E9")], "ce-subject cannot be read"),
            (vec![("ce-specversion", "1.0"), ("ce-subject", "%4")], "ce-subject cannot be read"),
        ] {
            let error = Mode::of(&headers(&pairs), false).unwrap_err().to_string();
            assert!(error.contains(says), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn what_makes_an_event_must_be_there() {
        let whole = serde_json::json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": { "a": 1 },
        });
        let open = |value: Value| Message::open(value, &Mode::Structured);
        let message = open(whole.clone()).unwrap();
        assert_eq!((&message.body["a"], &message.event["id"]), (&Value::from(1), &Value::from("1")));
        for missing in ["specversion", "id", "source", "type", "data"] {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(missing);
            let error = open(less).err().unwrap().to_string();
            assert!(error.contains(missing), "{error}");
        }
        let mut coded = whole.clone();
        coded["data_base64"] = "AA==".into();
        assert!(open(coded).is_err());
    }
}
