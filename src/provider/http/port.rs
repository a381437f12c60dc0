//! The few ways to look at something over the network. `wire` is the real network; the simulator is a shared world.

use super::memory::ProbeMemory;
use crate::kernel::domain::{Name, Secret, Span, Time};
use futures_util::future::{BoxFuture, ready};
use std::net::IpAddr;

/// How far something got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Our own side: no client, no socket.
    Local,
    Dns,
    Tcp,
    Tls,
    Http,
    Sql,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Local => "local",
            Layer::Dns => "dns",
            Layer::Tcp => "tcp",
            Layer::Tls => "tls",
            Layer::Http => "http",
            Layer::Sql => "sql",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub layer: Layer,
    pub says: String,
}

#[derive(Clone, Debug)]
pub enum Auth {
    Basic { user: String, password: Option<Secret> },
    Bearer(Secret),
}

/// One look: no redirect is followed, no connection is used twice, no proxy.
#[derive(Clone, Debug, Default)]
pub struct Get {
    pub url: String,
    /// Connect to this address; Host and SNI stay those of the URL. Without it the system resolves the name anew.
    pub pin: Option<IpAddr>,
    pub headers: Vec<(&'static str, String)>,
    pub auth: Option<Auth>,
    /// JSON, and then the verb is POST: for APIs whose questions are bodies. It only asks, but for what Zabbix is told about a
    /// problem of its own.
    pub question: Option<String>,
}

impl Get {
    pub fn of(url: impl Into<String>) -> Get {
        Get { url: url.into(), ..Get::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// At most [`MAX_BODY`] bytes of it.
    pub body: String,
}

pub const MAX_BODY: usize = 1 << 20;

/// What a real query told of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinged {
    Up,
    Down(Failed),
    /// It answers, but not us: credentials, too many connections. That is no death.
    Blind(String),
}

/// The one verb that needs a database client; the room of PostgreSQL lends it.
pub trait SqlPing: Send + Sync {
    fn ping<'a>(&'a self, target: &'a Name, within: Span) -> BoxFuture<'a, Pinged>;
}

pub trait Port: Send + Sync {
    fn get<'a>(&'a self, get: &'a Get, within: Span) -> BoxFuture<'a, Result<Reply, Failed>>;
    /// Connects to `address:port` and hangs up.
    fn tcp<'a>(&'a self, address: &'a str, within: Span) -> BoxFuture<'a, Result<(), Failed>>;
    fn sql_ping<'a>(&'a self, target: &'a Name, within: Span) -> BoxFuture<'a, Pinged>;
    /// The second that a server's answer was made in, by its own clock. `None`: it did not answer, told no date, or the
    /// answer is a kept one.
    fn date<'a>(&'a self, _url: &'a str, _within: Span) -> BoxFuture<'a, Option<Time>> {
        Box::pin(ready(None))
    }
    /// When each probe was last seen up from each vantage.
    fn memory(&self) -> &ProbeMemory;
}
