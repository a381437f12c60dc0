//! Models of remotes behind the providers' ports: the real observe, plan and apply run against them.

pub mod hook;
pub mod postgres;
