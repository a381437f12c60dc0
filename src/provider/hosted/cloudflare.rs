//! Cloudflare's DNS API. Records are single things with ids, comments and tags, which stay; all changes of one write
//! go into one batch, which is one transaction in their database (the edge follows record by record).
//!
//! An answer of 200 may say `success: false`. Hand-made calls: see decision 0042.

use super::api::{Answer, Api, Request, secret};
use super::port::{Look, Seen, Write, Written};
use super::powerdns::{kind, quoted, unquoted};
use super::records::{Single, steps};
use super::rights::{Rights, ends};
use super::set::Held;
use crate::config::{HostedTarget, SecretRef};
use crate::kernel::domain::Time;
use crate::provider::dns::{NoAnswer, Question, RrSet, RrType, normal_name};
use futures_util::future::{join, try_join_all};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The API's way to say: as we see fit.
const AUTOMATIC: u32 = 1;
const PAGE: usize = 100;

pub struct Zone<'a> {
    api: &'a Api,
    zone: &'a HostedTarget,
    zone_id: &'a str,
    token: &'a SecretRef,
    within: Duration,
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    id: String,
    name: String,
    r#type: String,
    content: String,
    ttl: u32,
    #[serde(default)]
    proxied: bool,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Record {
    fn rr(&self) -> Option<(Question, String)> {
        let kind = kind(&self.r#type)?;
        let name = normal_name(&self.name).ok()?;
        let bare = if kind == RrType::Txt { unquoted(&self.content) } else { self.content.clone() };
        let value = kind.normal(&bare).unwrap_or(bare);
        Some((Question { name, r#type: kind }, value))
    }
}

/// One call, by base URL and token; an answer of 200 that is no success is a no. Also used for load balancers.
pub async fn call(
    api: &Api,
    (base, token): (&str, &SecretRef),
    (method, rest, body): (Method, &str, Option<String>),
    within: Duration,
) -> Answer {
    let token = match secret(token) {
        Ok(token) => token,
        Err(answer) => return answer,
    };
    let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
    let url = format!("{base}{rest}");
    match api.call(Request { method, base, url, headers, body }, within).await {
        Answer::Good(value) if value["success"] == json!(true) => Answer::Good(value),
        Answer::Good(value) if value["success"] == json!(false) => {
            Answer::No { status: 200, says: format!("it answered success: false: {}", value["errors"]) }
        }
        Answer::Good(_) => Answer::Doubt("its answer does not say whether it is a success".into()),
        other => other,
    }
}

/// Permissions, as the zone's own page lists them.
pub const EDIT_RECORDS: &str = "#dns_records:edit";
pub const EDIT_BALANCERS: &str = "#lb:edit";

/// Whether the token is in force, and what the zone says that it may do. Also used for load balancers.
pub async fn rights(
    api: &Api,
    at: (&str, &SecretRef),
    (zone_id, right): (&str, &str),
    now: Time,
    within: Duration,
) -> Vec<Rights> {
    let get = |rest: String| async move { call(api, at, (Method::GET, &rest, None), within).await.read() };
    let (token, zone) = join(get("/user/tokens/verify".into()), get(format!("/zones/{zone_id}"))).await;
    let mut told = vec![];
    // A token of an account is not known there; that it reads the zone is proof enough of its being in force.
    if let Ok(token) = &token {
        let status = token["result"]["status"].as_str().unwrap_or("unknown");
        if status != "active" {
            let says = format!("the token is {status} at Cloudflare");
            told.push(Rights::may_not(says, "make a new token, and put it into the configuration"));
        }
        told.extend(ends("the token", &token["result"]["expires_on"], now));
    }
    let zone = match zone {
        Ok(zone) => zone,
        Err(no) => return [told, vec![Rights::unasked("what the token may do in the zone", &no)]].concat(),
    };
    let status = zone["result"]["status"].as_str().unwrap_or("unknown");
    if status != "active" {
        let says = format!("the zone is {status} at Cloudflare: what it holds there is not what users get");
        told.push(Rights::may_not(
            says,
            "delegate the zone to Cloudflare's name servers, or name another target",
        ));
    }
    let list = zone["result"]["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let may: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    told.push(match may.contains(&right) {
        true => Rights::May(format!("Cloudflare lists {right} for this token in the zone")),
        false if may.is_empty() => Rights::Untold("Cloudflare lists no permissions for this token".into()),
        false => Rights::may_not(
            format!("Cloudflare does not list {right} for this token in the zone, but {}", may.join(", ")),
            format!("let the token edit: {right}"),
        ),
    });
    told
}

impl<'a> Zone<'a> {
    pub fn new(
        api: &'a Api,
        zone: &'a HostedTarget,
        zone_id: &'a str,
        token: &'a SecretRef,
        within: Duration,
    ) -> Zone<'a> {
        Zone { api, zone, zone_id, token, within }
    }

    async fn call(&self, method: Method, rest: &str, body: Option<String>) -> Answer {
        let rest = format!("/zones/{}/dns_records{rest}", self.zone_id);
        call(self.api, (&self.zone.api, self.token), (method, &rest, body), self.within).await
    }

    async fn list(&self, filter: &str) -> Result<(Vec<Record>, u64), NoAnswer> {
        let answer = self.call(Method::GET, &format!("?{filter}&per_page={PAGE}"), None).await.read()?;
        let odd = |says: String| NoAnswer { layer: "api", says };
        let total = answer["result_info"]["total_count"].as_u64();
        let total = total.ok_or_else(|| odd("its list has no total_count".into()))?;
        let records = Vec::<Record>::deserialize(&answer["result"])
            .map_err(|e| odd(format!("its records cannot be read: {e}")))?;
        Ok((records, total))
    }

    /// All records of one name; a list cut short is no answer.
    async fn of_name(&self, name: &str) -> Result<Vec<Record>, NoAnswer> {
        let (records, total) = self.list(&format!("name.exact={}", name.trim_end_matches('.'))).await?;
        let whole = records.len() as u64 >= total;
        let cut =
            || NoAnswer { layer: "api", says: format!("{name} has {total} records, more than are read") };
        if whole { Ok(records) } else { Err(cut()) }
    }

    pub async fn read(&self, look: Look<'_>) -> Result<Seen, NoAnswer> {
        let names = try_join_all(look.names.iter().map(|name| self.of_name(name)));
        let stale = try_join_all(look.stale.iter().map(|value| async move {
            // Whatever is no address is no content worth asking for.
            match value.parse::<std::net::IpAddr>() {
                Ok(_) => Ok(self.list(&format!("content.exact={value}")).await?.0),
                Err(_) => Ok(vec![]),
            }
        }));
        let (names, stale) = futures_util::future::try_join(names, stale).await?;
        let count = if look.count { Some(self.list("order=name").await?.1) } else { None };
        let records = names.concat();
        let of = |records: &[Record]| sets(records).into_iter().map(|held| held.rrset()).collect::<Vec<_>>();
        Ok(Seen {
            sets: sets(&records),
            others: Ok(of(&stale.concat())),
            count,
            pending: None,
            handle: json!(records),
        })
    }

    pub async fn write(&self, write: Write<'_>) -> Written {
        let Ok(records) = Vec::<Record>::deserialize(write.handle) else {
            return Written::NotSent {
                retry: false,
                says: "the records read before cannot be read again".into(),
            };
        };
        let (mut deletes, mut patches, mut posts) = (vec![], vec![], vec![]);
        for (_, after) in write.before.iter().zip(write.after).filter(|(before, after)| before != after) {
            let ours: Vec<&Record> =
                records.iter().filter(|r| r.rr().is_some_and(|(q, _)| q == after.question())).collect();
            let singles: Vec<Single<String>> = ours.iter().filter_map(|record| single(record)).collect();
            let todo = steps(&singles, after);
            let ttl = after.ttl.unwrap_or(AUTOMATIC);
            patches.extend(
                todo.change.iter().map(
                    |(id, value)| json!({ "id": id, "content": content(after.r#type, value), "ttl": ttl }),
                ),
            );
            posts.extend(todo.add.iter().map(|value| post(after, value, ttl, ours.first().copied())));
            deletes.extend(todo.remove.iter().map(|id| json!({ "id": id })));
        }
        let count = patches.len() + posts.len() + deletes.len();
        // An empty list is not the same as none.
        let parts = [("deletes", deletes), ("patches", patches), ("posts", posts)];
        let body: Map<String, Value> = parts
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(key, list)| (key.to_owned(), Value::Array(list)))
            .collect();
        match self.call(Method::POST, "/batch", Some(Value::Object(body).to_string())).await.written() {
            Ok(_) => Written::Done(json!({ "records": count })),
            Err(end) => end,
        }
    }
}

fn single(record: &Record) -> Option<Single<String>> {
    let (_, value) = record.rr()?;
    Some(Single { id: record.id.clone(), value, ttl: Some(record.ttl).filter(|ttl| *ttl != AUTOMATIC) })
}

/// A new record beside others takes over what they carry.
fn post(after: &Held, value: &str, ttl: u32, like: Option<&Record>) -> Value {
    let mut post = json!({ "name": after.name.trim_end_matches('.'), "type": after.r#type,
                           "content": content(after.r#type, value), "ttl": ttl });
    if after.r#type != RrType::Txt {
        post["proxied"] = json!(after.proxied);
    }
    if let Some(comment) = like.and_then(|like| like.comment.as_ref()) {
        post["comment"] = json!(comment);
    }
    if let Some(tags) = like.map(|like| &like.tags).filter(|tags| !tags.is_empty()) {
        post["tags"] = json!(tags);
    }
    post
}

fn content(kind: RrType, value: &str) -> String {
    match kind {
        RrType::Txt => quoted(value),
        RrType::Cname => value.trim_end_matches('.').to_owned(),
        RrType::A | RrType::Aaaa => value.to_owned(),
    }
}

/// Records of one name and type together. Where they differ in TTL or in being proxied, the least TTL is shown and any
/// proxied record makes the set one: what is written then makes them alike.
fn sets(records: &[Record]) -> Vec<Held> {
    let mut sets = BTreeMap::<Question, Vec<(&Record, String)>>::new();
    for record in records {
        if let Some((question, value)) = record.rr() {
            sets.entry(question).or_default().push((record, value));
        }
    }
    let one = |(question, records): (Question, Vec<(&Record, String)>)| {
        let ttl = records.iter().map(|(record, _)| record.ttl).min().unwrap_or(AUTOMATIC);
        let proxied = records.iter().any(|(record, _)| record.proxied);
        let mut held =
            Held::plain(RrSet::new(&question, ttl, records.into_iter().map(|(_, value)| value).collect()));
        held.ttl = held.ttl.filter(|ttl| *ttl != AUTOMATIC && !proxied);
        Held { proxied, ..held }
    };
    sets.into_iter().map(one).collect()
}
