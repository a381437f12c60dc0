//! `haproxy.server {target, server, state?, weight?, shutdown_sessions?, min_servers?}`: one server of a backend, in
//! every HAProxy that the target names, through their runtime API. A reload forgets it, and the plan says so.

use super::kind::{Kind, Nature};
use super::port::{Fields, Part, Resource};
use crate::config::{Config, HaproxySocket, ResourceTarget};
use crate::kernel::domain::{Fact, Settle, Span, Spec, StepPlan, Undo};
use crate::provider::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Takes traffic, as far as its checks say.
    Ready,
    /// No new sessions but those that stick to it; checks go on.
    Drain,
    /// No traffic and no checks.
    Maint,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Drain => "drain",
            State::Maint => "maint",
        }
    }
}

/// What one HAProxy has of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub state: State,
    pub weight: u16,
    /// What else keeps it from traffic: a server that it tracks, its name that does not resolve, its configuration.
    pub held: Option<String>,
    /// In maintenance, where that is asked for: no session is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<bool>,
}

impl Held {
    fn takes_traffic(&self) -> bool {
        self.state == State::Ready && self.weight > 0
    }
}

pub(super) fn held(fields: &Fields, socket: &str) -> Option<Held> {
    Held::deserialize(fields.get(socket)?).ok()
}

struct Server {
    spec: Spec,
    sockets: Vec<HaproxySocket>,
    /// `backend/server`
    name: String,
    state: Option<State>,
    weight: Option<u16>,
    shutdown: bool,
    min_servers: u64,
}

pub fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn Kind>), Vec<String>> {
    let mut params = Params::new(spec);
    let name: String = params.need("server").unwrap_or_default();
    let (state, weight) = (params.maybe::<State>("state"), params.maybe::<u16>("weight"));
    let shutdown = params.maybe("shutdown_sessions").unwrap_or(false);
    let min_servers = params.maybe("min_servers").unwrap_or(1);
    let target = config.resource(&spec.target).filter(|target| target.kind() == "haproxy");
    if target.is_none() {
        params.problem("there is no target of kind haproxy with this name");
    }
    let (backend, server) = name.split_once('/').unwrap_or_default();
    if spec.with.get("server").is_some() && !(is_plain(backend) && is_plain(server)) {
        params.problem(format!("`server`: {name:?} is not BACKEND/SERVER"));
    }
    if state.is_none() && weight.is_none() {
        params.problem("neither `state` nor `weight` is given: there is nothing to set");
    }
    if weight.is_some_and(|weight| weight > 256) {
        params.problem("`weight` is 0 to 256");
    }
    if shutdown && state != Some(State::Maint) {
        params.problem("`shutdown_sessions` goes with `state: maint`: in any other state new sessions come");
    }
    params.done()?;
    let part = Part::Server { backend: backend.to_owned(), server: server.to_owned(), sessions: shutdown };
    let Some(ResourceTarget::Haproxy { sockets }) = target else { return Err(vec![]) };
    let resource =
        Resource { name: spec.target.clone(), target: target.cloned().ok_or_else(Vec::new)?, part };
    let (spec, sockets) = (spec.clone(), sockets.clone());
    Ok((resource, Box::new(Server { spec, sockets, name, state, weight, shutdown, min_servers })))
}

/// It becomes a word of a command.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

impl Server {
    fn each<'a>(&'a self, fields: &'a Fields) -> impl Iterator<Item = (String, Held)> + 'a {
        self.sockets
            .iter()
            .filter_map(|socket| Some((socket.to_string(), held(fields, &socket.to_string())?)))
    }

    /// What keeps `before` from becoming `after` at one HAProxy.
    fn refusal(&self, socket: &str, (before, after): (&Held, &Held), evidence: &Value) -> Option<StepPlan> {
        if let Some(by) = before.held.as_ref().filter(|_| after.takes_traffic()) {
            let says =
                format!("{socket}: {} is kept from traffic by {by}, which is not ours to lift", self.name);
            return Some(StepPlan::refuse("PM4404", says));
        }
        if !before.takes_traffic() || after.takes_traffic() {
            return None;
        }
        let Some(others) = evidence[socket]["others"].as_u64() else {
            let says = format!("{socket}: how many other servers take traffic is not known");
            return Some(StepPlan::unknown("PM4403", says));
        };
        (others < self.min_servers).then(|| {
            let says = format!(
                "{socket}: {others} other servers of the backend would take traffic, at least {} must",
                self.min_servers
            );
            StepPlan::refuse("PM4403", says)
        })
    }
}

impl Kind for Server {
    fn identity(&self) -> Value {
        let sockets: Vec<String> = self.sockets.iter().map(HaproxySocket::to_string).collect();
        json!({ "haproxy": sockets, "server": self.name })
    }

