//! The HTTP client of every verb that speaks to the server. It keeps three things apart that look alike:
//! nothing was sent, the server refused, and nobody knows whether it took effect.

use super::fault::{PROBLEM_SCHEMA, Problem};
use super::look::harmless;
use super::{Exit, Fault};
use crate::kernel::domain::{Secret, Time};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use url::Url;

const CONNECT: Duration = Duration::from_secs(5);
/// A plan observes every target; everything else answers from the store.
const ANSWER: Duration = Duration::from_secs(120);
const MAX_BODY: usize = 64 << 20;

pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// On the socket of the server's machine: who asks.
    person: Option<String>,
    socket: bool,
    /// What the server's clock was ahead at its last answer, where that is more than its second's grain.
    skew: std::sync::atomic::AtomicI64,
}

/// Whether a request may change something at the server; decides what a lost reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// And what did not happen when nothing was sent.
    Writes(&'static str),
}

impl Client {
    pub fn new(server: &str, token: Option<Secret>, person: Option<&str>) -> Result<Client, Fault> {
        let socket = server.strip_prefix("unix:").map(|path| path.trim_start_matches("//").to_owned());
        let server = if socket.is_some() { "http://localhost" } else { server };
        // What stands before an @ may be a password.
        let shown = server.rsplit('@').next().unwrap_or_default();
        let bad = |why: String| {
            Fault::new(Exit::Usage, "PM0002", format!("the server's address {shown:?} cannot be used: {why}"))
                .state("nothing was sent; no run was started")
                .remedy("give it like --server http://127.0.0.1:8420, or set POINTSMAN_SERVER")
        };
        let base = Url::parse(server).map_err(|e| bad(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(bad("it has to begin with http:// or https://".into()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad("it may not hold a password; POINTSMAN_TOKEN holds the token".into()));
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirect would carry a decision to a place that nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // No TLS: then a machine without root certificates is good enough.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &socket {
            builder = builder.unix_socket(path.as_str());
        }
        let http = builder.build().map_err(|e| bad(chain(&e)))?;
        let (person, socket) = (socket.as_ref().and(person).map(str::to_owned), socket.is_some());
        Ok(Client { http, base, token, person, socket, skew: std::sync::atomic::AtomicI64::new(0) })
    }

    /// The token would travel in clear to another machine.
    pub fn is_exposed(&self) -> bool {
        self.token.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Fault> {
        let request = self.request(Method::GET, path, query);
        let response = self.send(request, Effect::None).await?;
        self.body(response, Effect::None).await
    }

    pub async fn post(&self, path: &[&str], body: &Value, effect: Effect) -> Result<Value, Fault> {
        let request = self.request(Method::POST, path, &[]).json(body);
        let response = self.send(request, effect).await?;
        self.body(response, effect).await
    }

    /// The journal from `from` on, as it grows; all of it, or what fits a filter.
    pub async fn events(&self, from: u64, filter: Option<&str>) -> Result<super::events::Events, Fault> {
        let mut query = vec![("from", from.to_string())];
        query.extend(filter.map(|filter| ("q", filter.to_owned())));
        let request = self.request(Method::GET, &["events"], &query).header("accept", "text/event-stream");
        let request = request.header("last-event-id", from.to_string());
        let sent = tokio::time::timeout(ANSWER, request.send()).await;
        let response = match sent {
            Ok(sent) => sent.map_err(|e| self.lost(&e, Effect::None))?,
            Err(_) => return Err(self.unreachable("it did not answer", "nothing was changed")),
        };
        match response.status().is_success() {
            true => Ok(super::events::Events::new(response)),
            false => Err(self.refused(response, Effect::None).await),
        }
    }

    /// The server's clock, as well as it is known here.
    pub fn now(&self) -> Time {
        Time(super::clock::now().0 + self.skew.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let request = self.http.request(method, url).query(query);
        match (&self.token, &self.person) {
            (_, Some(person)) => request.header(crate::http::AS, person),
            (Some(token), None) => request.bearer_auth(token.expose()),
            (None, None) => request,
        }
    }

    async fn send(&self, request: RequestBuilder, effect: Effect) -> Result<Response, Fault> {
        let response = request.timeout(ANSWER).send().await.map_err(|e| self.lost(&e, effect))?;
        self.note_clock(&response);
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(response, effect).await),
        }
    }

    async fn body(&self, response: Response, effect: Effect) -> Result<Value, Fault> {
        let bytes = read_bounded(response).await.map_err(|why| match effect {
            Effect::None => self.not_understood(&why),
            Effect::Writes(_) => self.doubt(&why),
        })?;
        serde_json::from_slice(&bytes).map_err(|e| match effect {
            Effect::None => self.not_understood(&e.to_string()),
            Effect::Writes(_) => self.doubt(&format!("the answer cannot be read: {e}")),
        })
    }

    /// The request failed below HTTP. Only a connection that never stood proves that nothing was sent.
    fn lost(&self, error: &reqwest::Error, effect: Effect) -> Fault {
        match effect {
            _ if error.is_connect() || error.is_builder() => {
                let state = match effect {
                    Effect::None => "nothing was sent; no run was started",
                    Effect::Writes(not_done) => not_done,
                };
                self.unreachable(&chain(error), state)
            }
            Effect::None => self.unreachable(&chain(error), "this request only reads; no run was started"),
            Effect::Writes(_) => self.doubt(&chain(error)),
        }
    }

    fn unreachable(&self, why: &str, state: &str) -> Fault {
        Fault::new(Exit::NotTalked, "PM0003", format!("cannot talk to the server at {}: {why}", self.base))
            .state(format!("{state}. What runs at the server is not known here"))
            .remedy("see that `pointsman serve` runs, and that --server or POINTSMAN_SERVER is its address")
    }

    fn doubt(&self, why: &str) -> Fault {
        Fault::new(Exit::Unknown, "PM0006", format!("the reply of {} was lost: {why}", self.base))
            .state("the request was sent; it is NOT known whether it took effect")
            .remedy("look with `pointsman status` and `pointsman audit` before sending it again")
    }

    fn not_understood(&self, why: &str) -> Fault {
        Fault::new(
            Exit::NotTalked,
            "PM0005",
            format!("the answer of {} cannot be understood: {why}", self.base),
        )
        .state("this request only reads; no run was started")
        .remedy("see that the address is that of a Pointsman of the same version (pointsman version)")
    }

    async fn refused(&self, response: Response, effect: Effect) -> Fault {
        let status = response.status();
        let bytes = read_bounded(response).await.unwrap_or_default();
        let problem = serde_json::from_slice(&bytes).ok().and_then(|value| typed::<Problem>(&value).ok());
        let problem = problem.filter(|p| p.schema == PROBLEM_SCHEMA);
        let mut fault = match problem {
            Some(problem) => of_problem(status, problem),
            None => self.without_reason(status, effect),
        };
        if self.token.is_none() && !self.socket && status == StatusCode::UNAUTHORIZED {
            fault.remedy =
                "set POINTSMAN_TOKEN; `pointsman token create` on the server's machine makes one".into();
        }
        fault
    }

    /// Something between here and the server, or no Pointsman at all.
    fn without_reason(&self, status: StatusCode, effect: Effect) -> Fault {
        match (status, effect) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                Fault::new(Exit::NotAllowed, "PM0004", format!("{} answers {status}", self.base))
                    .state("the request was refused; no run was started")
                    .remedy("set POINTSMAN_TOKEN to a token whose role allows it")
            }
            (status, Effect::Writes(_)) if status.is_server_error() => self.doubt(&format!("{status}")),
            (status, _) => Fault::new(
                exit_of(status),
                "PM0014",
                format!("{} answers {status} without a reason that can be read", self.base),
            )
            .state("the request was refused; no run was started")
            .remedy("see whether a proxy answers in the server's place"),
        }
    }

