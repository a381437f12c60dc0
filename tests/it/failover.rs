//! Whole failovers: the real program, real servers, real alerts. Each test breaks something and looks at what users,
//! both databases, the zone and the journal have afterwards.

mod alerts;
mod claims;
mod comeback;
pub mod crashes;
mod demo;
mod frozen;
pub mod gate;
mod machine;
mod ordinary;
mod partition;
mod people;
mod ready;
mod refusals;
pub mod scene;
mod switchover;
mod two;
mod undone;
