//! The REST API of real members. Questions carry no credential; an order does, and goes only to a configured address.

use super::member::{self, Answer, Source};
use super::port::{Endpoint, Order, Port};
use crate::kernel::domain::{Name, Span};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::api::{Request, excerpt};
use crate::provider::hosted::{Api, Written};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, FutureExt as _, try_join4};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

#[derive(Default)]
pub struct Wire(Api);

fn unread(says: String) -> NoAnswer {
    NoAnswer { layer: "api", says }
}

impl Wire {
    /// One document, and the second in which it was made by the member's own clock.
    async fn get(&self, base: &str, path: &str, within: Duration) -> Result<(Value, Option<u64>), NoAnswer> {
        let (method, url) = (Method::GET, format!("{base}{path}"));
        let request = Request { method, base, url, headers: vec![], body: None };
        let (answer, date) = self.0.call_for_header(request, "date", within).await;
        Ok((answer.read()?, date.as_deref().and_then(seconds)))
    }

    async fn see(&self, at: &Endpoint, member: &Name, within: Duration) -> Result<Answer, NoAnswer> {
        let base = base(at, member).map_err(unread)?;
        let get = |path: &'static str| self.get(base, path, within);
        let (node, cluster, config, history) =
            try_join4(get("/patroni"), get("/cluster"), get("/config"), get("/history")).await?;
        let (rows, paused, scheduled) = member::cluster(&cluster.0).map_err(unread)?;
        Ok(Answer {
            node: member::node(&node.0, node.1).map_err(unread)?,
            rows,
            paused,
            scheduled,
            settings: member::settings(&config.0).map_err(unread)?,
            begun: member::begun(&history.0).map_err(unread)?,
        })
    }

    async fn tell(&self, at: &Endpoint, via: &Name, order: &Order, within: Duration) -> Written {
        let mut body = json!({ "candidate": order.candidate });
        if let Some(leader) = &order.leader {
            body["leader"] = json!(leader);
        }
        match self.write(at, via, (Method::POST, order.verb.as_str()), &body, within).await {
            Ok((status, text)) => ended(status, &text),
            Err(written) => written,
        }
    }

    /// The one thing that carries a credential. `Err`: there was no whole answer.
    async fn write(
        &self,
        at: &Endpoint,
        via: &Name,
        (method, path): (Method, &str),
        body: &Value,
        within: Duration,
    ) -> Result<(u16, String), Written> {
        let not_sent = |says: String| Written::NotSent { retry: false, says };
        let base = base(at, via).map_err(not_sent)?;
        let mut headers = vec![];
        if let Some(login) = &at.conf.login {
            let password = login.password.read().map_err(|e| not_sent(e.to_string()))?;
            let pair = STANDARD.encode(format!("{}:{}", login.user, password.expose()));
            headers.push(("authorization", format!("Basic {pair}")));
        }
        let url = format!("{base}/{path}");
        let request = Request { method, base, url, headers, body: Some(body.to_string()) };
        self.0.told(request, within).await
    }
}

fn base<'a>(at: &'a Endpoint, member: &Name) -> Result<&'a str, String> {
    let found = at.conf.members.get(member);
    found.map(String::as_str).ok_or_else(|| format!("{member} is no configured member of {}", at.name))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds of the epoch.
fn seconds(date: &str) -> Option<u64> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(at.as_second()).ok()
}

/// What Patroni's words prove. It answers 200 also where another member came to lead, and 503 also where it only gave up
/// to wait.
fn ended(status: u16, text: &str) -> Written {
    let said = excerpt(text);
    match (status, promoted(text)) {
        (200, Some(name)) => Written::Done(json!({ "promoted": name, "said": said })),
        (400 | 401 | 403 | 404 | 405 | 412, _) => {
            Written::Refused { says: format!("it answered {status}: {said}") }
        }
        _ => Written::Doubt(format!("it answered {status}: {said}")),
    }
}

