//! The shell: keeps passes going, turns deliveries into runs, samples, and holds what all surfaces share.

mod ahead;
mod app;
mod asks;
mod audit;
mod bodies;
mod clocks;
mod codes;
mod confirm;
mod doors;
mod dry;
mod faults;
mod heartbeat;
mod instance;
mod limits;
mod links;
mod looks;
mod metrics;
mod occurrence;
mod outbox;
mod past;
mod people;
mod playbooks;
mod ready;
mod refusals;
mod reload;
mod retain;
mod sampling;
mod scorecard;
mod slack;
mod still;
mod supervise;
mod tasks;
mod triage;
mod wakes;
mod watch;
mod watchdog;
mod world;
mod zabbix;

pub use app::{App, CommandError, OpenError};
pub use asks::{Ask, Wanted};
pub use audit::sign_head;
pub use codes::Wish;
pub use dry::{DryPlan, dry_plan};
pub use instance::{ServeOptions, serve};
pub use limits::{Sick, Tripped};
pub use links::{approval_path, locates};
pub use looks::{Look, can_compare};
pub use metrics::Metrics;
pub use outbox::{ChannelState, TestError};
pub use past::past;
pub use people::{Caller, SignInError};
pub use playbooks::{Loaded, Playbooks, playbook_files};
pub use ready::{Found, Looked};
pub use retain::{
    Counted, Cut, CutError, Cutter, Gone, Held, Kind, LEAST_AGE, Offline, Pace, Parted, Parting, RetainError,
    Retained, Terms, Unhurried, count, document as retention_document, retain_offline,
};
pub use scorecard::{Score, scorecard};
pub use slack::Heard;
pub use triage::view as alert_view;
pub use wakes::Wakes;
pub use world::SystemWorld;
