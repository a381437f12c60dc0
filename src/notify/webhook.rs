//! Any program, told by a webhook that is signed as Standard Webhooks 1.0.0 says: who receives it checks where it comes from,
//! that it is fresh, and by its id whether it came before.

use super::post::{Letter, Poster, wall_seconds};
use super::{Channel, Delivery, Notice};
use crate::config::{Address, SecretRef};
use crate::kernel::domain::Secret;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;

pub struct Webhook {
    pub url: Address,
    pub secret: SecretRef,
    pub poster: Arc<Poster>,
}

impl Channel for Webhook {
    fn deliver<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let (url, secret) = match (self.url.read(), self.secret.read()) {
                (Ok(url), Ok(secret)) => (url, secret),
                (Err(error), _) | (_, Err(error)) => return Delivery::unreachable(error.to_string()),
            };
            let body = body(notice);
            let at = wall_seconds();
            let headers = match sign(&secret, &notice.id, at, &body) {
                Ok(signature) => vec![
                    ("webhook-id", notice.id.clone()),
                    ("webhook-timestamp", at.to_string()),
                    ("webhook-signature", signature),
                ],
                Err(says) => return Delivery::unreachable(says),
            };
            let sent = self.poster.post(Letter { url: url.expose(), headers, body }).await;
            sent.map_or_else(|failed| failed, |answer| answer.judged())
        })
    }
}

fn body(notice: &Notice) -> Vec<u8> {
    let body = json!({ "type": format!("pointsman.{}", notice.topic.as_str()), "timestamp": iso(notice),
        "schema": "pointsman.notice/v1", "data": notice });
    body.to_string().into_bytes()
}

pub(super) fn iso(notice: &Notice) -> String {
    jiff::Timestamp::from_microsecond(notice.at.0).map_or_else(|_| notice.at.to_string(), |at| at.to_string())
}

/// `v1,` and the HMAC-SHA256 over id, time and the very bytes of the body.
fn sign(secret: &Secret, id: &str, at: u64, body: &[u8]) -> Result<String, String> {
    let text = secret.expose().strip_prefix("whsec_").unwrap_or(secret.expose());
    let key = STANDARD
        .decode(text)
        .ok()
        .filter(|key| (24..=64).contains(&key.len()))
        .ok_or("its secret is not one of Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes")?;
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    signing.update(format!("{id}.{at}.").as_bytes());
    signing.update(body);
    Ok(format!("v1,{}", STANDARD.encode(signing.sign())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's libraries carry in their tests.
    #[test]
    fn it_signs_as_the_specification_does() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_none_is_said_and_not_shown() {
        let says = sign(&Secret::new("hunter2"), "a", 1, b"").unwrap_err();
        assert!(says.contains("whsec_") && !says.contains("hunter2"));
    }
}
