//! PagerDuty, Events API v2: one incident for each thing that somebody must wake up for. A person's decision takes it, the end
//! of the run resolves it. What only informs is not sent.

use super::post::{Answer, Letter, Poster};
use super::{Channel, Delivery, Notice, Pull};
use crate::config::SecretRef;
use crate::kernel::domain::Secret;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest key and summary that it takes.
const KEY: usize = 255;
const SUMMARY: usize = 1_024;

pub struct Pagerduty {
    pub api: String,
    pub routing_key: SecretRef,
    pub poster: Arc<Poster>,
}

impl Channel for Pagerduty {
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let key = match self.routing_key.read() {
                Ok(key) => key,
                Err(error) => return Delivery::unreachable(error.to_string()),
            };
            for action in actions(notice) {
                match self.send(event(notice, action, &key)).await {
                    Delivery::Done => {}
                    other => return other,
                }
            }
            for also in &notice.also {
                let event = json!({ "routing_key": key.expose(), "event_action": "resolve", "dedup_key": cut(also, KEY) });
                match self.send(event).await {
                    Delivery::Done => {}
                    other => return other,
                }
            }
            Delivery::Done
        })
    }
}

/// What is raised while somebody has it in hand wakes nobody: it is resolved, and begun anew.
fn actions(notice: &Notice) -> Vec<&'static str> {
    match notice.pull {
        Pull::Raise if notice.again => vec!["resolve", "trigger"],
        Pull::Raise => vec!["trigger"],
        Pull::Take => vec!["acknowledge"],
        Pull::Clear => vec!["resolve"],
        Pull::Tell => vec![],
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn event(notice: &Notice, action: &str, key: &Secret) -> Value {
    let mut event = json!({
        "routing_key": key.expose(), "event_action": action, "dedup_key": cut(&notice.key, KEY),
    });
    if action == "trigger" {
        let source = notice.service.as_ref().map_or("pointsman", |name| name.as_str());
        event["client"] = json!("Pointsman");
        event["payload"] = json!({
            "summary": cut(&notice.title, SUMMARY), "source": source, "severity": "critical",
            "timestamp": super::webhook::iso(notice), "component": notice.service, "class": notice.topic.as_str(),
            "custom_details": { "notice": notice.id, "run": notice.run, "says": notice.lines, "next": notice.next },
        });
        if let Some(link) = &notice.link {
            event["links"] = json!([{ "href": link, "text": "Read and decide" }]);
        }
    }
    event
}

impl Pagerduty {
    async fn send(&self, event: Value) -> Delivery {
        let url = format!("{}/v2/enqueue", self.api);
        let letter = Letter { url: &url, headers: vec![], body: event.to_string().into_bytes() };
        self.poster.post(letter).await.map_or_else(|failed| failed, |answer| judged(&answer))
    }
}

/// Only 202 is a promise. With a 400 it says what is wrong with the event.
fn judged(answer: &Answer) -> Delivery {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let errors: Vec<&str> =
        body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match answer.judged() {
        Delivery::Done if answer.status == 202 => Delivery::Done,
        Delivery::Done => Delivery::Failed {
            says: format!("it answered {}, where PagerDuty answers 202", answer.status),
            after: None,
            answered: true,
        },
        // A wrong routing key is no fault of the notice; people mend it.
        Delivery::Refused(_) if errors.iter().any(|error| error.to_lowercase().contains("routing")) => {
            Delivery::Failed {
                says: "it does not know the routing key".to_owned(),
                after: None,
                answered: true,
            }
        }
        Delivery::Refused(says) => {
            Delivery::Refused(format!("{says}: {}", super::plain::plain(&errors.join("; "))))
        }
        failed => failed,
    }
}
