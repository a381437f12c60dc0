//! A droplet at DigitalOcean: its status, the actions under way on it, and the switch.

use super::port::{Fields, Seen, Write};
use crate::config::SecretRef;
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::hosted::api::{Answer, Api, Request, secret};
use futures_util::future::try_join;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub struct Droplet<'a> {
    pub api: &'a Api,
    pub base: &'a str,
    pub id: u64,
    pub token: &'a SecretRef,
    pub within: Duration,
}

impl Droplet<'_> {
    async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let token = match secret(self.token) {
            Ok(token) => token,
            Err(answer) => return answer,
        };
        let url = format!("{}/v2/droplets/{}{rest}", self.base, self.id);
        let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
        let body = body.map(|body| body.to_string());
        self.api.call(Request { method, base: self.base, url, headers, body }, self.within).await
    }

    pub async fn read(&self) -> Result<Seen, NoAnswer> {
        let odd = |says: &str| NoAnswer { layer: "api", says: says.to_owned() };
        let get = |rest: &'static str| async move { self.call(Method::GET, rest, None).await.read() };
        let (said, actions) = try_join(get(""), get("/actions?per_page=20")).await?;
        let droplet = &said["droplet"];
        let name = droplet["name"].as_str().ok_or_else(|| odd("the answer names no droplet"))?;
        let status = droplet["status"].as_str().ok_or_else(|| odd("the droplet has no status"))?;
        let actions = actions["actions"].as_array().ok_or_else(|| odd("the answer lists no actions"))?;
        let told = |action: &Value| {
            let word = |key: &str| action[key].as_str().unwrap_or("unknown").to_owned();
            format!("{} {} is {}", word("type"), action["id"], word("status"))
        };
        let power = match status {
            "active" => "on",
            "off" => "off",
            other => other,
        };
        let mut fields = Fields::new();
        fields.insert("name".into(), json!(name));
        fields.insert("power".into(), json!(power));
        let under_way =
            actions.iter().find(|action| action["status"] != "completed" && action["status"] != "errored");
        let last = actions.iter().max_by_key(|action| action["id"].as_u64());
        Ok(Seen {
            fields,
            pending: under_way.map(told),
            evidence: json!({ "last": last.map(told), "region": droplet["region"]["slug"] }),
            handle: Value::Null,
        })
    }

    /// The action is taken; how it goes on is seen by the looks that follow.
    pub async fn write(&self, write: Write<'_>) -> Written {
        let verb = if write.after.get("power") == Some(&json!("off")) { "power_off" } else { "power_on" };
        let said = match self.call(Method::POST, "/actions", Some(json!({ "type": verb }))).await.written() {
            Ok(said) => said,
            Err(end) => return end,
        };
        match said["action"]["id"].as_u64() {
            Some(id) => Written::Done(json!({ "action": id, "status": said["action"]["status"] })),
            None => Written::Doubt("the answer names no action".into()),
        }
    }
}
