//! Files of `KEY=value` lines, changed one value at a time: comments, order, quotes and lines that mean nothing to us
//! stay as they are. What the file's readers could understand differently is refused, not guessed.

use std::collections::BTreeMap;

/// The values that the file gives to `keys`. `Err`: all reasons why it cannot be changed safely.
pub fn values(text: &str, keys: &[&str]) -> Result<BTreeMap<String, String>, Vec<String>> {
    let mut found = BTreeMap::<String, String>::new();
    let mut problems = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        let Some(part) = Assignment::of(line) else { continue };
        if part.open {
            problems.push(format!("line {number} goes on in the next one; its end cannot be told for sure"));
        }
        if !keys.contains(&part.key) {
            continue;
        }
        if part.quote.is_none() && (part.value.contains(['#', '\'', '"', '\\', '`', '$'])) {
            problems
                .push(format!("line {number}: the value of {} may hold a comment or an escape", part.key));
        }
        if part.quote.is_some() && part.value.contains(['\\', '`', '$']) {
            problems.push(format!("line {number}: the value of {} holds an escape or a variable", part.key));
        }
        if found.insert(part.key.to_owned(), part.value.to_owned()).is_some() {
            problems.push(format!(
                "{} is set twice, again in line {number}; readers differ in which one counts",
                part.key
            ));
        }
    }
    for key in keys.iter().filter(|key| !found.contains_key(**key)) {
        problems.push(format!(
            "{key} is not set in it; add it once by hand, a misspelt key is never added silently"
        ));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// The text with each key of `set` given its new value, nothing else touched. Callers checked with [`values`].
pub fn rewrite(text: &str, set: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\n', '\r']);
        match Assignment::of(line).and_then(|part| Some((set.get(part.key)?, part))) {
            Some((new, part)) => {
                let needs = new.contains([' ', '\t', '#', ';', '&', '|', '(', ')', '<', '>', '*', '?']);
                let quote =
                    part.quote.map_or(if needs { "\"" } else { "" }, |q| if q == '"' { "\"" } else { "'" });
                out.push_str(part.head);
                out.push_str(quote);
                out.push_str(new);
                out.push_str(quote);
                out.push_str(part.rest);
                out.push_str(&whole[line.len()..]);
            }
            None => out.push_str(whole),
        }
    }
    out
}

/// What can be written as a value whatever reads the file: shell, systemd, Docker.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.contains(['\n', '\r', '\0']) {
        return Err("a value cannot hold a line break or NUL".into());
    }
    match value.chars().find(|c| "\"'\\`$".contains(*c) || c.is_control()) {
        Some(c) => Err(format!("a value cannot hold {c:?}: readers of such files treat it differently")),
        None if value.len() > 4096 => Err("a value is at most 4096 bytes long".into()),
        None => Ok(()),
    }
}

pub fn check_key(key: &str) -> Result<(), String> {
    let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if first && rest { Ok(()) } else { Err(format!("{key:?} is not a variable's name")) }
}

/// `head` + quote + `value` + quote + `rest` is the line.
struct Assignment<'a> {
    head: &'a str,
    key: &'a str,
    value: &'a str,
    quote: Option<char>,
    rest: &'a str,
    /// A quote without its end, or a backslash at the end of the line.
    open: bool,
}

impl<'a> Assignment<'a> {
    /// `None`: a comment, an empty line, or something else that is not ours.
    fn of(line: &'a str) -> Option<Assignment<'a>> {
        let trimmed = line.trim_start();
        if trimmed.starts_with(['#', ';']) {
            return None;
        }
        let (left, right) = line.split_once('=')?;
        let key = left.trim_start();
        let key = key.strip_prefix("export ").map_or(key, str::trim_start);
        check_key(key).ok()?;
        let head = &line[..line.len() - right.len()];
        let quote = right.chars().next().filter(|c| matches!(c, '"' | '\''));
        match quote {
            Some(mark) => {
                let body = &right[1..];
                let Some(end) = body.find(mark) else {
                    return Some(Assignment { head, key, value: body, quote, rest: "", open: true });
                };
                let rest = &body[end + 1..];
                let blank = rest.trim().is_empty() || rest.trim_start().starts_with('#');
                Some(Assignment { head, key, value: &body[..end], quote, rest, open: !blank })
            }
            None => {
                let value = right.trim_end();
                let open = value.ends_with('\\');
                Some(Assignment { head, key, value, quote, rest: &right[value.len()..], open })
            }
        }
    }
}

#[cfg(test)]
#[path = "env_file_tests.rs"]
mod tests;
