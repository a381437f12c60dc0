//! What the fakes have in common: a port that stays theirs, a mood, and a book of everything that came in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::net::on_lab;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Well,
    /// Answers this to everything.
    Answers(u16),
    /// 429 with `Retry-After`.
    Busy(u64),
    /// 400 to whatever contains this, and well otherwise.
    Dislikes(String),
    /// 500 to whatever contains this, and well otherwise.
    Chokes(String),
    /// Takes it, and does not answer for so long.
    Slow(Duration),
}

/// One request that was understood and in order.
#[derive(Clone, Debug)]
pub struct Got {
    pub id: String,
    pub body: Value,
    /// It was answered with a yes.
    pub taken: bool,
}

#[derive(Default)]
pub struct Desk {
    mood: Mutex<Mood>,
    book: Mutex<Vec<Got>>,
    /// Requests that were not in order, and why.
    wrong: Mutex<Vec<String>>,
    acceptor: Mutex<Option<AbortHandle>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("invariant: no panic while holding the lock")
}

impl Desk {
    pub fn mood(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub fn got(&self) -> Vec<Got> {
        lock(&self.book).clone()
    }

    /// Those that were answered with a yes.
    pub fn taken(&self) -> Vec<Got> {
        lock(&self.book).iter().filter(|got| got.taken).cloned().collect()
    }

    pub fn wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    pub(super) fn refuse(&self, why: impl Into<String>) {
        lock(&self.wrong).push(why.into());
    }

    pub(super) fn note(&self, id: &str, body: Value, taken: bool) {
        lock(&self.book).push(Got { id: id.to_owned(), body, taken });
    }

    /// What the mood answers to this text; `None`: all is well.
    pub(super) async fn answer(&self, text: &str) -> Option<Response> {
        let mood = lock(&self.mood).clone();
        let bare =
            |status: u16| StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT).into_response();
        match mood {
            Mood::Well => None,
            Mood::Answers(status) => Some(bare(status)),
            Mood::Busy(seconds) => {
                let mut headers = HeaderMap::new();
                headers.insert("retry-after", HeaderValue::from(seconds));
                Some((StatusCode::TOO_MANY_REQUESTS, headers).into_response())
            }
            Mood::Dislikes(word) => text.contains(&word).then(|| bare(400)),
            Mood::Chokes(word) => text.contains(&word).then(|| bare(500)),
            Mood::Slow(pause) => {
                tokio::time::sleep(pause).await;
                None
            }
        }
    }

    /// Listens until it goes away; on the old port when it comes back.
    pub(super) async fn open(
        self: &Arc<Self>,
        at: Option<SocketAddr>,
        app: Router,
    ) -> anyhow::Result<SocketAddr> {
        let at = at.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let desk = self.clone();
        on_lab(async move {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(at).with_context(|| format!("listening on {at}"))?;
            let listener = socket.listen(64)?;
            let at = listener.local_addr()?;
            let serving = tokio::spawn(async move { axum::serve(listener, app).await });
            if let Some(old) = lock(&desk.acceptor).replace(serving.abort_handle()) {
                old.abort();
            }
            Ok(at)
        })
        .await
    }

    /// Nobody listens on its port any more.
    pub fn close(&self) {
        if let Some(acceptor) = lock(&self.acceptor).take() {
            acceptor.abort();
        }
    }
}
