//! The questions to Zabbix' API, and their answers: does the problem still stand? `still_firing` calls it; `problems` and
//! `write_back` ask further things over the same way. The API says nothing about what the token's user may not read, so an
//! event that it does not show is not known, and not over.

mod problems;
mod write_back;

pub use problems::{Details, Listed, Listing, details, open_problems};
pub use write_back::{Left, Rights, Word, leave, rights};

use super::alertmanager::Standing;
use super::port::{Auth, Get, Layer, Port};
use crate::kernel::domain::{Secret, Span, TAGS_UNKNOWN, VALUES_APART};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Problems that are looked at; more than that with the same tags are as many.
const MOST: u32 = 100;

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<Refused>,
}

/// Why there is no answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody was reached, so nothing was heard.
    #[error("{0}")]
    Away(String),
    /// There is no answer that can be read: whether the question was heard is not known.
    #[error("{0}")]
    Lost(String),
    #[error("it refused: {0}")]
    Refused(String),
}

#[derive(Deserialize)]
struct Refused {
    message: String,
    #[serde(default)]
    data: String,
}

/// Of a problem, or of an event: numbers come as texts.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    r_eventid: String,
    #[serde(default)]
    suppressed: String,
}

impl Event {
    fn is_over(&self) -> bool {
        !matches!(self.r_eventid.as_str(), "" | "0")
    }
}

pub struct Asked<'a> {
    pub port: &'a dyn Port,
    /// `…/api_jsonrpc.php`: all of the same Zabbix.
    pub urls: &'a [String],
    pub token: Option<&'a Secret>,
    /// For each of the few questions.
    pub within: Span,
}

impl Asked<'_> {
    /// By the id of its event; a run that a person starts has none, and goes by the tags that its trigger names.
    pub async fn standing(&self, labels: &BTreeMap<String, String>) -> Result<Standing, String> {
        let Some(event) = labels.get("event_id") else {
            let found = self.ask("problem.get", by_tags(labels)?).await?;
            return Ok(of_problems(&found));
        };
        let found = self.ask("problem.get", by_id(event)).await?;
        if !found.is_empty() {
            return Ok(of_problems(&found));
        }
        // What is over is no problem any more, and still an event.
        let events = self.ask("event.get", of_event(event)).await?;
        match events.first() {
            Some(event) if event.is_over() => Ok(Standing::Resolved),
            Some(_) => Err("its event stands open, and it is no problem: they contradict each other".into()),
            None => Err(format!("event {event} is not there, or the token's user may not read its host")),
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Vec<Event>, String> {
        let found = self.call(method, params).await.map_err(|trouble| trouble.to_string())?;
        serde_json::from_value(found).map_err(|e| format!("not an answer of Zabbix' API: {e}"))
    }

    /// A question, to the first of the addresses that answers.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        self.to_first(method, params, |trouble| !matches!(trouble, Trouble::Refused(_))).await
    }

    /// What is not repeated at the next address where this one may have heard it.
    pub async fn tell(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        self.to_first(method, params, |trouble| matches!(trouble, Trouble::Away(_))).await
    }

    async fn to_first(
        &self,
        method: &str,
        params: Value,
        goes_on: fn(&Trouble) -> bool,
    ) -> Result<Value, Trouble> {
        let mut last = Trouble::Away("it has no address".into());
        for url in self.urls {
            match self.at(url, method, &params).await {
                Err(trouble) if goes_on(&trouble) => last = trouble,
                said => return said,
            }
        }
        Err(last)
    }

    /// As newer servers want the token, and if they refuse, as older ones do. What was refused has not happened.
    async fn at(&self, url: &str, method: &str, params: &Value) -> Result<Value, Trouble> {
        let mut question = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        let first = self.post(url, &question).await?;
        let (Some(token), Some(_)) = (self.token, &first.error) else { return found(first) };
        question["auth"] = json!(token.expose());
        found(self.post(url, &question).await?)
    }

    async fn post(&self, url: &str, question: &Value) -> Result<Answer, Trouble> {
        let get = Get {
            auth: self.token.map(|token| Auth::Bearer(token.clone())),
            question: Some(question.to_string()),
            ..Get::of(url)
        };
        let reply = self.port.get(&get, self.within).await;
        let reply = reply.map_err(|failed| {
            let says = format!("{}: {}", failed.layer.as_str(), failed.says);
            if failed.layer == Layer::Http { Trouble::Lost(says) } else { Trouble::Away(says) }
        })?;
        if reply.status != 200 {
            return Err(Trouble::Lost(format!("it answered status {}", reply.status)));
        }
        serde_json::from_str(&reply.body).map_err(|e| not_zabbix(&e.to_string()))
    }
}

fn not_zabbix(why: &str) -> Trouble {
    Trouble::Lost(format!("not an answer of Zabbix' API: {why}"))
}

fn found(answer: Answer) -> Result<Value, Trouble> {
    match (answer.error, answer.result) {
        (Some(error), _) => Err(Trouble::Refused(format!("{} {}", error.message, error.data))),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(Trouble::Lost("it answered neither a result nor an error".into())),
    }
}

fn by_id(event: &str) -> Value {
    json!({ "output": ["eventid", "r_eventid", "suppressed"], "eventids": [event], "limit": MOST })
}

fn of_event(event: &str) -> Value {
    json!({ "output": ["eventid", "r_eventid"], "eventids": [event], "limit": 1 })
}

fn by_tags(labels: &BTreeMap<String, String>) -> Result<Value, String> {
    if labels.contains_key(TAGS_UNKNOWN) {
        return Err("its tags are not known, and it has no event to ask for".into());
    }
    let tags: Vec<Value> = labels
        .iter()
        .filter_map(|(name, values)| Some((name.strip_prefix("tag.")?, values)))
        .flat_map(|(tag, values)| values.split(VALUES_APART).map(move |value| (tag, value)))
        // 1: is equal.
        .map(|(tag, value)| json!({ "tag": tag, "value": value, "operator": 1 }))
        .collect();
    if tags.is_empty() {
        return Err("there is no event and no tag to ask for: any problem would do".into());
    }
    Ok(
        json!({ "output": ["eventid", "r_eventid", "suppressed"], "tags": tags, "evaltype": 0, "limit": MOST }),
    )
}

/// Of several, one that is suppressed counts most: somebody said "no action" about this very thing.
fn of_problems(found: &[Event]) -> Standing {
    let (over, open): (Vec<_>, Vec<_>) = found.iter().partition(|problem| problem.is_over());
    if open.iter().any(|problem| problem.suppressed == "1") {
        Standing::Suppressed
    } else if !open.is_empty() {
        Standing::Firing
    } else if !over.is_empty() {
        Standing::Resolved
    } else {
        Standing::Absent
    }
}

#[cfg(test)]
#[path = "zabbix_tests.rs"]
mod tests;
