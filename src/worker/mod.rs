//! The shell: keeps passes going, turns deliveries into runs, samples, and holds what all surfaces share.

mod ahead;
mod app;
mod asks;
mod bodies;
mod clocks;
mod confirm;
mod dry;
mod faults;
mod instance;
mod limits;
mod links;
mod looks;
mod metrics;
mod occurrence;
mod people;
mod playbooks;
mod refusals;
mod sampling;
mod supervise;
mod triage;
mod wakes;
mod watch;
mod world;

pub use app::{App, CommandError, OpenError};
pub use asks::{Ask, Wanted};
pub use dry::{DryPlan, dry_plan};
pub use instance::{ServeOptions, serve};
pub use limits::{Sick, Tripped};
pub use links::{approval_path, locates};
pub use looks::Look;
pub use metrics::Metrics;
pub use people::{Caller, SignInError};
pub use playbooks::{Loaded, Playbooks, playbook_files};
pub use wakes::Wakes;
pub use world::SystemWorld;
