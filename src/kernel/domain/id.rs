//! Names and numbers that identify things. Strings stay opaque: no part of a name is ever parsed for meaning.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Sequence number inside one stream, from 1.
pub type Seq = u64;
/// Position in the whole journal, from 1, without gaps.
pub type Position = u64;
/// Fencing number of a service; raised whenever a run is opened or taken over.
pub type Epoch = u64;
/// Index of an item (guard, step or verification) of a run, in playbook order.
pub type ItemId = u16;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);
        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

text_id!(
    /// A name written by a person: playbook, service, site, target, step, source.
    Name
);
text_id!(
    /// Short id of a run, said aloud on calls: six characters without look-alikes.
    RunId
);
text_id!(
    /// One occurrence of an alert: `source/fingerprint/number`.
    OccurrenceId
);

impl RunId {
    /// Crockford's alphabet: no I, L, O, U.
    const ALPHABET: &'static [u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// Makes an id of the low 30 bits of `random`; the caller must check that it is new.
    pub fn from_random(random: u64) -> Self {
        let letter = |i: u32| Self::ALPHABET[((random >> (i * 5)) & 31) as usize] as char;
        Self((0..6).map(letter).collect())
    }
}

/// One ordered history inside the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Stream {
    Run(RunId),
    /// Deliveries as they came; they commute, so intake names no sequence here.
    Source(Name),
    /// What triage made of a source's deliveries: occurrences and why they started nothing. One writer.
    Alerts(Name),
    Service(Name),
    Playbook(Name),
    Instance,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Run(id) => write!(f, "run:{id}"),
            Stream::Source(name) => write!(f, "source:{name}"),
            Stream::Alerts(name) => write!(f, "alerts:{name}"),
            Stream::Service(name) => write!(f, "service:{name}"),
            Stream::Playbook(name) => write!(f, "playbook:{name}"),
            Stream::Instance => f.write_str("instance"),
        }
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> String {
        stream.to_string()
    }
}

impl TryFrom<String> for Stream {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "instance" => Ok(Stream::Instance),
            Some(("run", rest)) => Ok(Stream::Run(rest.into())),
            Some(("source", rest)) => Ok(Stream::Source(rest.into())),
            Some(("alerts", rest)) => Ok(Stream::Alerts(rest.into())),
            Some(("service", rest)) => Ok(Stream::Service(rest.into())),
            Some(("playbook", rest)) => Ok(Stream::Playbook(rest.into())),
            _ => Err(format!("no such stream: {text:?}")),
        }
    }
}
