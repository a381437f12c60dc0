//! What the demo's output looks like: aligned, one line for each event, colours only on a terminal that wants
//! them. Readable at three in the morning.

use std::io::IsTerminal;

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
}

#[derive(Clone, Copy, Debug)]
pub struct Screen {
    colour: bool,
    width: usize,
}

/// Seconds, a blank, the label, a blank: where the words of an event begin.
const INDENT: usize = 22;
const WIDTH: usize = 110;

impl Screen {
    pub fn of_terminal() -> Screen {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen { colour: wanted && !dumb && std::io::stdout().is_terminal(), width: WIDTH }
    }

    pub fn plain(&self, words: &str) {
        println!("{words}");
    }

    pub fn gap(&self) {
        println!();
    }

    pub fn heading(&self, words: &str) {
        println!("\n{}", self.paint("1", words));
    }

    /// `  name      words`
    pub fn row(&self, name: &str, words: &str) {
        let mut lines = words.lines().flat_map(|line| wrap(line, self.width - 14));
        println!("  {name:<11} {}", lines.next().unwrap_or_default());
        for line in lines {
            println!("{:14}{line}", "");
        }
    }

    /// One event: seconds since the kill, what it is, what happened.
    pub fn event(&self, seconds: f64, label: &str, words: &str, tone: Tone) {
        let code = match tone {
            Tone::Plain => "36",
            Tone::Good => "32",
            Tone::Bad => "31;1",
            Tone::Warn => "33",
        };
        let label = self.paint(code, &format!("{label:<8}"));
        let mut lines = wrap(words, self.width - INDENT).into_iter();
        println!("{seconds:>+9.3} s  {label}  {}", lines.next().unwrap_or_default());
        for line in lines {
            println!("{:INDENT$}{line}", "");
        }
    }

    pub fn paint(&self, code: &str, words: &str) -> String {
        if self.colour { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }
}

/// Breaks at blanks; runs of blanks, which align columns, stay as they are.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = words.trim_end();
    while rest.chars().count() > width {
        let limit = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let cut = rest[..limit].rfind(' ').filter(|at| *at > 0).unwrap_or(limit);
        lines.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a   b", 9), ["a   b"]);
        assert_eq!(wrap("", 9), [""]);
        assert_eq!(wrap("größer als größer", 7), ["größer", "als", "größer"]);
    }
}
