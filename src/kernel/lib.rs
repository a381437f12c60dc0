//! The synchronous core of Pointsman: what may happen next, and the only pen that writes it down.
//!
//! Nothing here reads a clock, a file or a socket. `engine` folds records into a run and says the next acts;
//! `drive` carries them out through `port`; `journal` is the only minter of permits. The root package
//! implements the ports; `sim` runs the real `drive` against every fault at every step.
#![forbid(unsafe_code)]

pub mod domain;
pub mod drive;
pub mod engine;
pub mod inject;
pub mod journal;
pub mod port;
pub mod sim;
