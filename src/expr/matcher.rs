//! Matchers over labels, as in Prometheus: `=`, `!=`, `=~`, `!~`, anchored; a missing label is the empty
//! text.

use crate::kernel::domain::VALUES_APART;
use regex::Regex;
use std::fmt;

#[derive(Clone, Debug)]
pub enum Matcher {
    Equal(String),
    NotEqual(String),
    Like(Box<Regex>, String),
    NotLike(Box<Regex>, String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    #[error("{0:?} is not a regular expression: {1}")]
    Regex(String, String),
    #[error("a regular expression has at most {MAX_REGEX} bytes")]
    TooLong,
    #[error("{0:?} compares severities, which only zabbix triggers have")]
    Ordered(String),
}

const MAX_REGEX: usize = 1024;
/// Compiled size; a counted repetition of a counted repetition is stopped here.
pub(super) const MAX_COMPILED: usize = 1 << 20;

impl Matcher {
    /// `prod` is equality; `!=`, `=~` and `!~` in front say otherwise, `=` in front is allowed.
    pub fn parse(text: &str) -> Result<Matcher, MatcherError> {
        if let Some(pattern) = text.strip_prefix("=~") {
            return Ok(Matcher::Like(Box::new(anchored(pattern)?), pattern.to_owned()));
        }
        if let Some(pattern) = text.strip_prefix("!~") {
            return Ok(Matcher::NotLike(Box::new(anchored(pattern)?), pattern.to_owned()));
        }
        if let Some(value) = text.strip_prefix("!=") {
            return Ok(Matcher::NotEqual(value.to_owned()));
        }
        if [">=", "<=", ">", "<"].iter().any(|op| text.starts_with(op)) {
            return Err(MatcherError::Ordered(text.to_owned()));
        }
        Ok(Matcher::Equal(text.strip_prefix('=').unwrap_or(text).to_owned()))
    }

    pub fn matches(&self, value: &str) -> bool {
        match self {
            Matcher::Equal(wanted) => value == wanted,
            Matcher::NotEqual(unwanted) => value != unwanted,
            Matcher::Like(regex, _) => regex.is_match(value),
            Matcher::NotLike(regex, _) => !regex.is_match(value),
        }
    }
    /// Of a label with several values, each on a line of its own: one of them is enough to be something, and none may be
    /// what is excluded.
    pub fn matches_any(&self, values: &str) -> bool {
        let mut each = values.split(VALUES_APART);
        match self {
            Matcher::Equal(_) | Matcher::Like(..) => each.any(|value| self.matches(value)),
            Matcher::NotEqual(_) | Matcher::NotLike(..) => each.all(|value| self.matches(value)),
        }
    }
    /// The one value it accepts, if it is an equality.
    pub fn only(&self) -> Option<&str> {
        match self {
            Matcher::Equal(value) => Some(value),
            Matcher::NotEqual(_) | Matcher::Like(..) | Matcher::NotLike(..) => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.to_string() == other.to_string()
    }
}

fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    if pattern.len() > MAX_REGEX {
        return Err(MatcherError::TooLong);
    }
    // Alone first: `a)(b` would be fine inside the group and wrong by itself.
    let wrong = |e: regex::Error| {
        let says = e.to_string();
        let last = says.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        MatcherError::Regex(pattern.to_owned(), last)
    };
    let build = |text: &str| regex::RegexBuilder::new(text).size_limit(MAX_COMPILED).nest_limit(32).build();
    build(pattern).map_err(wrong)?;
    // As in Alertmanager: the dot matches a line break as well.
    build(&format!("^(?s:{pattern})$")).map_err(wrong)
}

/// `="critical"`, `=~"critical|page"`: to be put behind the label's name.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Matcher::Equal(value) => write!(f, "={value:?}"),
            Matcher::NotEqual(value) => write!(f, "!={value:?}"),
            Matcher::Like(_, pattern) => write!(f, "=~{pattern:?}"),
            Matcher::NotLike(_, pattern) => write!(f, "!~{pattern:?}"),
        }
    }
}
