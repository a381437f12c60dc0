//! Everything that can be looked at, as functions of a world that the scenario owns. Blackbox exporters and
//! Alertmanagers answer in their own formats, so that the real clients' reading of them runs too.

use super::{Fault, Hook};
use crate::kernel::domain::{Name, Span};
use crate::provider::http::{Failed, Get, LOCAL, Layer, Pinged, Port, ProbeMemory, Reply};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use url::Url;

/// What there is to be seen. `from` is `local`, or the address of the Blackbox exporter that looks.
pub trait Sights: Send + Sync {
    fn http(&self, from: &str, url: &str, pin: Option<IpAddr>) -> Result<Reply, Failed>;
    fn tcp(&self, from: &str, address: &str) -> Result<(), Failed>;
    fn sql(&self, target: &Name) -> Pinged;
    /// The alerts that this Alertmanager knows, as its API lists them. `None`: it is not reached.
    fn alerts(&self, api: &str) -> Option<Vec<Value>>;
    /// Whether the exporter itself is reached.
    fn exporter(&self, _exporter: &str) -> bool {
        true
    }
}

pub struct HttpModel {
    hook: Arc<dyn Hook>,
    sights: Arc<dyn Sights>,
    memory: ProbeMemory,
}

impl HttpModel {
    pub fn new(hook: Arc<dyn Hook>, sights: Arc<dyn Sights>) -> HttpModel {
        HttpModel { hook, sights, memory: ProbeMemory::new() }
    }

    fn answer(&self, get: &Get) -> Result<Reply, Failed> {
        let url = Url::parse(&get.url).map_err(|e| Failed { layer: Layer::Local, says: e.to_string() })?;
        let base = url[..url::Position::BeforePath].to_owned();
        let not_reached = || Failed { layer: Layer::Tcp, says: format!("{base}: connection refused") };
        if url.path().ends_with("/api/v2/alerts") {
            let alerts = self.sights.alerts(&base).ok_or_else(not_reached)?;
            return Ok(Reply { status: 200, body: Value::Array(alerts).to_string() });
        }
        let pair =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        match (url.path(), pair("module"), pair("target")) {
            ("/probe", Some(_), Some(target)) => {
                let exporter = url[..url::Position::AfterPath].to_owned();
                if !self.sights.exporter(&exporter) {
                    return Err(not_reached());
                }
                Ok(Reply { status: 200, body: self.exposition(&exporter, &target, pair("hostname")) })
            }
            _ => self.sights.http(LOCAL, &get.url, get.pin),
        }
    }

    /// What a Blackbox exporter would say of it.
    fn exposition(&self, exporter: &str, target: &str, hostname: Option<String>) -> String {
        let text = |success: u8, rest: String| format!("probe_success {success}\n{rest}");
        if !target.contains("://") {
            return match self.sights.tcp(exporter, target) {
                Ok(()) => text(1, "probe_ip_protocol 4\n".into()),
                Err(failed) => text(0, refusal(&failed)),
            };
        }
        let (url, pin) = unpinned(target, hostname);
        match self.sights.http(exporter, &url, pin) {
            Ok(reply) => {
                let success = u8::from((200..300).contains(&reply.status));
                text(success, format!("probe_ip_protocol 4\nprobe_http_status_code {}\n", reply.status))
            }
            Err(failed) => text(0, format!("probe_http_status_code 0\n{}", refusal(&failed))),
        }
    }
}

fn refusal(failed: &Failed) -> String {
    let protocol = if failed.layer == Layer::Dns { 0 } else { 4 };
    let says = if failed.layer == Layer::Tls { format!("tls: {}", failed.says) } else { failed.says.clone() };
    format!("level=error msg=\"failed\" err=\"{says}\"\nprobe_ip_protocol {protocol}\n")
}

/// The URL by its name again, and the address it was pinned to.
fn unpinned(target: &str, hostname: Option<String>) -> (String, Option<IpAddr>) {
    let (Ok(mut url), Some(hostname)) = (Url::parse(target), hostname) else {
        return (target.to_owned(), None);
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let pin = host.parse().ok();
    let name = hostname.split(':').next().unwrap_or_default().to_owned();
    let _ = url.set_host(Some(&name));
    (url.into(), pin)
}

impl Port for HttpModel {
    fn get<'a>(&'a self, get: &'a Get, _within: Span) -> BoxFuture<'a, Result<Reply, Failed>> {
        async move {
            let fault = self.hook.before("http.get", false).await;
            let answer = self.answer(get);
            self.hook.after("http.get", false).await;
            lost(fault)?;
            answer
        }
        .boxed()
    }

    fn tcp<'a>(&'a self, address: &'a str, _within: Span) -> BoxFuture<'a, Result<(), Failed>> {
        async move {
            let fault = self.hook.before("http.tcp", false).await;
            let answer = self.sights.tcp(LOCAL, address);
            self.hook.after("http.tcp", false).await;
            lost(fault)?;
            answer
        }
        .boxed()
    }

    fn sql_ping<'a>(&'a self, target: &'a Name, _within: Span) -> BoxFuture<'a, Pinged> {
        async move {
            let fault = self.hook.before("http.sql_ping", false).await;
            let answer = self.sights.sql(target);
            self.hook.after("http.sql_ping", false).await;
            lost(fault).map_or_else(Pinged::Down, |()| answer)
        }
        .boxed()
    }

    fn memory(&self) -> &ProbeMemory {
        &self.memory
    }
}

/// A planted fault of a read: nothing came back.
fn lost(fault: Fault) -> Result<(), Failed> {
    match fault {
        Fault::None | Fault::Stale => Ok(()),
        Fault::Reject | Fault::LoseReply => {
            Err(Failed { layer: Layer::Tcp, says: "no answer, as planted".into() })
        }
    }
}
