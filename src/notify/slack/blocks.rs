//! A notice in Slack's blocks. What came from elsewhere is plain text, in which nothing is a mention and nothing a link; the one
//! link is ours.

use crate::notify::Notice;
use serde_json::{Value, json};

const HEADER: usize = 150;
const SECTION: usize = 2_900;
/// Sections of one message; Slack takes 50 blocks.
const SECTIONS: usize = 8;

/// For fields that Slack reads as its markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For plain text: no sign that begins a mention anywhere, however a client reads it.
fn shown(text: &str) -> String {
    text.replace("->", "→").replace('<', "‹").replace('>', "›")
}

pub(super) fn plain_text(text: &str, most: usize) -> Value {
    let text: String = shown(text).chars().take(most).collect();
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// Without buttons.
pub fn message(notice: &Notice) -> Vec<Value> {
    let mut blocks = vec![json!({ "type": "header", "text": plain_text(&notice.title, HEADER) })];
    let mut sections: Vec<String> = vec![];
    for line in &notice.lines {
        match sections.last_mut().filter(|text| text.chars().count() + line.chars().count() < SECTION) {
            Some(text) => text.push_str(&format!("\n{line}")),
            None => sections.push(line.clone()),
        }
    }
    for text in sections.iter().take(SECTIONS) {
        blocks.push(json!({ "type": "section", "text": plain_text(text, SECTION) }));
    }
    if let Some(link) = &notice.link {
        let text = format!("<{}|Read the plan and decide>", escaped(link));
        blocks
            .push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }));
    }
    if !notice.next.is_empty() {
        blocks.push(json!({ "type": "context", "elements": [plain_text(&notice.next.join("\n"), SECTION)] }));
    }
    blocks
}

/// They carry the id of the question and nothing else; each opens a form.
pub fn buttons(ask: &str) -> Value {
    json!({ "type": "actions", "block_id": "decide", "elements": [
        { "type": "button", "action_id": "approve", "value": ask, "style": "primary", "text": plain_text("Approve …", 75) },
        { "type": "button", "action_id": "reject", "value": ask, "style": "danger", "text": plain_text("Reject …", 75) },
    ] })
}

/// The message as it was posted, and what became of it; without buttons.
pub fn with_note(body: &str, says: &str) -> Vec<Value> {
    let mut blocks: Vec<Value> = serde_json::from_str(body).unwrap_or_default();
    // Commands to decide with are of no use any more.
    blocks.retain(|block| block["type"] != "context");
    blocks.push(json!({ "type": "section", "text": plain_text(&format!("➤ {says}"), SECTION) }));
    blocks
}
