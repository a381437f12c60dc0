//! Decisions. Synchronous, total, deterministic: values in, the next acts out.
//!
//! `drive` folds records into a [`Run`] and asks [`Run::next`]; people's surfaces ask [`Run::decide`]; every
//! surface says records in the words of [`tell`]. No clock, randomness, I/O or logging in here.

mod approval;
mod back;
mod budget;
mod consent;
mod decide;
mod fold;
mod freeze;
mod gap;
mod given;
mod item;
mod linger;
mod loss;
mod measure;
mod next;
mod overrides;
mod pace;
mod planning;
mod proofs;
mod rules;
mod state;
mod steps;
mod still;
mod summary;
pub mod tell;
mod told;
mod turn;
mod watch;

pub use back::{Back, Made};
pub use decide::{Command, Refused};
pub use fold::Illegal;
pub use freeze::{Freeze, may_freeze};
pub use linger::Lingering;
pub use loss::Loss;
pub use next::{Act, Next};
pub use overrides::may_override;
pub use pace::backoff;
pub use proofs::{PROVEN_FOR, WORD_FOR};
pub use state::{Accepted, Consent, FenceWatch, Hold, ItemPhase, ItemState, Run, Said, Seen, Window};
pub use summary::{Summary, WatchLine, alerts_cached};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod undo_tests;