/// What the answer to a change of the configuration proves. 409 and 503 are also said of a store that did not answer in time:
/// it may have been written.
fn configured(status: u16, text: &str, source: Option<&Source>) -> Written {
    let said = excerpt(text);
    let told = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let now = told.as_ref().map(member::settings);
    match (status, now) {
        (200, Some(Ok(now))) if now.source.as_ref() == source => {
            Written::Done(json!({ "configuration": now.digest }))
        }
        (400 | 401 | 403 | 404 | 405, _) => {
            Written::Refused { says: format!("it answered {status}: {said}") }
        }
        (200, _) => Written::Doubt("it answered 200 with another configuration than was asked for".into()),
        _ => Written::Doubt(format!("it answered {status}: {said}")),
    }
}

/// As Patroni has it in its configuration.
pub(super) fn table(source: Option<&Source>) -> Value {
    source.map_or(Value::Null, |source| {
        let mut table = json!({ "host": source.host, "port": source.port });
        if let Some(slot) = &source.slot {
            table["primary_slot_name"] = json!(slot);
        }
        table
    })
}

/// `Successfully switched over to "n2"`, `Failed over to "n3" instead of "n2"`.
fn promoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("over to \"")?;
    rest.split_once('"').map(|(name, _)| name)
}

impl Port for Wire {
    fn look<'a>(
        &'a self,
        at: &'a Endpoint,
        member: &'a Name,
        within: Span,
    ) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        async move {
            let within = within.as_duration();
            let late = || NoAnswer { layer: "timeout", says: format!("no whole answer within {within:?}") };
            timeout(within, self.see(at, member, within)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn order<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        order: &'a Order,
        within: Span,
    ) -> BoxFuture<'a, Written> {
        async move {
            let within = within.as_duration();
            let late = || Written::Doubt(format!("no answer within {within:?}"));
            timeout(within, self.tell(at, via, order, within)).await.unwrap_or_else(|_| late())
        }
        .boxed()
    }

    fn follow<'a>(
        &'a self,
        at: &'a Endpoint,
        via: &'a Name,
        source: Option<&'a Source>,
        within: Span,
    ) -> BoxFuture<'a, Written> {
        async move {
            let within = within.as_duration();
            let body = json!({ "standby_cluster": table(source) });
            let told = self.write(at, via, (Method::PATCH, "config"), &body, within);
            match timeout(within, told).await {
                Ok(Ok((status, text))) => configured(status, &text, source),
                Ok(Err(written)) => written,
                Err(_) => Written::Doubt(format!("no answer within {within:?}")),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_configuration_is_believed_only_as_it_was_asked_for() {
        let source = Source { host: "10.0.0.2".into(), port: 5432, slot: None };
        let text = json!({ "ttl": 20, "standby_cluster": table(Some(&source)) }).to_string();
        assert!(matches!(configured(200, &text, Some(&source)), Written::Done(_)));
        assert!(matches!(configured(200, r#"{"ttl":20}"#, None), Written::Done(_)));
        for (status, text, wanted) in [
            (200, text.as_str(), None),
            (200, "{}", Some(&source)),
            (200, "no", None),
            (200, "[]", None),
            (409, "", None),
            (503, "", None),
            (302, "", None),
        ] {
            assert!(matches!(configured(status, text, wanted), Written::Doubt(_)), "{status} {text}");
        }
        assert!(matches!(configured(401, "no auth header", None), Written::Refused { .. }));
    }

    #[test]
    fn patronis_words_prove_what_they_prove_and_no_more() {
        let done = |written: Written| match written {
            Written::Done(detail) => detail["promoted"].as_str().map(str::to_owned),
            _ => None,
        };
        assert_eq!(done(ended(200, "Successfully switched over to \"n2\"")).as_deref(), Some("n2"));
        assert_eq!(done(ended(200, "Failed over to \"n3\" instead of \"n2\"")).as_deref(), Some("n3"));
        for (status, text) in [
            (200, "{}"),
            (202, "Switchover scheduled"),
            (503, "Switchover failed"),
            (503, "failed to write failover key into DCS"),
            (503, "Failover status unknown after 20 seconds; operation may still be in progress"),
            (500, ""),
            (302, "over to \"n2\""),
        ] {
            assert!(matches!(ended(status, text), Written::Doubt(_)), "{status} {text}");
        }
        for (status, text) in [(412, "leader name does not match"), (400, "<html>"), (401, "no auth header")]
        {
            assert!(matches!(ended(status, text), Written::Refused { .. }), "{status} {text}");
        }
    }
}
