//! Limits of automation at the real server: freezes, cooldowns, budgets, the storm breaker, windows, locks. The services
//! are files that a local command makes; what guards ask, and Alertmanager, is answered on loopback.

mod budgets;
mod freezes;
mod locks;
mod rules;
mod screens;
pub mod yard;
