//! A mistake in a file, told the way a compiler tells it.

use serde::Serialize;
use std::fmt;

/// Stable codes; each has a page of its own.
pub mod code {
    pub const UNREADABLE: &str = "PM1200";
    pub const SYNTAX: &str = "PM1201";
    pub const DUPLICATE_KEY: &str = "PM1202";
    pub const UNKNOWN_KEY: &str = "PM1203";
    pub const MISSING: &str = "PM1204";
    pub const WRONG_TYPE: &str = "PM1205";
    pub const BAD_VALUE: &str = "PM1206";
    pub const NOT_YET: &str = "PM1207";
    pub const NO_ALIASES: &str = "PM1209";
    pub const UNKNOWN_NAME: &str = "PM1210";
    pub const WRONG_KIND: &str = "PM1211";
    pub const PROBE_FORM: &str = "PM1212";
    pub const ONLY_OBSERVE: &str = "PM1213";
    pub const EXPRESSION: &str = "PM1220";
    pub const UNKNOWN_VARIABLE: &str = "PM1221";
    pub const EVALUATION: &str = "PM1222";
    /// The text of an expression is wrong, whatever values it will see.
    pub(in crate::document) fn of_source(code: &str) -> bool {
        [EXPRESSION, UNKNOWN_VARIABLE].contains(&code)
    }
    pub const MATCHER: &str = "PM1224";
    pub const UNKNOWN_ACTION: &str = "PM1230";
    pub const PARAMETERS: &str = "PM1231";
    pub const UNKNOWN_STEP: &str = "PM1232";
    pub const CYCLE: &str = "PM1233";
    pub const AFTER_MISSING: &str = "PM1234";
    pub const DUPLICATE_NAME: &str = "PM1235";
    pub const NO_FENCE: &str = "PM1240";
    pub const NO_WRITE_VERIFIED: &str = "PM1241";
    pub const DNS_BEFORE_PROMOTE: &str = "PM1242";
    pub const IRREVERSIBLE_EARLY: &str = "PM1243";
    pub const VERIFY_SHORTER_THAN_TTL: &str = "PM1244";
    pub const AUTO_WITHOUT_GUARDS: &str = "PM1245";
    pub const AUTO_WITHOUT_COOLDOWN: &str = "PM1246";
    pub const MAJORITY: &str = "PM1247";
    pub const OWN_SITE: &str = "PM1248";
    pub const COMMIT_POINT: &str = "PM1249";
    pub const OPTIONAL: &str = "PM1250";
    pub const TIMES: &str = "PM1251";
    pub const SITES: &str = "PM1252";
    pub const ALIVE_REFUSES: &str = "PM1253";
    pub const NO_DRILL: &str = "PM1254";
    pub const NOT_LIVE: &str = "PM1255";
    pub const FAULT: &str = "PM1256";
    pub const NOBODY_APPROVES: &str = "PM1257";
    pub const PLANNED: &str = "PM2190";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file is used; a person should know.
    Warning,
}

/// One problem at one place. Never carries the value of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: &'static str,
    pub severity: Severity,
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Characters to underline.
    pub width: u32,
    /// The line as written, credentials blanked out.
    #[serde(skip)]
    pub excerpt: String,
}

pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{word}[{}]: {}", self.code, self.says)?;
        let gutter = " ".repeat(self.line.to_string().len());
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        if !self.excerpt.trim().is_empty() {
            let (shown, before, width) = self.window();
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{} | {shown}", self.line)?;
            writeln!(f, "{gutter} | {}{}", " ".repeat(before), "^".repeat(width))?;
        }
        if let Some(hint) = &self.suggestion {
            writeln!(f, "{gutter} = help: {hint}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// At most 100 characters of the line, the characters before the caret in it, and the caret's width.
    fn window(&self) -> (String, usize, usize) {
        const WIDE: usize = 100;
        let chars: Vec<char> = self.excerpt.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let column = (self.column as usize).saturating_sub(1).min(chars.len());
        let first = if column >= WIDE { column - WIDE / 2 } else { 0 };
        let shown: String = chars.iter().skip(first).take(WIDE).collect();
        let room = (chars.len() - column).min(WIDE - (column - first)).max(1);
        (shown.trim_end().to_owned(), column - first, (self.width as usize).clamp(1, room))
    }
}

/// A line as it may be shown: where it speaks of a credential, its value becomes stars.
pub(super) fn without_secrets(line: &str) -> String {
    const WORDS: [&str; 6] = ["password", "secret", "bearer", "token", "credential", "passwd"];
    let lower = line.to_lowercase();
    let in_url = line.find("://").is_some_and(|scheme| line[scheme..].contains('@'));
    if !in_url && !WORDS.iter().any(|word| lower.contains(word)) {
        return line.to_owned();
    }
    let value = line.find(['=', ':']).map_or(0, |i| i + 1);
    let (key, rest) = line.split_at(value);
    let blank = |c: char| if c.is_whitespace() { c } else { '*' };
    key.chars().chain(rest.chars().map(blank)).collect()
}
