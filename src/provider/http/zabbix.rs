//! The questions to Zabbix' API, and their answers: does the problem still stand? Only `still_firing` calls it. The API says
//! nothing about what the token's user may not read, so an event that it does not show is not known, and not over.

use super::alertmanager::Standing;
use super::port::{Auth, Get, Port};
use crate::kernel::domain::{Secret, Span, TAGS_UNKNOWN, VALUES_APART};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Problems that are looked at; more than that with the same tags are as many.
const MOST: u32 = 100;

#[derive(Deserialize)]
struct Answer {
    result: Option<Vec<Event>>,
    error: Option<Refused>,
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
    /// `…/api_jsonrpc.php`
    pub url: &'a str,
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

    /// As newer servers want the token, and if they refuse, as older ones do.
    async fn ask(&self, method: &str, params: Value) -> Result<Vec<Event>, String> {
        let mut question = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        let first = self.post(&question).await?;
        let (Some(token), Some(_)) = (self.token, &first.error) else { return found(first) };
        question["auth"] = json!(token.expose());
        found(self.post(&question).await?)
    }

    async fn post(&self, question: &Value) -> Result<Answer, String> {
        let get = Get {
            auth: self.token.map(|token| Auth::Bearer(token.clone())),
            question: Some(question.to_string()),
            ..Get::of(self.url)
        };
        let reply = self.port.get(&get, self.within).await;
        let reply = reply.map_err(|failed| format!("{}: {}", failed.layer.as_str(), failed.says))?;
        if reply.status != 200 {
            return Err(format!("it answered status {}", reply.status));
        }
        serde_json::from_str(&reply.body).map_err(|e| format!("not an answer of Zabbix' API: {e}"))
    }
}

fn found(answer: Answer) -> Result<Vec<Event>, String> {
    match (answer.error, answer.result) {
        (Some(error), _) => Err(format!("it refused: {} {}", error.message, error.data)),
        (None, Some(events)) => Ok(events),
        (None, None) => Err("it answered neither a result nor an error".into()),
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
