//! The lab proves itself: every part is started for real and broken for real.

mod hosts;
mod postgres;
