//! The filter grammar of the audit log, the same for the command line, the URL and the API.
//!
//! ```text
//! playbook:shop* since:3h -action:observed result:rejected "still accepting writes"
//! ```
//!
//! Words of one name are alternatives, different names must all hold, `-` excludes, `*` stands for anything outside
//! quotes, and what has no name is searched for in sentences and labels. A name that is not known is an error.

mod parse;
mod time;

pub use parse::{FilterError, parse};

use crate::kernel::domain::{Position, Span, Time};
use std::fmt;

/// A named column of a record, as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    Playbook,
    Run,
    Service,
    Actor,
    Via,
    Action,
    Object,
    Target,
    Result,
    Source,
}

impl Word {
    pub const ALL: [Word; 10] = [
        Word::Playbook,
        Word::Run,
        Word::Service,
        Word::Actor,
        Word::Via,
        Word::Action,
        Word::Object,
        Word::Target,
        Word::Result,
        Word::Source,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Word::Playbook => "playbook",
            Word::Run => "run",
            Word::Service => "service",
            Word::Actor => "actor",
            Word::Via => "via",
            Word::Action => "action",
            Word::Object => "object",
            Word::Target => "target",
            Word::Result => "result",
            Word::Source => "source",
        }
    }

    pub fn parse(text: &str) -> Option<Word> {
        Word::ALL.into_iter().find(|word| word.as_str() == text)
    }
}

/// One piece of a value: letters as they are, or a star.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Exactly(String),
    Anything,
}

/// A value, perhaps with stars. Neighbours are never of the same kind, and it is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub(super) Vec<Piece>);

impl Pattern {
    /// The value itself, where there is no star.
    pub fn exactly(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Exactly(text)] => Some(text),
            _ => None,
        }
    }

    /// What every value that fits begins with.
    pub fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Piece::Exactly(text)) => text,
            Some(Piece::Anything) | None => "",
        }
    }

    /// It is a beginning and a star, so that a range of values says the same.
    pub fn is_beginning(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Exactly(_), Piece::Anything])
    }

    /// Every value fits.
    pub fn is_anything(&self) -> bool {
        self.0 == [Piece::Anything]
    }

    /// For SQLite's GLOB; its own signs are taken as letters.
    pub fn as_glob(&self) -> String {
        let mut glob = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Anything => glob.push('*'),
                Piece::Exactly(text) => text.chars().for_each(|c| match c {
                    '*' | '?' | '[' => glob.extend(['[', c, ']']),
                    c => glob.push(c),
                }),
            }
        }
        glob
    }

    pub fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }
}

fn fits(pieces: &[Piece], text: &str) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Exactly(start), rest @ ..] => {
            text.strip_prefix(start.as_str()).is_some_and(|t| fits(rest, t))
        }
        [Piece::Anything, rest @ ..] => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub word: Word,
    pub pattern: Pattern,
    pub excluded: bool,
}

/// Words that stand next to each other in a sentence or a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub phrase: String,
    /// The last word may go on.
    pub prefix: bool,
    pub excluded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// That long before now.
    Ago(Span),
    At(Time),
}

impl When {
    pub fn at(self, now: Time) -> Time {
        match self {
            When::Ago(span) => now - span,
            When::At(time) => time,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub terms: Vec<Term>,
    pub texts: Vec<Text>,
    pub since: Option<When>,
    pub until: Option<When>,
    /// First and last position.
    pub seq: Option<(Position, Position)>,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Anything => f.write_str("*"),
            Piece::Exactly(text) => quote(f, text),
        })
    }
}

/// In quotes unless every character stands for itself.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '@' | '-');
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return f.write_str(text);
    }
    f.write_str("\"")?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Ago(Span(micros)) if micros % 1_000 != 0 => write!(f, "{micros}us"),
            When::Ago(span) => write!(f, "{}ms", span.as_millis()),
            When::At(at) => time::write(f, *at),
        }
    }
}

/// As it can be typed again.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let mut next = |f: &mut fmt::Formatter<'_>, excluded: bool| {
            let sign = if excluded { "-" } else { "" };
            write!(f, "{}{sign}", std::mem::replace(&mut gap, " "))
        };
        for term in &self.terms {
            next(f, term.excluded)?;
            write!(f, "{}:{}", term.word.as_str(), term.pattern)?;
        }
        for text in &self.texts {
            next(f, text.excluded)?;
            quote(f, &text.phrase)?;
            f.write_str(if text.prefix { "*" } else { "" })?;
        }
        for (name, when) in [("since", self.since), ("until", self.until)] {
            if let Some(when) = when {
                next(f, false)?;
                write!(f, "{name}:{when}")?;
            }
        }
        if let Some((first, last)) = self.seq {
            next(f, false)?;
            match last {
                Position::MAX => write!(f, "seq:{first}-")?,
                last => write!(f, "seq:{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
