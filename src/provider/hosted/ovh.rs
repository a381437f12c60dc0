//! OVHcloud's zone records. Every call is signed, or carries the token of a service account. Changes are staged: they
//! are served only after `refresh`, which is part of the same write and is asked for again when it fails.

use super::api::{Answer, Api, Request, in_the_middle, secret};
use super::port::{Look, Seen, Write, Written};
use super::powerdns::{kind, quoted, unquoted};
use super::records::{Single, steps};
use super::rights::Rights;
use super::set::Held;
use crate::config::{HostedTarget, OvhAccess};
use crate::kernel::domain::{Secret, Time};
use crate::provider::dns::{NoAnswer, Question, RrSet, RrType, normal_name};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[path = "ovh_access.rs"]
mod access;
#[path = "ovh_rules.rs"]
mod rules;
pub use access::Sessions;

/// Staged and not served is the worst end: publishing is asked for this often.
const REFRESHES: u32 = 3;
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// A name with more records than this is not read record by record.
const MOST: usize = 50;

pub struct Zone<'a> {
    api: &'a Api,
    sessions: &'a Sessions,
    zone: &'a HostedTarget,
    access: &'a OvhAccess,
    within: Duration,
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    id: u64,
    #[serde(rename = "fieldType")]
    field_type: String,
    /// Empty for the zone's own name.
    #[serde(rename = "subDomain", default)]
    sub_domain: String,
    target: String,
    /// 0: the zone's default.
    #[serde(default)]
    ttl: u32,
}

