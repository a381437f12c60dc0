//! One call of Slack's Web API. 200 alone says nothing: `ok` does.

use super::Slack;
use crate::config::SecretRef;
use crate::kernel::domain::Span;
use crate::notify::Delivery;
use crate::notify::plain::plain;
use crate::notify::post::Letter;
use serde_json::Value;

/// Errors about what was sent, and not about us: the same thing will be refused again.
const OF_THE_MESSAGE: [&str; 9] = [
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "invalid_arguments",
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
];

impl Slack {
    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Value, Delivery> {
        self.call_as(&self.configured.token, method, body).await
    }

    pub(super) async fn call_as(
        &self,
        token: &SecretRef,
        method: &str,
        body: &Value,
    ) -> Result<Value, Delivery> {
        let token = token.read().map_err(|e| Delivery::unreachable(e.to_string()))?;
        let url = format!("{}/{method}", self.configured.api);
        let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
        let answer =
            self.poster.post(Letter { url: &url, headers, body: body.to_string().into_bytes() }).await?;
        match answer.judged() {
            Delivery::Done => {}
            // A 400 without a word is Slack's or a proxy's trouble, and says nothing about the message.
            Delivery::Refused(says) => return Err(Delivery::Failed { says, after: None, answered: true }),
            failed => return Err(failed),
        }
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if value["ok"] == true {
            return Ok(value);
        }
        let error = plain(value["error"].as_str().unwrap_or("an answer that is not Slack's"));
        let says = format!("{method}: {error}");
        match error.as_str() {
            error if OF_THE_MESSAGE.contains(&error) => Err(Delivery::Refused(says)),
            "ratelimited" | "rate_limited" => Err(Delivery::Failed {
                says,
                after: Some(answer.after.unwrap_or(Span::secs(5))),
                answered: true,
            }),
            _ => Err(Delivery::Failed { says, after: None, answered: true }),
        }
    }
}
