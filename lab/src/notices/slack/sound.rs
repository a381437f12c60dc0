//! What Slack's documents say about blocks and forms, as far as they are used.

use serde_json::Value;

fn text(value: &Value, most: usize) -> Result<(), String> {
    let kind = value["type"].as_str().unwrap_or_default();
    let letters = value["text"].as_str().map_or(0, |text| text.chars().count());
    match ["plain_text", "mrkdwn"].contains(&kind) && (1..=most).contains(&letters) {
        true => Ok(()),
        false => Err(format!("a text of type {kind:?} and {letters} letters, at most {most}")),
    }
}

/// A form that may be opened.
pub(super) fn form(view: &Value) -> Result<(), String> {
    if view["type"] != "modal" {
        return Err("a view that is no modal".into());
    }
    for name in ["title", "submit", "close"] {
        if view[name]["type"] != "plain_text" {
            return Err(format!("{name} is plain text"));
        }
        text(&view[name], 24)?;
    }
    if view["private_metadata"].as_str().is_none_or(|data| data.len() > 3_000) {
        return Err("private_metadata is missing or too long".into());
    }
    sound(view)
}

fn input(block: &Value) -> Result<(), String> {
    text(&block["label"], 2_000)?;
    let element = &block["element"];
    let bounded =
        |name: &str, most: usize| element[name].as_str().is_some_and(|t| (1..=most).contains(&t.len()));
    if block["block_id"].as_str().is_none_or(|id| id.len() > 255) || !bounded("action_id", 255) {
        return Err("an input without block_id or action_id".into());
    }
    match element["type"].as_str().unwrap_or_default() {
        "plain_text_input" => match element["max_length"].as_u64() {
            Some(1..=3_000) | None => Ok(()),
            Some(other) => Err(format!("max_length {other}")),
        },
        "radio_buttons" => {
            let options = element["options"].as_array().cloned().unwrap_or_default();
            if !(1..=10).contains(&options.len()) {
                return Err(format!("{} options", options.len()));
            }
            options.iter().try_for_each(|option| {
                text(&option["text"], 75)?;
                let value = option["value"].as_str().unwrap_or_default();
                if (1..=150).contains(&value.len()) { Ok(()) } else { Err(format!("the value {value:?}")) }
            })
        }
        other => Err(format!("an input of type {other:?}")),
    }
}

/// Blocks of a message or of a form.
pub(super) fn sound(body: &Value) -> Result<(), String> {
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.len() > 50 {
        return Err("more than 50 blocks".into());
    }
    for block in &blocks {
        let elements = block["elements"].as_array().cloned().unwrap_or_default();
        match block["type"].as_str().unwrap_or_default() {
            "header" if block["text"]["type"] != "plain_text" => return Err("a header is plain text".into()),
            "header" => text(&block["text"], 150)?,
            "section" => text(&block["text"], 3_000)?,
            "context" => elements.iter().take(11).try_for_each(|element| text(element, 3_000))?,
            "actions" => {
                for button in &elements {
                    text(&button["text"], 75)?;
                    let long = |name: &str, most: usize| {
                        button[name].as_str().is_none_or(|t| t.is_empty() || t.len() > most)
                    };
                    if long("value", 2_000) || long("action_id", 255) {
                        return Err("a button without value or action_id".into());
                    }
                }
            }
            "input" => input(block)?,
            other => return Err(format!("a block of type {other:?}")),
        }
    }
    Ok(())
}
