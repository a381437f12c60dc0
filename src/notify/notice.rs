//! One thing to tell, made of one record; and which records are told at all. The same record gives the same notice, with
//! the same id, however often it is sent.

use crate::config::Topic;
use crate::kernel::domain::{
    Cause, Digest, FenceWatchState, Name, Outcome, Position, Record, RunId, SignIn, Stream, Time, Told, Via,
    WindowState,
};
use serde::Serialize;

/// What a notice does to a pager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// Somebody must wake up.
    Raise,
    /// Somebody has it in hand.
    Take,
    /// It is over.
    Clear,
    /// For information.
    Tell,
}

/// What a record is about, without words; cheap, for every record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matter {
    pub topic: Topic,
    pub pull: Pull,
}

/// An approval that is open once the record is written.
#[derive(Clone, Debug)]
pub struct Question {
    pub digest: Digest,
    pub service: Name,
    pub from: Name,
    pub to: Name,
    /// The playbook takes a yes by Slack.
    pub by_slack: bool,
}

/// Everything is plain text already.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// Of this record for ever: who gets it twice can tell.
    pub id: String,
    /// Where the journal has the record.
    pub position: Position,
    pub at: Time,
    #[serde(serialize_with = "as_word")]
    pub topic: Topic,
    pub pull: Pull,
    /// What a pager counts as one thing.
    pub key: String,
    /// It was in hand, and now it is raised again.
    pub again: bool,
    /// Other things that are over with it, as a pager counts them.
    #[serde(skip)]
    pub also: Vec<String>,
    /// What mail counts as one conversation.
    pub thread: String,
    pub run: Option<RunId>,
    pub service: Option<Name>,
    pub outcome: Option<Outcome>,
    pub title: String,
    pub lines: Vec<String>,
    /// Commands, ready to type.
    pub next: Vec<String>,
    /// The approval page, where people's browsers can reach it.
    pub link: Option<String>,
    #[serde(skip)]
    pub question: Option<Question>,
    /// It is what asks that question.
    #[serde(skip)]
    pub asks: bool,
}

fn as_word<S: serde::Serializer>(topic: &Topic, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(topic.as_str())
}

impl Notice {
    /// Of no record: a test of a channel, a word to one person.
    pub fn by_itself(id: String, at: Time, title: String, lines: Vec<String>) -> Notice {
        Notice {
            key: format!("pointsman/{id}"),
            thread: id.clone(),
            id,
            position: 0,
            at,
            topic: Topic::Instance,
            pull: Pull::Tell,
            again: false,
            also: vec![],
            run: None,
            service: None,
            outcome: None,
            title,
            lines,
            next: vec![],
            link: None,
            question: None,
            asks: false,
        }
    }

    pub fn pages(&self) -> bool {
        self.pull == Pull::Raise
    }

    /// As plain text: what a mail says.
    pub fn body(&self) -> String {
        let mut text = self.lines.join("\n");
        if let Some(link) = &self.link {
            text.push_str(&format!("\n\nRead and decide: {link}"));
        }
        if !self.next.is_empty() {
            text.push_str("\n\nWhat to do:\n");
            text.push_str(&self.next.iter().map(|line| format!("  {line}\n")).collect::<String>());
        }
        text.push_str(&format!(
            "\n\n-- \nPointsman, record {} at {}. Notice {}.\n",
            self.position, self.at, self.id
        ));
        text
    }
}

/// `None`: not told at all. Runs repeat what the instance said, so that it is told once.
pub fn matter(stream: &Stream, record: &Record, alert: bool) -> Option<Matter> {
    let (topic, pull) = match (stream, record) {
        (Stream::Run(_), record) => of_run(record, alert)?,
        (_, Record::Held { .. }) => (Topic::Held, Pull::Tell),
        // Whatever earlier runs raised is seen.
        (_, Record::Acknowledged { .. }) => (Topic::Decided, Pull::Clear),
        (Stream::Instance, record) => of_instance(record)?,
        (Stream::Playbook(_), Record::Loaded { active: false, .. }) => (Topic::Instance, Pull::Tell),
        (Stream::Playbook(_), Record::Readiness { .. }) => (Topic::Instance, Pull::Tell),
        // Who cannot hear an alarm has to be told that, loudly.
        (Stream::Source(_), Record::Heartbeat { silent: true, .. }) => (Topic::Instance, Pull::Raise),
        (Stream::Source(_), Record::Heartbeat { .. }) => (Topic::Instance, Pull::Clear),
        _ => return None,
    };
    Some(Matter { topic, pull })
}