    fn nature(&self) -> Nature {
        Nature {
            plane: "a data-plane act: told to each HAProxy itself; it depends on no provider and no region",
            compares: false,
            // A command that arrived is carried out at once; one on its way over TCP could still arrive.
            settle: Settle::After(Span::secs(30)),
        }
    }

    fn wanted(&self, now: &Fields, evidence: &Value, _given: &[Fact]) -> Result<Fields, StepPlan> {
        let mut wanted = now.clone();
        for socket in &self.sockets {
            let socket = socket.to_string();
            let Some(before) = held(now, &socket) else {
                return Err(StepPlan::unknown("PM4400", format!("what {socket} has of it cannot be read")));
            };
            let (state, weight) = (self.state.unwrap_or(before.state), self.weight.unwrap_or(before.weight));
            let after = Held { state, weight, idle: self.shutdown.then_some(true), ..before.clone() };
            if let Some(no) = self.refusal(&socket, (&before, &after), evidence) {
                return Err(no);
            }
            wanted.insert(socket, json!(after));
        }
        Ok(wanted)
    }

    fn show(&self, fields: &Fields) -> String {
        let one = |held: &Held| {
            let idle = match held.idle {
                Some(true) => ", no session left",
                Some(false) => ", with sessions",
                None => "",
            };
            let by = held.held.as_ref().map(|by| format!(", kept from traffic by {by}")).unwrap_or_default();
            format!("{} weight {}{idle}{by}", held.state.as_str(), held.weight)
        };
        let mut all: Vec<(String, String)> = vec![];
        for (socket, held) in self.each(fields) {
            all.push((socket, one(&held)));
        }
        match all.first() {
            Some((_, first)) if all.iter().all(|(_, said)| said == first) => {
                format!("{} {first} ({} HAProxy)", self.name, all.len())
            }
            _ => {
                let each: Vec<String> =
                    all.iter().map(|(socket, said)| format!("{said} at {socket}")).collect();
                format!("{} {}", self.name, each.join("; "))
            }
        }
    }

    /// The old state and weight, where they were the same everywhere. Sessions that were shut down do not come back.
    fn undo(&self, now: &Fields) -> Undo {
        let all: Vec<Held> = self.each(now).map(|(_, held)| Held { idle: None, ..held }).collect();
        let Some(first) = all.first().filter(|first| all.iter().all(|held| held == *first)) else {
            return Undo::ByHand(self.by_hand(now).join("\n"));
        };
        let with =
            json!({ "server": self.name, "state": first.state, "weight": first.weight, "min_servers": 0 });
        Undo::To(Spec { with, ..self.spec.clone() })
    }

    fn by_hand(&self, fields: &Fields) -> Vec<String> {
        let mut lines = vec![];
        for (socket, (_, held)) in self.sockets.iter().zip(self.each(fields)) {
            let to = match socket {
                HaproxySocket::Unix(path) => format!("UNIX-CONNECT:{}", path.display()),
                HaproxySocket::Tcp(at) => format!("TCP:{at}"),
            };
            let mut say = |command: String| lines.push(format!("echo '{command}' | socat - {to}"));
            say(format!("set server {} weight {}", self.name, held.weight));
            say(format!("set server {} state {}", self.name, held.state.as_str()));
            if self.shutdown && held.idle == Some(true) {
                say(format!("shutdown sessions server {}", self.name));
            }
        }
        lines
    }

    fn warnings(&self, now: &Fields, evidence: &Value) -> Vec<String> {
        let forgets = "a reload or restart of HAProxy forgets this, unless its configuration or its server-state-file \
                       is changed too";
        let mut warnings = vec![forgets.to_owned()];
        if self.sockets.len() > 1 {
            warnings.push("one call for each HAProxy: they do not change all at once".into());
        }
        if self.state == Some(State::Drain) {
            warnings.push("drain: sessions that are there, and new ones that stick to it, go on".into());
        }
        for (socket, _) in self.each(now) {
            let of = &evidence[&socket];
            if let Some(sessions) = of["sessions"].as_u64().filter(|n| *n > 0 && !self.leaves_sessions()) {
                let says = match self.shutdown {
                    true => format!("{socket}: sessions that are cut: {sessions}"),
                    false => {
                        format!(
                            "{socket}: sessions that stay with it until they end by themselves: {sessions}"
                        )
                    }
                };
                warnings.push(says);
            }
            let status = of["status"].as_str().unwrap_or("unknown");
            if self.state == Some(State::Ready) && status.starts_with("DOWN") {
                warnings.push(format!("{socket}: its check says {status}: ready alone brings no traffic"));
            }
        }
        warnings
    }
}

impl Server {
    /// It goes on taking traffic: nothing is to be said about sessions.
    fn leaves_sessions(&self) -> bool {
        self.state.is_none_or(|state| state == State::Ready) && self.weight != Some(0)
    }
}
