//! Decisions. Synchronous, total, deterministic: values in, the next acts out.
//!
//! `drive` folds records into a [`Run`] and asks [`Run::next`]; people's surfaces ask [`Run::decide`]; every
//! surface says records in the words of [`tell`]. No clock, randomness, I/O or logging in here.

mod consent;
mod decide;
mod fold;
mod freeze;
mod given;
mod measure;
mod next;
mod pace;
mod planning;
mod state;
mod steps;
mod summary;
pub mod tell;

pub use decide::{Command, Refused};
pub use fold::Illegal;
pub use freeze::{Freeze, may_freeze};
pub use next::{Act, Next};
pub use pace::backoff;
pub use state::{Consent, Hold, ItemPhase, ItemState, Run, Seen};
pub use summary::{Summary, alerts_cached};

#[cfg(test)]
mod tests;
