//! A fixture for whatever is spoken to over HTTP: the provider behind the proxy that goes bad.

use super::fixture::{Fixture, Nature, Trouble};
use super::records;
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Faulty, Guard, Mishap, Which};
use pointsman::kernel::domain::Fact;
use serde_json::Value;
use std::time::Duration;

/// What differs between the providers.
pub trait Place: Send + Sync {
    fn kind(&self) -> &'static str;
    fn nature(&self) -> Nature;
    /// The configuration of `target`, with the API at this base.
    fn config(&self, base: &str, secrets: &std::path::Path) -> String;
    fn with(&self) -> Value {
        records::wanted()
    }
    fn given(&self) -> Vec<Fact> {
        vec![]
    }
    fn reset(&self) -> BoxFuture<'_, ()>;
    fn standing(&self) -> BoxFuture<'_, Value>;
    fn by_hand(&self) -> BoxFuture<'_, ()>;
    /// A success that it would say to a write: status and body.
    fn success(&self) -> (u16, String);
    fn secrets(&self) -> Vec<String>;
}

pub struct Api<P> {
    pub place: P,
    pub proxy: Faulty,
    secrets: tempfile::TempDir,
}

pub const API: Nature = Nature { whole: true, compares: false, undo: true, api: true, closes: true };

fn is_write(method: &str, path: &str) -> bool {
    method != "GET" && !path.contains("/auth/")
}

impl<P: Place> Api<P> {
    pub async fn before(place: P, upstream: std::net::SocketAddr) -> Api<P> {
        let secrets = tempfile::tempdir().unwrap();
        Api { place, proxy: Faulty::start(upstream, is_write).await.unwrap(), secrets }
    }

    /// See [`Faulty::guarded`].
    pub async fn guarded(self, guard: Guard) -> Api<P> {
        Api { proxy: self.proxy.guarded(guard).await.unwrap(), ..self }
    }

    pub fn remote(&self) -> Remote {
        Remote::new(&self.place.config(&self.proxy.url(), self.secrets.path()))
    }
}

/// A file with a secret in it, as a reference.
pub fn secret(dir: &std::path::Path, name: &str, text: &str) -> String {
    let file = dir.join(name);
    std::fs::write(&file, format!("{text}\n")).unwrap();
    format!("{{ file = {file:?} }}")
}

impl<P: Place> Fixture for Api<P> {
    fn kind(&self) -> &'static str {
        self.place.kind()
    }
    fn nature(&self) -> Nature {
        self.place.nature()
    }
    fn remote(&self) -> Remote {
        Api::remote(self)
    }
    fn with(&self) -> Value {
        self.place.with()
    }
    fn given(&self) -> Vec<Fact> {
        self.place.given()
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        self.place.reset()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        self.place.standing()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        Some(self.place.by_hand())
    }

    fn plant(&self, trouble: Trouble) -> bool {
        let answer = |status, headers, body: &str| Mishap::Answer { status, headers, body: body.to_owned() };
        let limited = |seconds: u64| answer(429, vec![("retry-after", seconds.to_string())], "{}");
        let (which, mishap) = match trouble {
            Trouble::Denied => (Which::Writes, answer(403, vec![], "{}")),
            Trouble::Missing => (Which::Writes, answer(404, vec![], "{}")),
            Trouble::Limited(seconds) => (Which::Writes, limited(seconds)),
            Trouble::ReadLimited(seconds) => (Which::Reads, limited(seconds)),
            Trouble::Broken => (Which::Writes, answer(500, vec![], "{}")),
            Trouble::Closed => {
                self.proxy.close();
                return true;
            }
            Trouble::Swallowed => (Which::Writes, Mishap::Swallow),
            Trouble::LostReply => (Which::Writes, Mishap::LoseReply),
            Trouble::Garbage => (Which::Writes, Mishap::Garbage),
            Trouble::Late(seconds) => (Which::Writes, Mishap::Late(Duration::from_secs(seconds))),
            Trouble::Lie => {
                let (status, body) = self.place.success();
                (Which::Writes, answer(status, vec![], &body))
            }
            Trouble::ReadFails => (Which::Reads, answer(502, vec![], "")),
            Trouble::ReadDenied => (Which::Reads, answer(401, vec![], "{}")),
            Trouble::ReadGarbage => (Which::Reads, Mishap::Garbage),
            Trouble::StaleRead | Trouble::Refused => return false,
        };
        self.proxy.plant(which, mishap);
        true
    }

    fn calm(&self) -> BoxFuture<'_, ()> {
        async {
            self.proxy.calm();
            self.proxy.close();
            // The old listener goes when its task has ended.
            for _ in 0..100 {
                if self.proxy.open().await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("the proxy does not open again");
        }
        .boxed()
    }

    fn requests(&self) -> Option<u32> {
        Some(self.proxy.reads() + self.proxy.writes())
    }

    fn secrets(&self) -> Vec<String> {
        self.place.secrets()
    }
}
