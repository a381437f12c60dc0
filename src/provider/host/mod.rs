//! Placeholder until its room is built.

use super::Ports;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;

pub trait Port: Send + Sync {}

pub fn bind(_spec: &Spec, _config: &Config, _ports: &Ports) -> Result<Bound, Vec<String>> {
    Err(vec![])
}
