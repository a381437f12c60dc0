//! Expressions and matchers: CEL behind a type of our own, `${…}` in text, and matchers as in Prometheus.
//!
//! Pure and bounded: the same text and variables give the same value, on every machine, in bounded time, or
//! an error. An error is never `false` by accident: the caller decides, and every caller fails closed. Used
//! by `playbook`.

mod bounds;
mod cel;
mod convert;
mod matcher;
mod spend;
mod template;
mod thread;

pub use self::cel::{Expr, Vars};
pub use matcher::{Matcher, MatcherError};
pub use template::{Template, TemplateError};
pub use thread::spawn_scoped;

/// Longest source of one expression.
pub const MAX_SOURCE: usize = 1024;
/// Deepest nesting of brackets.
pub const MAX_NESTING: usize = 16;
/// Deepest nesting of `all`, `exists`, `map`, `filter`, a chain of them included.
pub const MAX_LOOPS: usize = 2;
/// Most elements visited by all loops of one evaluation.
pub const MAX_STEPS: usize = 10_000;
/// Longest text or largest value that an expression may see or make, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;
/// Most bytes of texts, and elements of lists, that one evaluation puts together with `+`.
pub const MAX_JOINED: usize = 1024 * 1024;

/// Why an expression cannot be used, or gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    #[error("the expression has {0} bytes; at most {MAX_SOURCE} are allowed")]
    TooLong(usize),
    #[error("brackets are nested deeper than {MAX_NESTING}")]
    TooDeep,
    #[error("loops (all, exists, map, filter) are nested deeper than {MAX_LOOPS}")]
    TooManyLoops,
    #[error("this is not an expression: {says}")]
    Syntax {
        says: String,
        /// Byte offset inside the source.
        at: usize,
    },
    #[error("there is no function {0:?}")]
    UnknownFunction(String),
    #[error("{0}")]
    Evaluation(String),
    #[error("the expression visits more than {MAX_STEPS} elements")]
    TooManySteps,
    #[error("a value of the expression is larger than {MAX_VALUE} bytes")]
    TooLarge,
    #[error("the expression must give true or false, but it gives {0}")]
    NotABoolean(String),
    #[error("the expression took longer than it may; it counts as no value")]
    Deadline,
    #[error("no thread for the expression: {0}")]
    NoThread(String),
}

#[cfg(test)]
mod tests;
