//! A server whose one service asks people before it moves; and a browser that is only HTTP: cookies, forms, no script.

use crate::canary;
use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::pointsman;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use std::time::Duration;

pub const PEOPLE: &str = "[people.bo]\nroles = [\"approver\", \"operator\"]\ngroups = [\"oncall\"]\n\
    [people.eve]\nroles = [\"viewer\"]\ngroups = [\"oncall\"]\nservices = { s0 = [\"approver\"] }\n\
    [people.zoe]\nroles = [\"viewer\"]\n\
    [people.sal]\nroles = [\"approver\"]\ngroups = [\"sales\"]\n";

pub fn plot(approval: &str) -> Plot<'_> {
    Plot { mode: "approve", more: approval, config: PEOPLE, ..Plot::default() }
}

pub const ONE: &str = "approval: { need: 1, from: [oncall], expires: 10m }";

/// An alert came, and the run waits for approval: its id and the plan's digest.
pub async fn asked(yard: &Yard) -> (String, String) {
    yard.fire("s0").await;
    waiting(yard, 1).await
}

/// Until approval was asked for that often.
pub async fn waiting(yard: &Yard, times: usize) -> (String, String) {
    yard.until("asked", times, 40, async || yard.records("asked").await.len()).await;
    let last = yard.records("asked").await.pop().unwrap();
    let run = last["stream"].as_str().unwrap().trim_start_matches("run:").to_owned();
    let digest = last["body"]["digest"].as_str().unwrap();
    (run, digest.to_owned())
}

pub async fn run(yard: &Yard, id: &str) -> Value {
    yard.server.get(&format!("/api/v1/runs/{id}")).await.1
}

/// Nothing was decided and nothing was moved.
pub async fn still_pending(yard: &Yard, id: &str) {
    let doc = run(yard, id).await;
    assert_eq!(doc["summary"]["state"], "waits for approval", "{doc}");
    for kind in ["decided", "told", "passed", "intended", "signed_in"] {
        let found = yard.records(kind).await;
        assert!(found.is_empty(), "{kind}: {found:?}");
    }
    assert!(!yard.moved("s0"));
}

/// The part of the link that nobody guesses, as `status` has it.
pub async fn link(yard: &Yard) -> String {
    let (_, status) = yard.server.get("/api/v1/status").await;
    status["asks"][0]["link"].as_str().unwrap().to_owned()
}

pub fn person_token(yard: &Yard, person: &str) -> String {
    let data = yard.data();
    let out = pointsman(&["token", "create", "--data", data.to_str().unwrap(), "--person", person]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let token = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    canary::plant(&token);
    token
}

pub fn login_code(yard: &Yard, verb: &str, person: &str) -> Vec<String> {
    let data = yard.data();
    let out = pointsman(&["token", verb, "--data", data.to_str().unwrap(), "--person", person]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let codes: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    codes.iter().for_each(|code| canary::plant(code));
    codes
}

/// A decision by token, over the API.
pub async fn decide(yard: &Yard, token: &str, run: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/api/v1/runs/{run}/decisions", yard.server.url);
    let reply = reqwest::Client::new().post(url).bearer_auth(token).json(&body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
}

pub fn approve(digest: &str) -> Value {
    json!({ "command": "approve", "digest": digest, "reason": "the site is down" })
}

/// What came back.
pub struct Shown {
    pub status: u16,
    pub html: String,
    pub headers: reqwest::header::HeaderMap,
}

impl Shown {
    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let from = format!("name=\"{name}\" value=\"");
        let rest = self.html.split(&from).nth(1).unwrap_or_else(|| panic!("no {name}: {}", self.html));
        rest.split('"').next().unwrap().to_owned()
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Cookies and forms, and nothing else.
pub struct Browser {
    base: String,
    client: reqwest::Client,
    pub cookie: Option<String>,
}

impl Browser {
    pub fn new(yard: &Yard) -> Browser {
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(20));
        Browser { base: yard.server.url.clone(), client: client.build().unwrap(), cookie: None }
    }

    /// Another one that was given the cookie.
    pub fn with_cookie(yard: &Yard, cookie: Option<String>) -> Browser {
        Browser { cookie, ..Browser::new(yard) }
    }

    pub async fn signed_in(yard: &Yard, person: &str) -> Browser {
        let mut browser = Browser::new(yard);
        let code = login_code(yard, "login-code", person).remove(0);
        let shown = browser.sign_in(&code).await;
        assert_eq!(shown.status, 303, "{}", shown.html);
        browser
    }

    pub async fn sign_in(&mut self, code: &str) -> Shown {
        self.post("/sign-in", &[("code", code), ("next", "")]).await
    }

    pub async fn get(&mut self, path: &str) -> Shown {
        let request = self.client.get(format!("{}{path}", self.base));
        self.send(request).await
    }

    pub async fn head(&mut self, path: &str) -> Shown {
        let request = self.client.head(format!("{}{path}", self.base));
        self.send(request).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(request).await
    }

    /// The form of an approval page, as a person fills it in.
    pub async fn decide(&mut self, run: &str, page: &Shown, decision: &str, answer: &str) -> Shown {
        let (form, digest) = (page.field("form"), page.field("digest"));
        let fields = [
            ("form", form.as_str()),
            ("digest", digest.as_str()),
            ("decision", decision),
            ("answer", answer),
            ("reason", "I read it"),
        ];
        self.post(&format!("/approvals/{run}"), &fields).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Shown {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let reply = request.send().await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        if let Some(set) = headers.get("set-cookie").and_then(|value| value.to_str().ok()) {
            self.cookie = set.split(';').next().map(str::to_owned);
            let value = self
                .cookie
                .as_deref()
                .and_then(|cookie| cookie.split_once('='))
                .map_or("", |(_, value)| value);
            // Signing out sets an empty one.
            if !value.is_empty() {
                canary::plant(value);
            }
        }
        let html = reply.text().await.unwrap();
        canary::none_in("a browser", &html);
        Shown { status, headers, html }
    }
}
