//! The few things done on a machine. `wire` does them by SSH or on this machine; the simulator has hosts of its own.

use crate::config::HostTarget;
use crate::kernel::domain::{Digest, Name, Span};
use futures_util::future::BoxFuture;

/// A configured machine with its name.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: Name,
    pub target: HostTarget,
}

/// The end of what a command wrote; the rest is thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub stdout: String,
    pub stderr: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ran to its end.
    Exit { code: i32, tail: Tail },
    /// It was never started; `layer` says where it stopped.
    NotStarted { layer: &'static str, says: String },
    /// It may have been started, and what became of it is not known.
    Unknown { says: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRead {
    Text(String),
    Missing,
    /// The machine answered, but this file cannot be worked on.
    Unusable {
        says: String,
    },
    Unreachable {
        layer: &'static str,
        says: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileWritten {
    /// `window`: whether the old text was compared in the same breath as the replacement, or shortly before.
    Done {
        window: &'static str,
    },
    /// The file is not what was expected; it was left alone.
    Moved {
        says: String,
    },
    Refused {
        retry: bool,
        says: String,
    },
    Unknown {
        says: String,
    },
}

pub trait Port: Send + Sync {
    /// Runs one named command. Over SSH the name is the whole command line and the other side's forced command
    /// decides what it means; on this machine it is looked up in the configuration. No shell of ours is involved.
    fn run<'a>(&'a self, host: &'a Host, command: &'a str, within: Span) -> BoxFuture<'a, Ran>;

    fn read_file<'a>(&'a self, host: &'a Host, path: &'a str, within: Span) -> BoxFuture<'a, FileRead>;

    /// Replaces the file as a whole, if its text still has the digest `expected`; mode and owner stay.
    fn write_file<'a>(
        &'a self,
        host: &'a Host,
        path: &'a str,
        expected: Digest,
        text: &'a str,
        within: Span,
    ) -> BoxFuture<'a, FileWritten>;
}

/// A larger file is not one that we rewrite.
pub const MAX_FILE: usize = 1 << 20;
