//! The real binary with nothing behind it: what it says to good and bad input, and when its disk fails.

mod bad_input;
pub mod rig;
mod roads;
