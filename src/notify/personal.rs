//! What is for one person and nobody else: by their own Slack or their own mailbox, beside the channels of everybody. `worker`
//! sends codes and links by it.

use super::slack::{Direct, Slack};
use super::{Channel, Tools, email};
use crate::config::Reach;

/// The real thing behind the way to one person.
pub fn open_personal(reach: &Reach, tools: &Tools) -> Box<dyn Channel> {
    match reach {
        Reach::Email { email, .. } => Box::new(email::Mailer::new(email.clone())),
        Reach::Slack { channel, slack } => Box::new(Direct(Slack {
            name: channel.clone(),
            configured: slack.clone(),
            topics: vec![],
            poster: tools.poster.clone(),
            store: tools.store.clone(),
        })),
    }
}
