//! Telling people and programs what the journal says: one file per channel, and the words they share. The outbox of
//! `worker` decides when; nothing here reads the journal, and nothing here can hurt a run.

mod compose;
mod email;
mod notice;
mod over;
mod pagerduty;
mod personal;
mod plain;
mod post;
pub mod slack;
mod webhook;
pub mod words;

pub use compose::{Scene, compose};
pub use notice::{Matter, Notice, Pull, by_alert, matter};
pub use over::{ends_earlier_runs, stays_raised};
pub use personal::open_personal;
pub use plain::plain;
pub use post::{Poster, sign_of_life, wall_seconds};

use crate::config::{Channel as Configured, ChannelKind};
use crate::kernel::domain::{Name, Span};
use crate::store::SqliteStore;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// How one try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Done,
    /// The other side refuses exactly this notice; it will not take it later either.
    Refused(String),
    Failed {
        says: String,
        /// It asked for a pause.
        after: Option<Span>,
        /// It was there and answered: what is wrong may be this one notice.
        answered: bool,
    },
}

impl Delivery {
    pub(crate) fn unreachable(says: impl Into<String>) -> Delivery {
        Delivery::Failed { says: says.into(), after: None, answered: false }
    }
}

pub trait Channel: Send + Sync {
    /// One try, bounded in time by the caller too.
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery>;
    /// At least this long between two.
    fn pace(&self) -> Span {
        Span::ZERO
    }
}

/// What channels need of us.
#[derive(Clone)]
pub struct Tools {
    pub poster: Arc<Poster>,
    pub store: Arc<SqliteStore>,
}

/// The real thing behind a channel of the configuration. Credentials are read with each try.
pub fn open(name: &Name, configured: &Configured, tools: &Tools) -> Box<dyn Channel> {
    let poster = tools.poster.clone();
    match &configured.kind {
        ChannelKind::Webhook { url, secret } => {
            Box::new(webhook::Webhook { url: url.clone(), secret: secret.clone(), poster })
        }
        ChannelKind::Slack(slack) => Box::new(slack::Slack {
            name: name.clone(),
            configured: slack.clone(),
            topics: configured.topics.clone(),
            poster,
            store: tools.store.clone(),
        }),
        ChannelKind::Email(email) => Box::new(email::Mailer::new(email.clone())),
        ChannelKind::Pagerduty { api, routing_key } => {
            Box::new(pagerduty::Pagerduty { api: api.clone(), routing_key: routing_key.clone(), poster })
        }
    }
}
