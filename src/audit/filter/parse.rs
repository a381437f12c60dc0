//! Text to filter. Bounded, total, and every mistake says what is known.

use super::{Filter, Pattern, Piece, Term, Text, Word, time};
use crate::kernel::domain::Position;

/// Longest filter, in bytes.
pub const LONGEST: usize = 2_048;
/// Most conditions of one filter.
pub const MOST: usize = 32;
/// Most stars of one value: each may cost a walk over the value.
const STARS: usize = 4;

/// A filter that cannot be taken, with what could be written instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{says}")]
pub struct FilterError {
    pub says: String,
}

fn error<T>(says: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError { says: says.into() })
}

const KNOWN: &str =
    "playbook: run: service: actor: via: action: object: target: result: source: since: until: seq:";

pub fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.len() > LONGEST {
        return error(format!("the filter has {} bytes; at most {LONGEST} are taken", text.len()));
    }
    if let Some(c) = text.chars().find(|c| c.is_control() && !c.is_whitespace()) {
        return error(format!("the filter holds the control character {c:?}"));
    }
    let mut filter = Filter::default();
    let mut rest = text.trim_start();
    let mut count = 0;
    while !rest.is_empty() {
        count += 1;
        if count > MOST {
            return error(format!("the filter has more than {MOST} conditions"));
        }
        let (condition, after) = condition(rest)?;
        add(&mut filter, condition)?;
        rest = after.trim_start();
    }
    Ok(filter)
}

/// One condition as written: `-word:value` or `-value`.
struct Condition {
    excluded: bool,
    word: Option<String>,
    pieces: Vec<Piece>,
}

fn condition(text: &str) -> Result<(Condition, &str), FilterError> {
    let (excluded, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let letters = text.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(text.len());
    let (word, text) = match text[letters..].strip_prefix(':') {
        Some(value) if letters > 0 => (Some(text[..letters].to_ascii_lowercase()), value),
        Some(_) | None => (None, text),
    };
    let (pieces, rest) = pieces(text)?;
    if pieces.is_empty() {
        return match word {
            Some(word) => error(format!("{word}: has no value; nothing between \"\" is no value either")),
            None => error("a - or \"\" stands alone; write what it excludes or searches for"),
        };
    }
    Ok((Condition { excluded, word, pieces }, rest))
}

/// Up to the next white space outside quotes. Neighbours of one kind become one.
fn pieces(text: &str) -> Result<(Vec<Piece>, &str), FilterError> {
    let mut pieces: Vec<Piece> = vec![];
    let mut chars = text.char_indices();
    let mut quoted = false;
    while let Some((at, c)) = chars.next() {
        let letter = match (quoted, c) {
            (false, c) if c.is_whitespace() => return Ok((pieces, &text[at..])),
            (_, '"') => {
                quoted = !quoted;
                continue;
            }
            (false, '*') => {
                if pieces.last() != Some(&Piece::Anything) {
                    pieces.push(Piece::Anything);
                }
                continue;
            }
            (true, '\\') => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => c,
                _ => return error("inside quotes a \\ is followed by \\ or by \""),
            },
            (_, c) => c,
        };
        match pieces.last_mut() {
            Some(Piece::Exactly(text)) => text.push(letter),
            Some(Piece::Anything) | None => pieces.push(Piece::Exactly(letter.to_string())),
        }
    }
    match quoted {
        true => error("a quote is opened and not closed"),
        false => Ok((pieces, "")),
    }
}

fn add(filter: &mut Filter, condition: Condition) -> Result<(), FilterError> {
    let Condition { excluded, word, pieces } = condition;
    let Some(name) = word else {
        filter.texts.push(free(excluded, pieces)?);
        return Ok(());
    };
    if let Some(word) = Word::parse(&name) {
        if pieces.iter().filter(|p| **p == Piece::Anything).count() > STARS {
            return error(format!("{name}: has more than {STARS} stars"));
        }
        let pattern = Pattern(pieces.into_iter().map(|piece| as_kept(word, piece)).collect());
        filter.terms.push(Term { word, pattern, excluded });
        return Ok(());
    }
    if !matches!(name.as_str(), "since" | "until" | "seq") {
        return error(format!(
            "{name}: is not a word of the filter; known are {KNOWN} To search for it as text, put it in quotes"
        ));
    }
    let value = match pieces.as_slice() {
        [Piece::Exactly(value)] => value.as_str(),
        _ => return error(format!("{name}: takes no *")),
    };
    if excluded {
        return error(format!("{name}: cannot be excluded with -; turn its value round"));
    }
    let taken = match name.as_str() {
        "seq" => filter.seq.replace(range(value)?).is_some(),
        name => {
            let when = time::read(value).map_err(|says| FilterError { says: format!("{name}: {says}") })?;
            let place = if name == "since" { &mut filter.since } else { &mut filter.until };
            place.replace(when).is_some()
        }
    };
    if taken { error(format!("{name}: is given twice")) } else { Ok(()) }
}

/// Names of runs are said aloud; they are kept in capitals.
fn as_kept(word: Word, piece: Piece) -> Piece {
    match (word, piece) {
        (Word::Run, Piece::Exactly(text)) => Piece::Exactly(text.to_ascii_uppercase()),
        (_, piece) => piece,
    }
}

fn free(excluded: bool, mut pieces: Vec<Piece>) -> Result<Text, FilterError> {
    let prefix = pieces.len() > 1 && pieces.last() == Some(&Piece::Anything);
    if prefix {
        pieces.pop();
    }
    match pieces.as_slice() {
        [Piece::Exactly(phrase)] if phrase.chars().any(char::is_alphanumeric) => {
            Ok(Text { phrase: phrase.clone(), prefix, excluded })
        }
        [Piece::Exactly(phrase)] => error(format!("{phrase:?} has no letter and no digit to search for")),
        _ => error("in text without a name a * stands at the end only"),
    }
}

/// `7`, `7-9`, `7-`, `-9`.
fn range(text: &str) -> Result<(Position, Position), FilterError> {
    let number = |text: &str, open: Position| match text {
        "" => Some(open),
        digits => digits.parse::<Position>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())),
    };
    let found = match text.split_once('-') {
        None => number(text, 0).filter(|n| *n > 0).map(|n| (n, n)),
        Some(("", "")) => None,
        Some((first, last)) => number(first, 1).zip(number(last, Position::MAX)),
    };
    match found {
        Some((first, last)) if first <= last => Ok((first, last)),
        _ => error(format!("seq: {text:?} is no range of positions; write 7, 7-9, 7- or -9")),
    }
}
