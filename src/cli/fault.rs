//! An error as people read it at 3 a.m.: what failed, what state things are in, what to do, where to read.
//! Made by the client and the verbs, or read from the server's problem document; rendered once, in
//! `cli::main`.

use super::Exit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The document that the server answers with, and that `-o json` prints on stderr.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Problem {
    pub schema: String,
    pub code: String,
    pub failed: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub remedy: String,
    /// The server cannot tell whether the request took effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubt: bool,
}

pub const PROBLEM_SCHEMA: &str = "pointsman.error/v1";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {failed}")]
pub struct Fault {
    pub exit: Exit,
    pub code: String,
    pub failed: String,
    pub state: String,
    pub remedy: String,
}

impl Fault {
    pub fn new(exit: Exit, code: &str, failed: impl Into<String>) -> Fault {
        Fault {
            exit,
            code: code.to_owned(),
            failed: failed.into(),
            state: String::new(),
            remedy: String::new(),
        }
    }
    pub fn state(mut self, words: impl Into<String>) -> Fault {
        self.state = words.into();
        self
    }
    pub fn remedy(mut self, words: impl Into<String>) -> Fault {
        self.remedy = words.into();
        self
    }

    /// An error from below that nobody gave four parts: the whole chain is what failed.
    pub fn of_chain(error: &anyhow::Error) -> Fault {
        match error.downcast_ref::<Fault>() {
            Some(fault) => fault.clone(),
            None => Fault::new(Exit::NotTalked, "PM0001", format!("{error:#}"))
                .state("this command stopped; a run that was already going on at the server goes on")
                .remedy("pointsman status shows what is going on"),
        }
    }

    pub fn as_json(&self) -> Value {
        json!({
            "schema": PROBLEM_SCHEMA, "code": self.code, "failed": self.failed, "state": self.state,
            "remedy": self.remedy, "docs": self.docs(), "exit": self.exit.code(),
        })
    }

    pub fn as_text(&self) -> String {
        let mut text = format!("error[{}]: {}\n", self.code, self.failed);
        let parts = [("state", &self.state), ("remedy", &self.remedy), ("read", &self.docs())];
        for (name, words) in parts.into_iter().filter(|(_, words)| !words.is_empty()) {
            text.push_str(&format!("  {:<8}{words}\n", format!("{name}:")));
        }
        text
    }

    fn docs(&self) -> String {
        match crate::codes::find(&self.code) {
            Some(_) => format!("pointsman explain {}", self.code),
            None => String::new(),
        }
    }
}
