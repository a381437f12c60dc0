//! The HTTP API of a PowerDNS authoritative server: the whole zone is read, sets are replaced whole, several in one
//! PATCH are one transaction. It has no condition: what is read right before is compared by the action.

use super::api::{Answer, Api, Request, secret};
use super::port::{Look, Seen, Write, Written};
use super::rights::Rights;
use super::set::Held;
use crate::config::{HostedTarget, SecretRef};
use crate::provider::dns::{NoAnswer, Question, RrSet, RrType};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

pub struct Zone<'a> {
    api: &'a Api,
    zone: &'a HostedTarget,
    server: &'a str,
    key: &'a SecretRef,
    within: Duration,
}

#[derive(Deserialize)]
struct Whole {
    rrsets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    r#type: String,
    #[serde(default)]
    ttl: u32,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    content: String,
    #[serde(default)]
    disabled: bool,
}

impl<'a> Zone<'a> {
    pub fn new(
        api: &'a Api,
        zone: &'a HostedTarget,
        server: &'a str,
        key: &'a SecretRef,
        within: Duration,
    ) -> Zone<'a> {
        Zone { api, zone, server, key, within }
    }

    async fn call(&self, method: Method, body: Option<String>) -> Answer {
        let key = match secret(self.key) {
            Ok(key) => key,
            Err(answer) => return answer,
        };
        let base = self.zone.api.as_str();
        let url = format!("{base}/api/v1/servers/{}/zones/{}", self.server, self.zone.zone);
        let headers = vec![("x-api-key", key.expose().to_owned())];
        self.api.call(Request { method, base, url, headers, body }, self.within).await
    }

    pub async fn read(&self, look: Look<'_>) -> Result<Seen, NoAnswer> {
        let whole = self.call(Method::GET, None).await.read()?;
        let whole = Whole::deserialize(whole)
            .map_err(|e| NoAnswer { layer: "api", says: format!("its zone cannot be read: {e}") })?;
        let count = whole.rrsets.len() as u64;
        let of_us = |set: &Set| look.names.contains(&set.name.to_ascii_lowercase());
        // A record that is switched off is not served, and must outlive the replacement of its set.
        let off: Vec<Value> = whole.rrsets.iter().filter(|set| of_us(set)).flat_map(switched_off).collect();
        let sets: Vec<RrSet> = whole.rrsets.iter().filter_map(served).collect();
        let stale = |set: &&RrSet| set.values.iter().any(|value| look.stale.contains(value));
        let others = sets.iter().filter(stale).cloned().collect();
        let sets = sets.into_iter().filter(|set| look.names.contains(&set.name)).map(Held::plain).collect();
        Ok(Seen {
            sets,
            others: Ok(others),
            count: Some(count),
            pending: None,
            handle: json!({ "off": off }),
        })
    }

    /// The server has one key, with every right; a zone that follows another takes no change.
    pub async fn rights(&self) -> Vec<Rights> {
        let said = match self.call(Method::GET, None).await.read() {
            Ok(said) => said,
            Err(no) => return vec![Rights::unasked("the zone's kind", &no)],
        };
        let server = &self.zone.api;
        vec![match said["kind"].as_str() {
            Some(kind @ ("Native" | "Master" | "Primary" | "Producer")) => Rights::May(format!(
                "{server} takes changes of this zone (kind {kind}), and its key has every right"
            )),
            Some(kind @ ("Slave" | "Secondary" | "Consumer")) => Rights::may_not(
                format!(
                    "{server} only follows for this zone (kind {kind}): what is changed there is overwritten"
                ),
                "let `api` be the server that the zone's changes are made on",
            ),
            kind => Rights::Untold(format!("the zone is of kind {kind:?}, which this version does not know")),
        }]
    }

    pub async fn write(&self, write: Write<'_>) -> Written {
        let changed = write.before.iter().zip(write.after).filter(|(before, after)| before != after);
        let rrsets: Vec<Value> = changed.map(|(_, after)| replace(after, write.handle)).collect();
        let body = json!({ "rrsets": rrsets }).to_string();
        match self.call(Method::PATCH, Some(body)).await.written() {
            Ok(_) => Written::Done(json!({ "sets": rrsets.len() })),
            Err(end) => end,
        }
    }
}

/// What a set answers with; `None`: of a type that we do not know, or nothing is served.
fn served(set: &Set) -> Option<RrSet> {
    let kind = kind(&set.r#type)?;
    let on = set.records.iter().filter(|record| !record.disabled);
    let values: Vec<String> = on.map(|record| value(kind, &record.content)).collect();
    let question = Question { name: set.name.to_ascii_lowercase(), r#type: kind };
    (!values.is_empty()).then(|| RrSet::new(&question, set.ttl, values))
}

fn switched_off(set: &Set) -> Vec<Value> {
    let off = set.records.iter().filter(|record| record.disabled);
    off.map(|record| json!({ "name": set.name.to_ascii_lowercase(), "type": set.r#type, "content": record.content }))
        .collect()
}

pub(super) fn kind(text: &str) -> Option<RrType> {
    RrType::ALL.into_iter().find(|kind| kind.as_str() == text)
}

/// In normal form; what is not normal stays as it is, so that it differs from what we would write.
fn value(kind: RrType, content: &str) -> String {
    let bare = if kind == RrType::Txt { unquoted(content) } else { content.to_owned() };
    kind.normal(&bare).unwrap_or_else(|_| content.to_owned())
}

/// A text as zone files have it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn unquoted(text: &str) -> String {
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    bare.replace("\\\"", "\"").replace("\\\\", "\\")
}

fn replace(after: &Held, handle: &Value) -> Value {
    let content = |value: &String| match after.r#type {
        RrType::Txt => quoted(value),
        RrType::A | RrType::Aaaa | RrType::Cname => value.clone(),
    };
    let mut records: Vec<Value> =
        after.values.iter().map(|value| json!({ "content": content(value), "disabled": false })).collect();
    let off = handle["off"].as_array().into_iter().flatten();
    let ours = off.filter(|off| off["name"] == after.name.as_str() && off["type"] == after.r#type.as_str());
    records.extend(ours.map(|off| json!({ "content": off["content"], "disabled": true })));
    json!({ "name": after.name, "type": after.r#type, "ttl": after.ttl, "changetype": "REPLACE", "records": records })
}
