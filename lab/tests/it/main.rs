//! The lab proves itself: every part is started for real and broken for real.

mod alerting;
mod checker;
mod dns;
mod ends;
mod faults;
mod hosts;
mod patroni;
mod postgres;
mod redis;
