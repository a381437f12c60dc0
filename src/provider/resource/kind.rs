//! What one kind of resource adds to the common way: what is wanted, what may not be, and how people read it. Pure.

use super::port::Fields;
use crate::kernel::domain::{Effect, Fact, Settle, StepPlan, Undo};
use serde_json::Value;

pub struct Nature {
    /// Who carries the change out, and what that depends on: a control-plane or a data-plane act.
    pub plane: &'static str,
    /// The remote itself refuses a change of what is no longer as it was seen.
    pub compares: bool,
    pub settle: Settle,
}

pub trait Kind: Send + Sync {
    /// Which thing it really is.
    fn identity(&self) -> Value;
    fn nature(&self) -> Nature;
    /// The fields as they shall be, given how they are and what is known. `Err`: a refusal, or not knowing.
    fn wanted(&self, now: &Fields, evidence: &Value, given: &[Fact]) -> Result<Fields, StepPlan>;
    /// One column of the plan.
    fn show(&self, fields: &Fields) -> String;
    fn undo(&self, now: &Fields) -> Undo;
    /// How a person brings these fields about, ready to paste.
    fn by_hand(&self, fields: &Fields) -> Vec<String>;
    fn warnings(&self, now: &Fields, evidence: &Value) -> Vec<String>;
    /// Where names lead afterwards, for the rules of the instance; none: it moves no name.
    fn effects(&self, _now: &Fields, _wanted: &Fields, _evidence: &Value) -> Vec<Effect> {
        vec![]
    }
}

/// A text among the fields.
pub fn text<'a>(fields: &'a Fields, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or("unknown")
}
