//! Zabbix' API, as version 6.0 speaks it: JSON-RPC, with the session in the body.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::net::http;

#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    session: Option<String>,
}

impl Api {
    pub(super) fn new(address: SocketAddr) -> Api {
        Api { address, session: None }
    }

    pub fn url(&self) -> String {
        format!("http://{}/api_jsonrpc.php", self.address)
    }

    /// As the administrator that Zabbix ships with.
    pub(super) async fn sign_in(&mut self) -> anyhow::Result<()> {
        let session = self.call("user.login", json!({ "username": "Admin", "password": "zabbix" })).await?;
        self.session = Some(session.as_str().context("a session is a text")?.to_owned());
        Ok(())
    }

    /// The result; an error of Zabbix is one.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let mut request = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        if let Some(session) = &self.session {
            request["auth"] = session.as_str().into();
        }
        let sent = http()?.post(self.url()).timeout(Duration::from_secs(30)).json(&request).send();
        let answer: Value = sent.await.with_context(|| format!("asking Zabbix for {method}"))?.json().await?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer["result"].clone()),
        }
    }

    /// Creates one, and gives its id.
    pub(super) async fn create(&self, what: &str, params: Value) -> anyhow::Result<String> {
        let made = self.call(&format!("{what}.create"), params).await?;
        let ids = made.as_object().and_then(|made| made.values().next());
        let id = ids.and_then(|ids| {
            ids[0].as_str().map(str::to_owned).or_else(|| Some(ids[0].as_u64()?.to_string()))
        });
        id.with_context(|| format!("{what}.create gave {made}"))
    }
}
