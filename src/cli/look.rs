//! How things look where they are printed: colour, characters, columns, time zone. Made once from the
//! terminal and the environment; every view takes it, so that a test fixes it.

use crate::config::env;
use crate::kernel::domain::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

#[derive(Clone, Debug)]
pub struct Look {
    pub color: bool,
    /// Only ASCII goes out.
    pub ascii: bool,
    /// Aligned columns; otherwise tab-separated.
    pub aligned: bool,
    pub zone: TimeZone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Good,
    Bad,
    Asks,
    Strong,
    Quiet,
}

impl Look {
    /// Colour when on a terminal, unless the environment objects.
    pub fn of(is_terminal: bool, color: super::options::When, aligned: bool) -> Look {
        use super::options::When;
        let set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
        let objects = set("NO_COLOR") || env("TERM").is_some_and(|term| term == "dumb");
        let color = match color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && !objects,
        };
        Look { color, ascii: !locale_is_utf8(), aligned, zone: TimeZone::system() }
    }

    /// Clock time with its offset: `03:12:07 +01:00`.
    pub fn time(&self, at: Time) -> String {
        self.format(at, "%H:%M:%S %:z")
    }
    pub fn exact_time(&self, at: Time) -> String {
        self.format(at, "%H:%M:%S%.3f %:z")
    }
    pub fn date_time(&self, at: Time) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S %:z")
    }
    /// With milliseconds, for records.
    pub fn record_time(&self, at: Time) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S%.3f %:z")
    }
    fn format(&self, at: Time, how: &str) -> String {
        match Timestamp::from_microsecond(at.0) {
            Ok(stamp) => stamp.to_zoned(self.zone.clone()).strftime(how).to_string(),
            Err(_) => format!("{} µs", at.0),
        }
    }

    pub fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Good => "32",
            Paint::Bad => "1;31",
            Paint::Asks => "33",
            Paint::Strong => "1",
            Paint::Quiet => "2",
        };
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The last thing before output: what the terminal cannot show is replaced.
    pub fn encode(&self, text: &str) -> String {
        if !self.ascii {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                _ if c.is_ascii() => out.push(c),
                '→' => out.push_str("->"),
                '…' => out.push_str("..."),
                'µ' | 'μ' => out.push('u'),
                '–' | '—' | '·' => out.push('-'),
                '‘' | '’' => out.push('\''),
                '“' | '”' => out.push('"'),
                _ => out.push('?'),
            }
        }
        out
    }
}

/// RFC 3339 in UTC, for JSON.
pub fn utc(at: Time) -> Option<String> {
    Timestamp::from_microsecond(at.0).ok().map(|stamp| format!("{stamp:.6}"))
}

/// One line of printable text: what a remote said must not be able to drive the terminal.
pub fn clean(text: &str) -> String {
    harmless(text).trim().to_owned()
}

/// The same, with its indentation.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect()
}

/// Marks that make a terminal show characters in another order than they stand.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

fn locale_is_utf8() -> bool {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_cannot_drive_the_terminal() {
        assert_eq!(clean("ok\x1b[2J\r\nrm\t-rf\u{202E}"), "ok [2J  rm -rf");
    }

    #[test]
    fn ascii_terminals_get_ascii_and_times_carry_their_offset() {
        let look =
            Look { color: false, ascii: true, aligned: true, zone: TimeZone::fixed(jiff::tz::offset(1)) };
        assert_eq!(look.encode("a → b… 5 µs “é”"), "a -> b... 5 us \"?\"");
        assert_eq!(look.time(Time(1_795_000_000_000_000)), "12:06:40 +01:00");
        assert_eq!(utc(Time(1_795_000_000_250_000)).as_deref(), Some("2026-11-18T11:06:40.250000Z"));
        assert_eq!(look.paint(Paint::Bad, "no"), "no");
    }
}
