//! Slack: a message for each notice, those of a run in one thread, questions on top of it. A question has buttons only where the
//! playbook takes approval by Slack; whatever then closes it, wherever it was decided, takes the buttons away everywhere.

mod api;
mod blocks;
mod form;
mod sign;
mod socket;

pub use form::{Pressed, WHERE, WHY};
pub use sign::{Unsigned, verify};
pub use socket::{Line, Said};

use super::notice::Question;
use super::{Channel, Delivery, Notice, Poster};
use crate::config::{Slack as Configured, Topic};
use crate::kernel::domain::{Digest, Name, RunId, Span};
use crate::store::{Posted, SqliteStore};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

/// One message a second for each conversation is what Slack takes.
const PACE: Span = Span::millis(1_100);

pub struct Slack {
    pub name: Name,
    pub configured: Configured,
    pub topics: Vec<Topic>,
    pub poster: Arc<Poster>,
    pub store: Arc<SqliteStore>,
}

impl Channel for Slack {
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery> {
        Box::pin(async move { self.told(notice).await.map_or_else(|failed| failed, |()| Delivery::Done) })
    }
    fn pace(&self) -> Span {
        PACE
    }
}

/// To one person, in the conversation that they have with the app: `to` is their id. Nothing of it is changed later; what it
/// leads to says where things stand.
pub struct Direct(pub Slack);

impl Channel for Direct {
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let posted = self.0.post(&blocks::message(notice), &notice.title, None, false).await;
            posted.map_or_else(|failed| failed, |_| Delivery::Done)
        })
    }
}

fn store_failed(error: impl std::fmt::Display) -> Delivery {
    Delivery::unreachable(format!("what was posted cannot be looked up or kept: {error}"))
}

impl Slack {
    async fn told(&self, notice: &Notice) -> Result<(), Delivery> {
        let wanted =
            self.topics.contains(&notice.topic) || notice.pages() && self.topics.contains(&Topic::Page);
        let Some(run) = &notice.run else {
            return match wanted {
                true => self.post(&blocks::message(notice), &notice.title, None, false).await.map(drop),
                false => Ok(()),
            };
        };
        let posted = self.store.posted(&self.name, run).await.map_err(store_failed)?;
        for message in posted.iter().filter(|m| m.open && m.position < notice.position) {
            self.follow_up(message, notice).await?;
        }
        if !wanted {
            return Ok(());
        }
        match &notice.question {
            Some(question) if notice.asks => self.ask(notice, run, question, &posted).await,
            _ => self.tell(notice, run, &posted).await,
        }
    }

    /// An earlier question: with what was said to it, or closed.
    async fn follow_up(&self, message: &Posted, notice: &Notice) -> Result<(), Delivery> {
        let same = notice.question.as_ref().filter(|open| open.digest == message.digest && !notice.asks);
        let mut parts = blocks::with_note(&message.body, &notice.title);
        if let Some(open) = same {
            parts.extend(message.ask.as_ref().filter(|_| open.by_slack).map(|ask| blocks::buttons(ask)));
            return self.change(message, parts).await;
        }
        self.change(message, parts).await?;
        let closed = Posted { open: false, ..message.clone() };
        self.store.keep_posted(closed).await.map_err(store_failed)
    }

    /// What a question looks like once it is over; the buttons are gone.
    pub async fn close(&self, posted: &Posted, ts: &str, outcome: &str) -> Result<(), Delivery> {
        let message = Posted { ts: Some(ts.to_owned()), ..posted.clone() };
        self.change(&message, blocks::with_note(&message.body, outcome)).await
    }

    /// Only for the one who pressed a button.
    pub async fn whisper(&self, user: &str, says: &str) -> Result<(), Delivery> {
        let body = json!({ "channel": self.configured.to, "user": user, "text": blocks::escaped(says) });
        self.call("chat.postEphemeral", &body).await.map(drop)
    }

    async fn change(&self, message: &Posted, blocks: Vec<Value>) -> Result<(), Delivery> {
        let Some(ts) = &message.ts else { return Ok(()) };
        let body = json!({ "channel": self.configured.to, "ts": ts, "blocks": blocks,
            "text": blocks::escaped(&message.title) });
        match self.call("chat.update", &body).await {
            // Somebody deleted it: then it has no buttons either.
            Err(Delivery::Refused(says)) if says.contains("message_not_found") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The row first: a button must lead somewhere from the moment at which it can be pressed.
    async fn ask(
        &self,
        notice: &Notice,
        run: &RunId,
        question: &Question,
        posted: &[Posted],
    ) -> Result<(), Delivery> {
        let before = posted.iter().find(|m| m.position == notice.position);
        if before.is_some_and(|m| m.ts.is_some()) {
            return Ok(());
        }
        let body = blocks::message(notice);
        let ask = match before.and_then(|m| m.ask.clone()) {
            Some(ask) => ask,
            None => random_id().map_err(Delivery::unreachable)?,
        };
        let mut row = Posted {
            channel: self.name.clone(),
            position: notice.position,
            run: run.clone(),
            ask: question.by_slack.then(|| ask.clone()),
            digest: question.digest,
            ts: None,
            title: notice.title.clone(),
            body: json!(body).to_string(),
            open: true,
        };
        self.store.keep_posted(row.clone()).await.map_err(store_failed)?;
        let mut parts = body;
        if question.by_slack {
            parts.push(blocks::buttons(&ask));
        }
        row.ts = Some(self.post(&parts, &notice.title, None, false).await?);
        self.store.keep_posted(row).await.map_err(store_failed)
    }

    /// Below the first message of the run; what must wake somebody, in the conversation too.
    async fn tell(&self, notice: &Notice, run: &RunId, posted: &[Posted]) -> Result<(), Delivery> {
        let root = posted.iter().find_map(|m| m.ts.as_deref());
        let body = blocks::message(notice);
        let ts = self.post(&body, &notice.title, root, notice.pages()).await?;
        if root.is_some() {
            return Ok(());
        }
        let row = Posted {
            channel: self.name.clone(),
            position: notice.position,
            run: run.clone(),
            ask: None,
            digest: Digest::ZERO,
            ts: Some(ts),
            title: notice.title.clone(),
            body: String::new(),
            open: false,
        };
        self.store.keep_posted(row).await.map_err(store_failed)
    }

    async fn post(
        &self,
        blocks: &[Value],
        title: &str,
        thread: Option<&str>,
        loud: bool,
    ) -> Result<String, Delivery> {
        let mut body = json!({ "channel": self.configured.to, "text": blocks::escaped(title), "blocks": blocks,
            "unfurl_links": false, "unfurl_media": false, "parse": "none", "link_names": false });
        if let Some(thread) = thread {
            body["thread_ts"] = json!(thread);
            body["reply_broadcast"] = json!(loud);
        }
        let answer = self.call("chat.postMessage", &body).await?;
        let nameless = || Delivery::unreachable("Slack answered without the message's ts");
        answer["ts"].as_str().map(str::to_owned).ok_or_else(nameless)
    }
}

/// 128 bits that say nothing.
fn random_id() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| format!("no randomness: {e}"))?;
    Ok(hex::encode(bytes))
}
