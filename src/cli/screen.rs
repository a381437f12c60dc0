//! One run on stdout: drawn over in place on a terminal, lines as things happen elsewhere, documents for
//! programs. Used by `verb::follow`.

use super::options::Output;
use super::{Exit, Talk, view};
use crate::cli::wire::RunDoc;
use crate::kernel::domain::Time;
use serde_json::Value;
use std::process::{Command, Stdio};

pub struct Screen {
    way: Way,
    doc: Option<RunDoc>,
    document: Value,
    /// Lines that stand on the terminal and will be drawn over.
    drawn: usize,
    rows: usize,
    stale_since: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Drawn,
    Lines,
    /// Every document that differs from the one before.
    Jsonl,
    /// The last document only.
    Json,
}

/// Contact with the server is lost.
pub struct Stale<'a> {
    pub why: &'a str,
    pub at: Time,
}

impl Screen {
    pub fn new(talk: &Talk) -> Screen {
        let way = match talk.output {
            Some(Output::Json) => Way::Json,
            Some(Output::Jsonl) => Way::Jsonl,
            Some(Output::Table | Output::Csv | Output::Md | Output::Html | Output::Github) | None
                if talk.screen =>
            {
                Way::Drawn
            }
            Some(Output::Table | Output::Csv | Output::Md | Output::Html | Output::Github) | None => {
                Way::Lines
            }
        };
        let rows = if way == Way::Drawn { terminal_rows() } else { usize::MAX };
        Screen { way, doc: None, document: Value::Null, drawn: 0, rows, stale_since: None }
    }

    pub fn doc(&self) -> Option<&RunDoc> {
        self.doc.as_ref()
    }

    pub fn resized(&mut self) {
        self.rows = terminal_rows();
    }

    pub fn show(&mut self, document: &Value, doc: RunDoc, now: Time, talk: &mut Talk) -> anyhow::Result<()> {
        if self.stale_since.take().is_some() && self.way != Way::Drawn {
            talk.say("contact with the server is back");
        }
        match self.way {
            Way::Drawn => {
                let mut lines = view::run::screen(&doc, now, &talk.look, self.rows.saturating_sub(2));
                lines.push(talk.look.paint(super::look::Paint::Quiet, "Ctrl-C leaves; the run continues."));
                self.draw(&lines, talk)?;
            }
            Way::Lines => {
                if self.doc.is_none() {
                    talk.print(&view::run::head(&doc, &talk.look))?;
                }
                for line in view::run::changes(self.doc.as_ref(), &doc, now, &talk.look) {
                    talk.print(&line)?;
                }
            }
            Way::Jsonl if *document != self.document => talk.document(document)?,
            Way::Jsonl | Way::Json => {}
        }
        self.document = document.clone();
        self.doc = Some(doc);
        Ok(())
    }

    /// Says that what is shown is old. It never says that the run stopped: nobody knows.
    pub fn stale(&mut self, stale: Stale<'_>, talk: &mut Talk) -> anyhow::Result<()> {
        let first = self.stale_since.is_none();
        let since = *self.stale_since.get_or_insert(stale.at);
        let words = format!("STALE since {}: {}", talk.look.time(since), super::look::clean(stale.why));
        match (self.way, &self.doc) {
            (Way::Drawn, Some(doc)) => {
                let mut lines = view::run::screen(doc, since, &talk.look, self.rows.saturating_sub(2));
                lines.push(talk.look.paint(super::look::Paint::Bad, &words));
                self.draw(&lines, talk)
            }
            _ if first => {
                talk.say(&format!("{words}. The run may go on; contact is sought again."));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The last words on a run that is over, or that stands.
    pub fn end(&mut self, talk: &mut Talk) -> anyhow::Result<()> {
        let Some(doc) = &self.doc else { return Ok(()) };
        match self.way {
            Way::Json => return talk.document(&self.document),
            Way::Jsonl => return Ok(()),
            Way::Drawn => {
                let lines = view::run::screen(doc, doc.summary.updated, &talk.look, usize::MAX);
                self.draw(&lines, talk)?;
            }
            Way::Lines => {}
        }
        let Some(doc) = &self.doc else { return Ok(()) };
        for line in view::run::ending(doc, &talk.look) {
            talk.print(&line)?;
        }
        if doc.outcome.is_none() {
            let run = &doc.summary.run;
            talk.say(&match doc.parked {
                true => {
                    format!("Run {run} is not finished: it stands, keeps its locks, and waits for a person.")
                }
                false => format!("Run {run} only observes: nothing will be changed."),
            });
        }
        Ok(())
    }

    /// Words for leaving while the run goes on.
    pub fn left(&mut self, run: &str, deadline: bool, talk: &mut Talk) -> Exit {
        let why = if deadline { "The wait is over. " } else { "Left. " };
        let goes_on = match (&self.doc, self.stale_since) {
            (Some(_), None) => "continues",
            (None, _) | (_, Some(_)) => "continues, as far as is known",
        };
        talk.say(&format!(
            "{why}Run {run} {goes_on}.   Back: pointsman watch {run}   \
             Stop: pointsman abort {run} --reason \"...\""
        ));
        if deadline { Exit::StillRunning } else { Exit::Left }
    }

    /// Draws over what stands there. Lines are cut at the right edge, so that one line is one row.
    fn draw(&mut self, lines: &[String], talk: &mut Talk) -> anyhow::Result<()> {
        let mut frame = String::from("\x1b[?7l\r");
        if self.drawn > 0 {
            frame.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in lines {
            frame.push_str(&talk.look.encode(line));
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J\x1b[?7h");
        self.drawn = lines.len();
        talk.write_raw(&frame)
    }
}

/// Rows of the terminal; `stty` is on every machine that has one, and asking the kernel needs unsafe code.
fn terminal_rows() -> usize {
    let terminal = std::fs::File::open("/dev/tty").ok();
    let asked = terminal
        .and_then(|tty| Command::new("stty").arg("size").stdin(tty).stderr(Stdio::null()).output().ok());
    let said = asked.and_then(|out| {
        let text = String::from_utf8(out.stdout).ok()?;
        text.split_whitespace().next()?.parse::<usize>().ok()
    });
    said.filter(|rows| *rows > 0).unwrap_or(24)
}
