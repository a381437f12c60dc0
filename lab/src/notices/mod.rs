//! Those who are told: a receiver of signed webhooks, fakes of PagerDuty's Events API v2 and of Slack, which check what they get as
//! the documents say and can be away, busy or broken; and a real SMTP server. Each can come back on its old port. Tests of
//! single channels start what they need; a [`Lab`](crate::Lab) does not hold them.

mod desk;
mod mail;
mod pagerduty;
mod slack;
mod webhook;

pub use desk::{Desk, Got, Mood};
pub use mail::{Letter, Mail};
pub use pagerduty::{Incident, Pagerduty};
pub use slack::{
    APP, APP_TOKEN, CONVERSATION, Form, Message, Press, SIGNING_SECRET, Sent, Slack, TEAM, TOKEN,
};
pub use webhook::{Receiver, SECRET};
