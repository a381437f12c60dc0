//! A notice that is none, sent now and on request: whether a channel works is found out before the night that needs it.

use super::{App, PATIENCE};
use crate::config::ChannelKind;
use crate::kernel::domain::Name;
use crate::notify::{self, Delivery, Notice, Poster, Pull, Tools};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum TestError {
    #[error("channel {0:?}; the configuration has: {1}")]
    NoSuchChannel(String, String),
    #[error("{0}")]
    NotDelivered(String),
}

impl App {
    /// Past the queue, once, and nothing is tried again. A pager is raised and let go.
    pub async fn test_channel(&self, name: &Name, by: &Name) -> Result<(), TestError> {
        let Some(configured) = self.config.channels.get(name) else {
            let known: Vec<&str> = self.config.channels.keys().map(Name::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(TestError::NoSuchChannel(name.to_string(), known));
        };
        let channel = notify::open(name, configured, &self.tools());
        let mut notice = self.test_notice(name, by);
        let pulls = match configured.kind {
            ChannelKind::Pagerduty { .. } => vec![Pull::Raise, Pull::Clear],
            // Loud, so that it is for whatever topics a channel has.
            ChannelKind::Webhook { .. } | ChannelKind::Email(_) | ChannelKind::Slack(_) => vec![Pull::Raise],
        };
        for pull in pulls {
            notice.pull = pull;
            let sent = tokio::time::timeout(PATIENCE, channel.deliver(&notice)).await;
            match sent.unwrap_or_else(|_| Delivery::unreachable("it did not answer in time")) {
                Delivery::Done => {}
                Delivery::Refused(says) | Delivery::Failed { says, .. } => {
                    return Err(TestError::NotDelivered(says));
                }
            }
        }
        Ok(())
    }

    /// For what is said once, beside the queues.
    pub(in crate::worker) fn tools(&self) -> Tools {
        Tools { poster: Arc::new(Poster::default()), store: self.store.clone() }
    }

    fn test_notice(&self, name: &Name, by: &Name) -> Notice {
        let id = format!("test-{:016x}", self.world.random());
        let title = format!("Pointsman: a test of channel {name}, nothing happened");
        let line =
            format!("{by} sent this with `pointsman notify test {name}`. No run is open because of it.");
        Notice::by_itself(id, self.world.now(), title, vec![line])
    }
}
