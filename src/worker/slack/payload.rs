//! What Slack says when somebody presses a button or sends a form in: signed, by HTTP, or over our own connection to it. Read,
//! held against workspace and app, and answered within the three seconds that Slack waits; whatever takes longer is left to
//! the clicks.

use super::{Click, Deed};
use crate::kernel::domain::Name;
use crate::notify::slack::{WHERE, WHY};
use crate::worker::App;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    team: Option<Team>,
    #[serde(default)]
    api_app_id: String,
    /// What a form may be opened with, for three seconds.
    #[serde(default)]
    trigger_id: String,
    container: Option<Container>,
    #[serde(default)]
    actions: Vec<Action>,
    view: Option<View>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    /// Of a guest from another workspace: theirs.
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    value: String,
}

/// A form that was sent in.
#[derive(Deserialize)]
struct View {
    #[serde(default)]
    private_metadata: String,
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
struct State {
    /// By block, then by element.
    #[serde(default)]
    values: BTreeMap<String, BTreeMap<String, Input>>,
}

#[derive(Deserialize)]
struct Input {
    value: Option<String>,
    selected_option: Option<Chosen>,
}

#[derive(Deserialize)]
struct Chosen {
    value: String,
}

impl View {
    fn said(&self, block: &str) -> String {
        let input = self.state.values.get(block).and_then(|elements| elements.values().next());
        let said = input
            .and_then(|i| i.selected_option.as_ref().map(|c| c.value.clone()).or_else(|| i.value.clone()));
        said.unwrap_or_default().trim().to_owned()
    }
}

/// What is answered at once.
#[derive(Debug)]
pub enum Heard {
    Taken,
    /// What is wrong with the form, field by field; it stays open.
    Wrong(Value),
    TooMany,
    NotOurs(String),
    Unreadable(String),
}

impl App {
    /// `vouched`: the channels whose signature or connection it came with.
    pub async fn hear_slack(&self, vouched: &[Name], payload: &str) -> Heard {
        let payload: Payload = match serde_json::from_str(payload) {
            Ok(payload) => payload,
            Err(error) => return Heard::Unreadable(error.to_string()),
        };
        let team = payload.team.as_ref().map(|team| team.id.clone()).unwrap_or_default();
        let guest = payload.user.team_id.as_ref().is_some_and(|of| *of != team);
        let mut ours = self.config.slacks().filter(|(name, _, _)| vouched.contains(name));
        let ours = ours.find(|(_, _, slack)| slack.team == team && slack.app == payload.api_app_id);
        let Some((channel, _, _)) = ours.filter(|_| !guest) else {
            return Heard::NotOurs(format!("it comes from workspace {team}, app {}", payload.api_app_id));
        };
        // A button with a link, or a form that was put away, says so too; there is nothing to do.
        let Some(deed) = deed(&payload) else { return Heard::Taken };
        if let Deed::Say { ask, yes, answer, reason, .. } = &deed {
            let wrong = self.wrong_in_form(ask, *yes, answer, reason).await;
            if !wrong.is_empty() {
                return Heard::Wrong(json!({ "response_action": "errors", "errors": wrong }));
            }
        }
        let click = Click { channel: channel.clone(), team, user: payload.user.id, deed };
        if self.clicked(click) { Heard::Taken } else { Heard::TooMany }
    }

    /// Said in the form itself, while it is open; who may decide is asked afterwards.
    async fn wrong_in_form(
        &self,
        ask: &str,
        yes: bool,
        answer: &str,
        reason: &str,
    ) -> BTreeMap<&'static str, &'static str> {
        let mut wrong = BTreeMap::new();
        if reason.is_empty() {
            wrong.insert(WHY, "Say why in a few words: it stands on the record.");
        }
        // What cannot be looked up now is said when it is dealt with.
        let posted = self.store.posted_by_ask(ask).await.ok().flatten();
        let run = match posted.filter(|_| yes) {
            Some(posted) => self.run(&posted.run).await.ok().flatten(),
            None => None,
        };
        if run.is_some_and(|run| run.spec.to.as_str() != answer) {
            wrong.insert(WHERE, "Traffic will not go there: read the plan again.");
        }
        wrong
    }
}

fn deed(payload: &Payload) -> Option<Deed> {
    match payload.kind.as_str() {
        "block_actions" => {
            let known = ["approve", "reject"];
            let action = payload.actions.iter().find(|action| known.contains(&action.action_id.as_str()))?;
            Some(Deed::Press {
                ask: action.value.clone(),
                ts: payload.container.as_ref().map(|c| c.message_ts.clone()).unwrap_or_default(),
                yes: action.action_id == "approve",
                trigger: payload.trigger_id.clone(),
            })
        }
        "view_submission" => {
            let view = payload.view.as_ref()?;
            let mut words = view.private_metadata.split(' ');
            let (word, ask, ts) = (words.next()?, words.next()?, words.next()?);
            let yes = match word {
                "approve" => true,
                "reject" => false,
                _ => return None,
            };
            let (ask, ts) = (ask.to_owned(), ts.to_owned());
            Some(Deed::Say { ask, ts, yes, answer: view.said(WHERE), reason: view.said(WHY) })
        }
        _ => None,
    }
}
