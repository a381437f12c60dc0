//! The form that a button opens: where traffic will go, and why. What it carries back is the id of the question and the name of
//! the message, and no right.

use super::Slack;
use super::blocks::plain_text;
use crate::kernel::engine::Run;
use crate::notify::{Delivery, words};
use serde_json::{Value, json};

/// Blocks of the form, by which its answers and its errors are known.
pub const WHERE: &str = "where";
pub const WHY: &str = "why";
const REASON: usize = 500;
/// Longest title, and longest text of a choice.
const TITLE: usize = 24;
const CHOICE: usize = 75;

/// What was pressed.
pub struct Pressed<'a> {
    pub ask: &'a str,
    pub ts: &'a str,
    pub yes: bool,
}

impl Slack {
    /// Within three seconds of the press: then Slack opens nothing any more.
    pub async fn open_form(&self, trigger: &str, pressed: &Pressed<'_>, run: &Run) -> Result<(), Delivery> {
        let body = json!({ "trigger_id": trigger, "view": form(pressed, run) });
        self.call("views.open", &body).await.map(drop)
    }
}

fn form(pressed: &Pressed<'_>, run: &Run) -> Value {
    let spec = &run.spec;
    let (word, title) = if pressed.yes { ("approve", "Approve") } else { ("reject", "Reject") };
    let plan = run.plan.as_ref().map_or_else(|| "none".to_owned(), |plan| plan.digest.short());
    let outcome = match pressed.yes {
        true => format!(
            "{}: {} → {}. Plan {plan}; the message says what it does.",
            spec.service, spec.from, spec.to
        ),
        false => format!("{} stays at {}, and this run ends.", spec.service, spec.from),
    };
    let mut blocks = vec![json!({ "type": "section", "text": plain_text(&outcome, 1_000) })];
    if pressed.yes {
        let choice = |site: &String| json!({ "text": plain_text(site, CHOICE), "value": site });
        let sites: Vec<Value> = words::sites(&spec.from, &spec.to).iter().map(choice).collect();
        blocks.push(json!({
            "type": "input", "block_id": WHERE, "label": plain_text("Where will traffic go?", 150),
            "element": { "type": "radio_buttons", "action_id": WHERE, "options": sites },
        }));
    }
    blocks.push(json!({
        "type": "input", "block_id": WHY, "label": plain_text("Reason (it stands on the record)", 150),
        "element": { "type": "plain_text_input", "action_id": WHY, "multiline": true, "max_length": REASON },
    }));
    json!({
        "type": "modal", "callback_id": "decide", "title": plain_text(&format!("{title}?"), TITLE),
        "submit": plain_text(title, TITLE), "close": plain_text("Not now", TITLE), "blocks": blocks,
        "private_metadata": format!("{word} {} {}", pressed.ask, pressed.ts),
    })
}
