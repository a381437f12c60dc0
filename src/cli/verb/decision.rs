//! What `approve`, `reject`, `confirm`, `retry`, `skip`, `abort` and `close` share: one decision, sent once, and
//! its reply.

use crate::cli::client::{Effect, read};
use crate::cli::wire::{DecisionDoc, RunDoc};
use crate::cli::{Client, Exit, Fault, Talk};
use crate::kernel::domain::{Digest, ItemId};
use serde_json::{Map, Value, json};

pub const NOT_DECIDED: &str = "no decision was recorded; the run is as it was";

/// The body of `POST /runs/{id}/decisions`.
pub struct Decision(Map<String, Value>);

impl Decision {
    pub fn new(command: &str, reason: &str) -> Decision {
        let body = json!({ "command": command, "accept_unfenced": [], "reason": reason });
        match body {
            Value::Object(map) => Decision(map),
            _ => Decision(Map::new()),
        }
    }
    pub fn digest(self, digest: Digest) -> Decision {
        self.with("digest", json!(digest.to_string()))
    }
    pub fn item(self, item: Option<ItemId>) -> Decision {
        match item {
            Some(item) => self.with("item", json!(item)),
            None => self,
        }
    }
    pub fn accept_unfenced(self, targets: &[String]) -> Decision {
        self.with("accept_unfenced", json!(targets))
    }
    pub fn solo(self, solo: bool) -> Decision {
        if solo { self.with("solo", json!(true)) } else { self }
    }
    fn with(mut self, name: &str, value: Value) -> Decision {
        self.0.insert(name.to_owned(), value);
        self
    }
}

pub async fn send(run: &str, decision: Decision, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let path = ["runs", run, "decisions"];
    let document = client.post(&path, &Value::Object(decision.0), Effect::Writes(NOT_DECIDED)).await?;
    tell(&document, talk)
}

/// A word about automation as a whole, and its reply.
pub async fn say(path: &[&str], body: &Value, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = client.post(path, body, Effect::Writes("nothing was changed")).await?;
    tell(&document, talk)
}

/// Ends the fence watch of an old primary.
pub async fn close_watch(
    target: &str,
    reason: &str,
    client: &Client,
    talk: &mut Talk,
) -> anyhow::Result<Exit> {
    let (path, body) = (["fence-watches", target, "close"], json!({ "reason": reason }));
    let document = client.post(&path, &body, Effect::Writes("it is watched as before")).await?;
    tell(&document, talk)
}

fn tell(document: &Value, talk: &mut Talk) -> anyhow::Result<Exit> {
    if talk.wants_json() {
        talk.document(document)?;
        return Ok(Exit::Done);
    }
    let done: DecisionDoc = read(document, "decision").map_err(|fault| Fault {
        exit: Exit::Unknown,
        state: "the server accepted the decision, and its reply cannot be read".into(),
        ..fault
    })?;
    talk.print(&format!("{} (record {})", crate::cli::look::clean(&done.says), done.position))?;
    Ok(Exit::Done)
}

pub async fn run_doc(run: &str, client: &Client) -> Result<RunDoc, Fault> {
    read(&client.get(&["runs", run], &[]).await?, "run")
}

/// The step that a person means: its number in the plan, or its name.
pub async fn item(run: &str, step: Option<&str>, client: &Client) -> Result<Option<ItemId>, Fault> {
    let Some(step) = step else { return Ok(None) };
    let doc = run_doc(run, client).await?;
    let found = doc.steps().find(|(number, item)| step == number.to_string() || step == item.name.as_str());
    match found {
        Some((_, item)) => Ok(Some(item.item)),
        None => {
            let known: Vec<String> = doc.steps().map(|(n, item)| format!("{n} {}", item.name)).collect();
            Err(Fault::new(Exit::NoSuchThing, "PM0010", format!("run {run} has no step {step:?}"))
                .state(NOT_DECIDED)
                .remedy(format!("its steps are: {}", known.join(", "))))
        }
    }
}

/// A digest as people quote it: at least its first seven characters.
pub fn digest_start(text: &str) -> Result<String, String> {
    let hex = text.chars().all(|c| c.is_ascii_hexdigit());
    match hex && (7..=64).contains(&text.len()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a digest is 7 to 64 hexadecimal characters, as the plan shows it".into()),
    }
}

/// Whether the plan on offer is the one that was named, if one was.
pub fn same_plan(offered: Digest, named: Option<&str>, not_done: &str) -> Result<(), Fault> {
    match named {
        Some(named) if !offered.to_string().starts_with(named) => Err(Fault::new(
            Exit::Conflict,
            "PM0008",
            format!("the plan is now {}, not {named}", super::super::view::quoted(offered)),
        )
        .state(not_done)
        .remedy("read the new plan; then name its digest")),
        Some(_) | None => Ok(()),
    }
}
