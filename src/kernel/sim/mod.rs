//! Every fault at every step, in milliseconds: a virtual clock, a fuse at each boundary, and the real `drive`.
//!
//! A [`Schedule`] says where the process dies, where a reply is lost, where an append errs though it is durable.
//! [`Sim::finish`] restarts the driver as often as it dies. Scenarios live with those who know the models.

mod backend;
mod clock;
mod run;
mod schedule;

pub use backend::FaultyBackend;
pub use clock::{Leap, SimWorld};
pub use run::{End, Sim, Went};
pub use schedule::{Fuse, Schedule, Strike};
