//! How calls to OVHcloud are let in: a signature over method, URL, body and *their* time, or a service account's token.

use super::*;

/// A token is asked for anew this long before it ends.
const SPARE: Duration = Duration::from_secs(60);
/// How long the difference of the clocks is believed.
const DELTA: Duration = Duration::from_secs(300);

/// What is learned of each API: how far its clock is from ours, and the token that it gave. Nothing of it is shown.
#[derive(Default)]
pub struct Sessions {
    deltas: Mutex<BTreeMap<String, (Instant, i64)>>,
    tokens: Mutex<BTreeMap<String, (Instant, Secret)>>,
}

/// `$1$` and the SHA-1 of everything that must not be changed on the way.
pub(super) fn signature(secret: &Secret, consumer: &Secret, call: (&str, &str, &str), time: i64) -> String {
    let (method, url, body) = call;
    let text = [secret.expose(), consumer.expose(), method, url, body, &time.to_string()].join("+");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    format!("$1${}", hex::encode(digest.as_ref()))
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("invariant: no panic while holding the lock")
}

impl Sessions {
    pub(super) async fn headers(
        &self,
        api: &Api,
        base: &str,
        access: &OvhAccess,
        call: (&Method, &str, &str),
        within: Duration,
    ) -> Result<Vec<(&'static str, String)>, Answer> {
        match access {
            OvhAccess::Keys { application, secret: application_secret, consumer } => {
                let (application_secret, consumer) = (secret(application_secret)?, secret(consumer)?);
                let time = self.their_time(api, base, within).await?;
                let (method, url, body) = call;
                let signed = signature(&application_secret, &consumer, (method.as_str(), url, body), time);
                Ok(vec![
                    ("x-ovh-application", application.clone()),
                    ("x-ovh-consumer", consumer.expose().to_owned()),
                    ("x-ovh-timestamp", time.to_string()),
                    ("x-ovh-signature", signed),
                ])
            }
            OvhAccess::Service { client, secret: reference, token_url } => {
                let token = self.token(api, (client, token_url), &secret(reference)?, within).await?;
                Ok(vec![("authorization", format!("Bearer {}", token.expose()))])
            }
        }
    }

    /// Our clock may be off in an incident: theirs is what the signature is about.
    async fn their_time(&self, api: &Api, base: &str, within: Duration) -> Result<i64, Answer> {
        let known =
            held(&self.deltas).get(base).filter(|(at, _)| at.elapsed() < DELTA).map(|(_, delta)| *delta);
        let delta = match known {
            Some(delta) => delta,
            None => {
                let url = format!("{base}/auth/time");
                let ask = Request { method: Method::GET, base, url, headers: vec![], body: None };
                let answer = api.call(ask, within).await;
                let Answer::Good(Value::Number(theirs)) = &answer else { return Err(nothing_sent(answer)) };
                let delta = theirs.as_i64().unwrap_or_default() - our_seconds();
                held(&self.deltas).insert(base.to_owned(), (Instant::now(), delta));
                delta
            }
        };
        Ok(our_seconds() + delta)
    }

    async fn token(
        &self,
        api: &Api,
        (client, token_url): (&str, &str),
        client_secret: &Secret,
        within: Duration,
    ) -> Result<Secret, Answer> {
        let key = format!("{client} {token_url}");
        if let Some((until, token)) = held(&self.tokens).get(&key)
            && *until > Instant::now() + SPARE
        {
            return Ok(token.clone());
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", client_secret.expose()),
            ("scope", "all"),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let ask = Request {
            method: Method::POST,
            base: token_url,
            url: token_url.to_owned(),
            headers,
            body: Some(body),
        };
        let answer = api.call(ask, within).await;
        let Answer::Good(granted) = &answer else { return Err(nothing_sent(answer)) };
        let (token, seconds) = (granted["access_token"].as_str(), granted["expires_in"].as_u64());
        let (Some(token), Some(seconds)) = (token, seconds) else {
            let says = "the answer for a token holds none".to_owned();
            return Err(Answer::NotSent { retry: true, says });
        };
        let token = Secret::new(token);
        held(&self.tokens)
            .insert(key, (Instant::now() + Duration::from_secs(seconds.min(86_400)), token.clone()));
        Ok(token)
    }
}

/// Whatever became of the question for time or token: the call itself was not sent.
fn nothing_sent(answer: Answer) -> Answer {
    match answer {
        Answer::Good(_) => {
            Answer::NotSent { retry: true, says: "the answer before the call makes no sense".into() }
        }
        Answer::Doubt(says) => Answer::NotSent { retry: true, says },
        other => other,
    }
}

/// Of the wall: a signature is about seconds since 1970, and the delta mends ours.
fn our_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the provider's own guide.
    #[test]
    fn the_signature_is_theirs() {
        let secret = Secret::new("EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF");
        let consumer = Secret::new("MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1");
        let signed =
            signature(&secret, &consumer, ("GET", "https://eu.api.ovh.com/1.0/domains/", ""), 1_366_560_945);
        assert_eq!(signed, "$1$d3705e8afb27a0d2970a322b96550abfc67bb798");
    }
}
