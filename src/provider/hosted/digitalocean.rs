//! DigitalOcean's domain records: single records with ids, one call for each, no transaction and no condition.
//! Records are changed first, then added, then taken away, so that a name is never empty on the way.

use super::api::{Answer, Api, Request, in_the_middle, secret};
use super::port::{Look, Seen, Write, Written};
use super::powerdns::kind;
use super::records::{Single, steps};
use super::set::Held;
use crate::config::{HostedTarget, SecretRef};
use crate::provider::dns::{NoAnswer, Question, RrSet, normal_name};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const PAGE: u64 = 200;

pub struct Zone<'a> {
    api: &'a Api,
    zone: &'a HostedTarget,
    token: &'a SecretRef,
    within: Duration,
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    id: u64,
    r#type: String,
    /// `@` for the domain's own name.
    name: String,
    data: String,
    #[serde(default)]
    ttl: u32,
}

/// Whose token it is. Also asked for droplets.
pub async fn account(api: &Api, base: &str, token: &SecretRef, within: Duration) -> Answer {
    let token = match secret(token) {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
    let url = format!("{base}/v2/account");
    api.call(Request { method: Method::GET, base, url, headers, body: None }, within).await
}

impl<'a> Zone<'a> {
    pub fn new(api: &'a Api, zone: &'a HostedTarget, token: &'a SecretRef, within: Duration) -> Zone<'a> {
        Zone { api, zone, token, within }
    }

    async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let token = match secret(self.token) {
            Ok(token) => token,
            Err(answer) => return answer,
        };
        let base = self.zone.api.as_str();
        let url = format!("{base}/v2/domains/{}/records{rest}", self.zone.zone.trim_end_matches('.'));
        let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
        let body = body.map(|body| body.to_string());
        self.api.call(Request { method, base, url, headers, body }, self.within).await
    }

    async fn list(&self, filter: &str) -> Result<(Vec<Record>, u64), NoAnswer> {
        let answer = self.call(Method::GET, &format!("?{filter}per_page={PAGE}"), None).await.read()?;
        let odd = |says: String| NoAnswer { layer: "api", says };
        let total = answer["meta"]["total"].as_u64().ok_or_else(|| odd("its list has no total".into()))?;
        let records = Vec::<Record>::deserialize(&answer["domain_records"])
            .map_err(|e| odd(format!("its records cannot be read: {e}")))?;
        Ok((records, total))
    }

    async fn of_name(&self, name: &str) -> Result<Vec<Record>, NoAnswer> {
        let (records, total) = self.list(&format!("name={}&", name.trim_end_matches('.'))).await?;
        let cut =
            || NoAnswer { layer: "api", says: format!("{name} has {total} records, more than are read") };
        if records.len() as u64 >= total { Ok(records) } else { Err(cut()) }
    }

    /// `www` of `www.shop.example.`
    fn relative(&self, name: &str) -> String {
        let head = name.strip_suffix(self.zone.zone.as_str()).unwrap_or(name).trim_end_matches('.');
        if head.is_empty() { "@".into() } else { head.to_owned() }
    }

    fn rr(&self, record: &Record) -> Option<(Question, String)> {
        let kind = kind(&record.r#type)?;
        let name = match record.name.as_str() {
            "@" => self.zone.zone.clone(),
            head => normal_name(&format!("{head}.{}", self.zone.zone)).ok()?,
        };
        let data = if record.data == "@" { self.zone.zone.clone() } else { record.data.clone() };
        let value = kind.normal(&data).unwrap_or(data);
        Some((Question { name, r#type: kind }, value))
    }

    fn sets(&self, records: &[Record]) -> Vec<Held> {
        let mut sets = BTreeMap::<Question, (u32, Vec<String>)>::new();
        for (record, (question, value)) in
            records.iter().filter_map(|record| Some((record, self.rr(record)?)))
        {
            let set = sets.entry(question).or_insert((record.ttl, vec![]));
            set.0 = set.0.min(record.ttl);
            set.1.push(value);
        }
        let held = |(question, (ttl, values)): (Question, (u32, Vec<String>))| {
            Held::plain(RrSet::new(&question, ttl, values))
        };
        sets.into_iter().map(held).collect()
    }

    pub async fn read(&self, look: Look<'_>) -> Result<Seen, NoAnswer> {
        let names = try_join_all(look.names.iter().map(|name| self.of_name(name)));
        let all = async {
            if look.stale.is_empty() && !look.count { Ok(None) } else { self.list("").await.map(Some) }
        };
        let (names, all) = futures_util::future::try_join(names, all).await?;
        let records = names.concat();
        let (count, others) = match all {
            None => (None, Ok(vec![])),
            Some((_, total)) if total > PAGE => {
                (Some(total), Err(format!("the domain has {total} records; only {PAGE} are looked through")))
            }
            Some((all, total)) => {
                let sets = self.sets(&all).into_iter().map(|held| held.rrset());
                let stale = |set: &RrSet| set.values.iter().any(|value| look.stale.contains(value));
                (Some(total), Ok(sets.filter(stale).collect()))
            }
        };
        let count = count.filter(|_| look.count);
        Ok(Seen { sets: self.sets(&records), others, count, pending: None, handle: json!(records) })
    }

    pub async fn write(&self, write: Write<'_>) -> Written {
        let Ok(records) = Vec::<Record>::deserialize(write.handle) else {
            return Written::NotSent {
                retry: false,
                says: "the records read before cannot be read again".into(),
            };
        };
        let mut done = 0;
        for (_, after) in write.before.iter().zip(write.after).filter(|(before, after)| before != after) {
            for (method, rest, body) in self.calls(&records, after) {
                match self.call(method, &rest, body).await.written() {
                    Ok(_) => done += 1,
                    Err(end) => return in_the_middle(done, end),
                }
            }
        }
        Written::Done(json!({ "calls": done }))
    }

    fn calls(&self, records: &[Record], after: &Held) -> Vec<(Method, String, Option<Value>)> {
        let ours = records.iter().filter_map(|record| {
            let (question, value) = self.rr(record)?;
            (question == after.question()).then_some(Single { id: record.id, value, ttl: Some(record.ttl) })
        });
        let todo = steps(&ours.collect::<Vec<_>>(), after);
        let body = |value: &str| json!({ "type": after.r#type, "data": value, "ttl": after.ttl });
        let change =
            todo.change.iter().map(|(id, value)| (Method::PATCH, format!("/{id}"), Some(body(value))));
        let add = todo.add.iter().map(|value| {
            let mut body = body(value);
            body["name"] = json!(self.relative(&after.name));
            (Method::POST, String::new(), Some(body))
        });
        let remove = todo.remove.iter().map(|id| (Method::DELETE, format!("/{id}"), None));
        change.chain(add).chain(remove).collect()
    }
}