    fn note_clock(&self, response: &Response) {
        let date = response.headers().get("date").and_then(|d| d.to_str().ok());
        let date = date.and_then(|d| jiff::fmt::rfc2822::parse(d).ok());
        if let Some(date) = date {
            let skew = date.timestamp().as_microsecond() - super::clock::now().0;
            let skew = if skew.abs() > 2_000_000 { skew } else { 0 };
            self.skew.store(skew, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// A document in its type. What cannot be read is an error, never an empty screen.
pub fn read<T: DeserializeOwned>(document: &Value, kind: &str) -> Result<T, Fault> {
    let wanted = format!("pointsman.{kind}/v1");
    let fault = |why: String| {
        Fault::new(Exit::NotTalked, "PM0005", format!("the server's {kind} cannot be understood: {why}"))
            .state("nothing of it is shown, since it might mislead; what runs at the server goes on")
            .remedy("compare `pointsman version` here and on the server; -o json shows the document")
    };
    if document["schema"] != wanted.as_str() {
        return Err(fault(format!("its schema is {}, not {wanted}", document["schema"])));
    }
    typed(document).map_err(|e| fault(e.to_string()))
}

/// For showing: what a remote said must not be able to drive the terminal. `-o json` has it as it came, since
/// JSON escapes it.
pub fn typed<T: DeserializeOwned>(document: &Value) -> Result<T, serde_json::Error> {
    let mut document = document.clone();
    clean_strings(&mut document);
    T::deserialize(document)
}

fn clean_strings(value: &mut Value) {
    match value {
        Value::String(text) => *text = harmless(text),
        Value::Array(list) => list.iter_mut().for_each(clean_strings),
        Value::Object(map) => map.values_mut().for_each(clean_strings),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn of_problem(status: StatusCode, problem: Problem) -> Fault {
    let exit = if problem.doubt { Exit::Unknown } else { exit_of(status) };
    Fault { exit, code: problem.code, failed: problem.failed, state: problem.state, remedy: problem.remedy }
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        400 | 413 => Exit::Usage,
        401 | 403 => Exit::NotAllowed,
        404 => Exit::NoSuchThing,
        409 => Exit::Conflict,
        422 => Exit::Invalid,
        _ => Exit::NotTalked,
    }
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(format!("the answer is larger than {} MiB", MAX_BODY >> 20));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The innermost reason says most: "Connection refused" rather than "error sending request".
fn chain(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}