impl<'a> Zone<'a> {
    pub fn new(
        api: &'a Api,
        sessions: &'a Sessions,
        zone: &'a HostedTarget,
        access: &'a OvhAccess,
        within: Duration,
    ) -> Zone<'a> {
        Zone { api, sessions, zone, access, within }
    }

    async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let path = format!("/domain/zone/{}{rest}", self.zone.zone.trim_end_matches('.'));
        self.call_at(method, &path, body).await
    }

    async fn call_at(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let base = self.zone.api.as_str();
        let url = format!("{base}{path}");
        let body = body.map(|body| body.to_string());
        let text = body.as_deref().unwrap_or_default();
        let headers =
            self.sessions.headers(self.api, base, self.access, (&method, &url, text), self.within).await;
        match headers {
            Ok(headers) => self.api.call(Request { method, base, url, headers, body }, self.within).await,
            Err(answer) => answer,
        }
    }

    /// What the consumer key is allowed, by its rules.
    pub async fn rights(&self, now: Time) -> Vec<Rights> {
        if let OvhAccess::Service { .. } = self.access {
            let says = "a service account is allowed by policies, which its own token is not told";
            return vec![Rights::Untold(says.into())];
        }
        match self.call_at(Method::GET, "/auth/currentCredential", None).await.read() {
            Ok(said) => rules::judge(&said, self.zone.zone.trim_end_matches('.'), now),
            Err(no) => vec![Rights::unasked("what the consumer key may do", &no)],
        }
    }

    /// What stands before the zone's name.
    fn relative(&self, name: &str) -> String {
        name.strip_suffix(self.zone.zone.as_str()).unwrap_or(name).trim_end_matches('.').to_owned()
    }

    fn rr(&self, record: &Record) -> Option<(Question, String)> {
        let kind = kind(&record.field_type)?;
        let name = match record.sub_domain.as_str() {
            "" => self.zone.zone.clone(),
            head => normal_name(&format!("{head}.{}", self.zone.zone)).ok()?,
        };
        let bare = match kind {
            RrType::Txt => unquoted(&record.target),
            RrType::Cname if !record.target.ends_with('.') => format!("{}.{}", record.target, self.zone.zone),
            RrType::Cname | RrType::A | RrType::Aaaa => record.target.clone(),
        };
        let value = kind.normal(&bare).unwrap_or(bare);
        Some((Question { name, r#type: kind }, value))
    }

    async fn of_name(&self, name: &str) -> Result<Vec<Record>, NoAnswer> {
        let odd = |says: String| NoAnswer { layer: "api", says };
        let rest = format!("/record?subDomain={}", self.relative(name));
        let ids = self.call(Method::GET, &rest, None).await.read()?;
        let ids = Vec::<u64>::deserialize(ids).map_err(|e| odd(format!("its list cannot be read: {e}")))?;
        if ids.len() > MOST {
            return Err(odd(format!("{name} has {} records; at most {MOST} are read", ids.len())));
        }
        let one = |id: u64| async move {
            let record = self.call(Method::GET, &format!("/record/{id}"), None).await.read()?;
            Record::deserialize(record).map_err(|e| odd(format!("record {id} cannot be read: {e}")))
        };
        let records = try_join_all(ids.into_iter().map(one)).await?;
        // An empty sub domain may be taken for none asked for.
        let relative = self.relative(name);
        Ok(records.into_iter().filter(|record| record.sub_domain.eq_ignore_ascii_case(&relative)).collect())
    }

    pub async fn read(&self, look: Look<'_>) -> Result<Seen, NoAnswer> {
        let records = try_join_all(look.names.iter().map(|name| self.of_name(name))).await?.concat();
        let count = if look.count {
            let ids = self.call(Method::GET, "/record", None).await.read()?;
            ids.as_array().map(|ids| ids.len() as u64)
        } else {
            None
        };
        let others = match look.stale {
            [] => Ok(vec![]),
            _ => Err("this API has no search by value".to_owned()),
        };
        Ok(Seen { sets: self.sets(&records), others, count, pending: None, handle: json!(records) })
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
            let mut held = Held::plain(RrSet::new(&question, ttl, values));
            held.ttl = held.ttl.filter(|ttl| *ttl > 0);
            held
        };
        sets.into_iter().map(held).collect()
    }

    pub async fn write(&self, write: Write<'_>) -> Written {
        let Ok(records) = Vec::<Record>::deserialize(write.handle) else {
            return Written::NotSent {
                retry: false,
                says: "the records read before cannot be read again".into(),
            };
        };
        let mut done = 0;
        for after in write.after {
            for (method, rest, body) in self.calls(&records, after) {
                match self.call(method, &rest, body).await.written() {
                    Ok(_) => done += 1,
                    Err(end) => return in_the_middle(done, end),
                }
            }
        }
        match self.refresh().await {
            Ok(()) => Written::Done(json!({ "calls": done, "refreshed": true })),
            Err(end) => in_the_middle(done, end),
        }
    }

    /// Publishes everything that is staged in the zone. To ask twice is the same as to ask once.
    async fn refresh(&self) -> Result<(), Written> {
        let mut tries = 1;
        loop {
            let end = match self.call(Method::POST, "/refresh", None).await.written() {
                Ok(_) => return Ok(()),
                Err(end) => end,
            };
            if tries == REFRESHES || matches!(end, Written::Limited { .. }) {
                return Err(end);
            }
            tries += 1;
            sleep(REFRESH_PAUSE).await;
        }
    }

    fn calls(&self, records: &[Record], after: &Held) -> Vec<(Method, String, Option<Value>)> {
        let ours = records.iter().filter_map(|record| {
            let (question, value) = self.rr(record)?;
            let ttl = Some(record.ttl).filter(|ttl| *ttl > 0);
            (question == after.question()).then_some(Single { id: record.id, value, ttl })
        });
        let todo = steps(&ours.collect::<Vec<_>>(), after);
        let body = |value: &str| {
            let target = if after.r#type == RrType::Txt { quoted(value) } else { value.to_owned() };
            json!({ "subDomain": self.relative(&after.name), "target": target, "ttl": after.ttl.unwrap_or(0) })
        };
        let change =
            todo.change.iter().map(|(id, value)| (Method::PUT, format!("/record/{id}"), Some(body(value))));
        let add = todo.add.iter().map(|value| {
            let mut body = body(value);
            body["fieldType"] = json!(after.r#type);
            (Method::POST, "/record".to_owned(), Some(body))
        });
        let remove = todo.remove.iter().map(|id| (Method::DELETE, format!("/record/{id}"), None));
        change.chain(add).chain(remove).collect()
    }
}
