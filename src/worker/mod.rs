//! The shell: keeps passes going, turns deliveries into runs, samples, and holds what all surfaces share.

mod ahead;
mod app;
mod bodies;
mod clocks;
mod confirm;
mod dry;
mod faults;
mod instance;
mod limits;
mod metrics;
mod occurrence;
mod playbooks;
mod refusals;
mod sampling;
mod supervise;
mod triage;
mod wakes;
mod watch;
mod world;

pub use app::{App, CommandError, OpenError};
pub use dry::{DryPlan, dry_plan};
pub use instance::{ServeOptions, serve};
pub use limits::{Sick, Tripped};
pub use metrics::Metrics;
pub use playbooks::{Loaded, Playbooks, playbook_files};
pub use wakes::Wakes;
pub use world::SystemWorld;