fn of_run(record: &Record, alert: bool) -> Option<(Topic, Pull)> {
    Some(match record {
        Record::Opened(_) | Record::Taken { .. } | Record::Undoing { .. } => (Topic::Progress, Pull::Tell),
        Record::Asked { .. } => (Topic::Asked, Pull::Raise),
        // Everybody is told of these, also those who sleep.
        Record::Decided { solo: true, .. } => (Topic::Decided, Pull::Raise),
        Record::Decided { accept_unfenced, .. } if !accept_unfenced.is_empty() => {
            (Topic::Decided, Pull::Raise)
        }
        Record::Decided { .. } => (Topic::Decided, Pull::Take),
        Record::Told { what: Told::Resolved, .. } | Record::Passed { .. } => (Topic::Decided, Pull::Tell),
        Record::Told { by, .. } if by.via == Via::Internal => (Topic::Decided, Pull::Tell),
        Record::Told { .. } => (Topic::Decided, Pull::Take),
        Record::Held { .. } => (Topic::Held, Pull::Tell),
        Record::Parked { .. } => (Topic::Parked, Pull::Raise),
        Record::Finished { outcome, .. } => (Topic::Ended, at_end(*outcome, alert)),
        Record::FenceWatch { state, .. } => match state {
            FenceWatchState::Watching => (Topic::Watch, Pull::Tell),
            FenceWatchState::SeenWritable => (Topic::Watch, Pull::Raise),
            FenceWatchState::SeenAsStandby | FenceWatchState::Closed => (Topic::Watch, Pull::Clear),
        },
        Record::CommitWindow { state, .. } => match state {
            WindowState::Drifted => (Topic::Watch, Pull::Raise),
            WindowState::Back | WindowState::Over => (Topic::Watch, Pull::Clear),
        },
        _ => return None,
    })
}

/// Whether somebody must wake up: an alert is open, and what was to answer it did not.
fn at_end(outcome: Outcome, alert: bool) -> Pull {
    match outcome {
        Outcome::Succeeded | Outcome::Unchanged | Outcome::Cancelled => Pull::Clear,
        Outcome::Partial | Outcome::Unknown => Pull::Raise,
        Outcome::Failed | Outcome::Undone | Outcome::Refused if alert => Pull::Raise,
        Outcome::Failed | Outcome::Undone | Outcome::Refused => Pull::Clear,
    }
}

fn of_instance(record: &Record) -> Option<(Topic, Pull)> {
    Some(match record {
        Record::BreakerTripped { .. } => (Topic::Instance, Pull::Raise),
        Record::BreakerReset { .. } => (Topic::Instance, Pull::Clear),
        Record::SignedIn { how: SignIn::Recovery, .. } => (Topic::Instance, Pull::Raise),
        Record::Frozen { .. }
        | Record::Thawed { .. }
        | Record::Overridden(_)
        | Record::OverrideEnded { .. }
        | Record::Disabled(_)
        | Record::Enabled { .. }
        | Record::Started { .. }
        | Record::Sealed(_)
        | Record::Clock { .. } => (Topic::Instance, Pull::Tell),
        _ => return None,
    })
}

/// What a pager counts as one thing, inside one journal.
pub(super) fn key(stream: &Stream, record: &Record, position: Position) -> String {
    match record {
        Record::FenceWatch { target, .. } => format!("{stream}/watch/{target}"),
        Record::CommitWindow { item, .. } => {
            format!("{stream}/window/{}", item.map_or_else(String::new, |item| item.to_string()))
        }
        // Seen and closed by a person, whatever the run does.
        Record::Decided { solo, accept_unfenced, .. } if *solo || !accept_unfenced.is_empty() => {
            format!("{stream}/{position}")
        }
        Record::BreakerTripped { .. } | Record::BreakerReset { .. } => "breaker".to_owned(),
        Record::Heartbeat { .. } => format!("{stream}/heartbeat"),
        _ if matches!(stream, Stream::Run(_)) => stream.to_string(),
        _ => format!("{stream}/{position}"),
    }
}

pub fn by_alert(cause: &Cause) -> bool {
    matches!(cause, Cause::Alert { .. })
}
