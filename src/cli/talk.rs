//! The three ends of the process: data out, talk out, a person's answers in. Verbs write through this only,
//! so that tests read what a person would.

use super::look::{Look, utc};
use super::options::{Global, Output};
use crate::kernel::domain::Time;
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Write};

pub struct Talk {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Where a person answers; `None` when nobody can.
    pub answers: Option<Box<dyn BufRead + Send>>,
    pub output: Option<Output>,
    /// stdout is a terminal: it may be drawn over.
    pub screen: bool,
    pub look: Look,
    /// How stderr looks; it may be another kind of place than stdout.
    pub err_look: Look,
}

impl Talk {
    pub fn of_process(global: &Global) -> Talk {
        let (stdout, stderr, stdin) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
        let asks = stdin.is_terminal() && stderr.is_terminal();
        let aligned = stdout.is_terminal() || global.output == Some(Output::Table);
        Talk {
            look: Look::of(stdout.is_terminal(), global.color, aligned),
            err_look: Look::of(stderr.is_terminal(), global.color, true),
            screen: stdout.is_terminal() && global.output.is_none(),
            answers: asks.then(|| Box::new(std::io::BufReader::new(stdin)) as Box<dyn BufRead + Send>),
            out: Box::new(stdout),
            err: Box::new(stderr),
            output: global.output,
        }
    }

    #[cfg(test)]
    pub fn of_parts(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        answers: Option<Box<dyn BufRead + Send>>,
        look: Look,
    ) -> Talk {
        Talk { out, err, answers, output: None, screen: false, err_look: look.clone(), look }
    }

    /// Data.
    pub fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.write_raw(&format!("{}\n", self.look.encode(text)))
    }

    pub fn write_raw(&mut self, text: &str) -> anyhow::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Talk. When stderr is gone there is nobody to tell.
    pub fn say(&mut self, text: &str) {
        let text = self.err_look.encode(text);
        let _ = writeln!(self.err, "{text}");
    }

    /// A question, on the same line as its answer.
    pub fn prompt(&mut self, text: &str) {
        let text = self.err_look.encode(text);
        let _ = write!(self.err, "{text}");
        let _ = self.err.flush();
    }

    pub fn wants_json(&self) -> bool {
        matches!(self.output, Some(Output::Json | Output::Jsonl))
    }

    /// The server's document as it is, with times also as text.
    pub fn document(&mut self, document: &Value) -> anyhow::Result<()> {
        let mut document = document.clone();
        add_utc(&mut document);
        let text = match self.output {
            Some(Output::Jsonl) => document.to_string(),
            Some(Output::Json | Output::Csv | Output::Md | Output::Html | Output::Github | Output::Table)
            | None => serde_json::to_string_pretty(&document)?,
        };
        self.write_raw(&format!("{text}\n"))
    }
}

/// The names that hold a time, in microseconds since 1970, in the server's documents.
const TIMES: [&str; 11] = [
    "at",
    "until",
    "opened",
    "updated",
    "began",
    "ended",
    "alert_started",
    "last_safe",
    "created",
    "last_used",
    "revoked",
];

/// Adds `NAME_utc` beside each time. A record's `body` stays byte for byte what the journal holds.
fn add_utc(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let times: Vec<(String, String)> = TIMES
                .iter()
                .filter_map(|name| Some((format!("{name}_utc"), utc(Time(map.get(*name)?.as_i64()?))?)))
                .collect();
            for (_, inner) in map.iter_mut().filter(|(name, _)| *name != "body") {
                add_utc(inner);
            }
            map.extend(times.into_iter().map(|(name, text)| (name, Value::String(text))));
        }
        Value::Array(list) => list.iter_mut().for_each(add_utc),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_added_as_text_and_bodies_are_left_alone() {
        let mut doc =
            json!({"records": [{"at": 1_795_000_000_000_000_i64, "body": {"at": 5}}], "until": null});
        add_utc(&mut doc);
        let wanted = json!({"records": [{"at": 1_795_000_000_000_000_i64,
            "at_utc": "2026-11-18T11:06:40.000000Z",
            "body": {"at": 5}}], "until": null});
        assert_eq!(doc, wanted);
    }
}
