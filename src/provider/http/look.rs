//! One look at one probe from one vantage, and what it is worth: *up*, *down*, or *blind* when its silence would
//! prove nothing. Quorum and `http.expect` use it, and the worker, every few seconds, for the probes' past.

use super::blackbox;
use super::memory::ProbeMemory;
use super::port::{Failed, Get, Layer, Pinged, Port, Reply};
use crate::config::{Config, Probe, Vantage};
use crate::kernel::domain::{Name, Span, Time};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Up,
    Down(Failed),
    /// No vote, and why.
    Blind(String),
}

impl Answer {
    pub fn as_str(&self) -> &'static str {
        match self {
            Answer::Up => "up",
            Answer::Down(_) => "down",
            Answer::Blind(_) => "blind",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Up => f.write_str("up"),
            Answer::Down(failed) => write!(f, "down ({}: {})", failed.layer.as_str(), failed.says),
            Answer::Blind(why) => write!(f, "blind: {why}"),
        }
    }
}

/// The place of this process, which always exists.
pub const LOCAL: &str = "local";

/// A configured vantage; `local` needs no entry.
pub fn vantage(config: &Config, name: &Name) -> Option<Vantage> {
    let here = || Vantage {
        blackbox: None,
        http_module: None,
        tcp_module: None,
        domain: LOCAL.into(),
        control: None,
    };
    config.vantages.get(name).cloned().or_else(|| (name.as_str() == LOCAL).then(here))
}

/// Looks, judges by the probe's past and the vantage's control target, and remembers an *up*.
pub async fn look(
    config: &Config,
    port: &dyn Port,
    probe: &Name,
    vantage_name: &Name,
    now: Time,
    within: Span,
) -> Answer {
    let Some(definition) = config.probes.get(probe) else {
        return Answer::Blind(format!("there is no probe {probe}"));
    };
    let Some(place) = vantage(config, vantage_name) else {
        return Answer::Blind(format!("there is no vantage {vantage_name}"));
    };
    let seen = raw(port, definition, &place, within).await;
    let control = match &seen {
        Answer::Down(_) => control(port, &place, within).await,
        Answer::Up | Answer::Blind(_) => Ok(()),
    };
    judge(port.memory(), seen, control, &ProbeMemory::key(probe, definition, vantage_name), now)
}

/// What an answer is worth.
pub fn judge(
    memory: &ProbeMemory,
    seen: Answer,
    control: Result<(), String>,
    key: &str,
    now: Time,
) -> Answer {
    match (seen, control) {
        (Answer::Up, _) => {
            memory.note(key.to_owned(), now);
            Answer::Up
        }
        (Answer::Down(_), Err(why)) => {
            Answer::Blind(format!("its control target does not answer either: {why}"))
        }
        (Answer::Down(failed), Ok(())) if !memory.vouches(key, now) => Answer::Blind(format!(
            "it has not said up within a day ({}: {})",
            failed.layer.as_str(),
            failed.says
        )),
        (seen, _) => seen,
    }
}

/// What one question came to, without judging its worth.
pub async fn raw(port: &dyn Port, probe: &Probe, place: &Vantage, within: Span) -> Answer {
    if let Some(exporter) = &place.blackbox {
        return blackbox::look(port, exporter, place, probe, within).await;
    }
    if let Some(url) = &probe.http {
        let get = Get { pin: probe.resolve_to, ..Get::of(url) };
        return match port.get(&get, within).await {
            Ok(Reply { status, .. }) => judge_status(probe.status, status),
            Err(failed) => judge_failure(failed),
        };
    }
    if let Some(address) = &probe.tcp {
        return port.tcp(address, within).await.map_or_else(judge_failure, |()| Answer::Up);
    }
    match &probe.sql {
        Some(target) => match port.sql_ping(target, within).await {
            Pinged::Up => Answer::Up,
            Pinged::Down(failed) => judge_failure(failed),
            Pinged::Blind(why) => Answer::Blind(why),
        },
        None => Answer::Blind("the probe asks nothing".into()),
    }
}

/// Whether the vantage itself sees anything: any answer of its control target will do.
pub async fn control(port: &dyn Port, place: &Vantage, within: Span) -> Result<(), String> {
    let Some(url) = &place.control else { return Ok(()) };
    if let Some(exporter) = &place.blackbox {
        return blackbox::reaches(port, exporter, place, url, within).await;
    }
    let reply = port.get(&Get::of(url), within).await;
    reply.map(|_| ()).map_err(|failed| format!("{}: {}", failed.layer.as_str(), failed.says))
}

/// An unexpected status is a death only when the server says that it cannot serve.
pub fn judge_status(expected: Option<u16>, status: u16) -> Answer {
    let as_expected = expected.map_or((200..300).contains(&status), |wanted| wanted == status);
    match status {
        _ if as_expected => Answer::Up,
        500..=599 => Answer::Down(Failed { layer: Layer::Http, says: format!("status {status}") }),
        400..=499 => Answer::Blind(format!("it is refused with status {status}")),
        _ => Answer::Blind(format!("status {status} is not what the probe expects, but the server lives")),
    }
}

fn judge_failure(failed: Failed) -> Answer {
    match failed.layer {
        Layer::Tls => Answer::Blind(format!("it fails in TLS: {}", failed.says)),
        Layer::Local => Answer::Blind(failed.says),
        Layer::Dns | Layer::Tcp | Layer::Http | Layer::Sql => Answer::Down(failed),
    }
}
