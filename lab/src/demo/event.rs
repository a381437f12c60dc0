//! What happened, from whichever eye saw it, and the short wait that puts lines of different eyes in order.

use std::time::{SystemTime, UNIX_EPOCH};

use super::screen::{Screen, Tone};

/// Microseconds since the epoch, now.
pub fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The outage: when the signal was sent, and when the last process of the server was gone.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    pub sent: i64,
    pub gone: i64,
}

impl Kill {
    pub fn seconds(&self, at: i64) -> f64 {
        (at - self.sent) as f64 / 1e6
    }
}

#[derive(Clone, Debug)]
pub struct Line {
    pub at: i64,
    pub label: &'static str,
    pub words: String,
    pub tone: Tone,
}

impl Line {
    pub fn new(at: i64, label: &'static str, words: impl Into<String>) -> Line {
        Line { at, label, words: words.into(), tone: Tone::Plain }
    }

    pub fn tone(self, tone: Tone) -> Line {
        Line { tone, ..self }
    }
}

/// Lines that wait a moment for earlier ones which another eye reports later.
#[derive(Debug, Default)]
pub struct Waiting(Vec<Line>);

const WAIT_MICROS: i64 = 800_000;

impl Waiting {
    pub fn add(&mut self, line: Line) {
        self.0.push(line);
    }

    /// Prints what is old enough, or all of it at the end.
    pub fn print(&mut self, screen: &Screen, kill: &Kill, all: bool) {
        let old = now_micros() - WAIT_MICROS;
        self.0.sort_by_key(|line| line.at);
        let ready = self.0.iter().take_while(|line| all || line.at <= old).count();
        for line in self.0.drain(..ready) {
            screen.event(kill.seconds(line.at), line.label, &line.words, line.tone);
        }
    }
}
