//! What the readers of JSON bodies share: which fault is the way's, which the sender's, and how much of it is quoted.

use super::IntakeError;
use serde_json::error::Category;

/// Tells broken JSON from JSON of another shape: the first is a fault on the way, the second a body that is not for here.
pub(super) fn faulty(error: &serde_json::Error, shape: impl FnOnce(String) -> IntakeError) -> IntakeError {
    match error.classify() {
        Category::Data => shape(told(error)),
        Category::Io | Category::Syntax | Category::Eof => IntakeError::NotJson { why: told(error) },
    }
}

/// The message may quote a value of any length; the place is what helps.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.char_indices().nth(200) {
        None => text,
        Some((end, _)) => format!("{}… at line {} column {}", &text[..end], error.line(), error.column()),
    }
}

/// Enough of a strange value to recognise it.
pub(super) fn brief(text: &str, letters: usize) -> String {
    text.chars().take(letters).collect()
}
