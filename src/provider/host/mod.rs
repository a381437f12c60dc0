//! Machines: commands and files, over SSH with a forced command or on this machine. The registry calls [`bind`].

mod child;
mod command;
mod connection;
mod env_file;
mod local;
mod pipes;
mod port;
mod render;
mod ssh;
mod wire;

pub use port::{FileRead, FileWritten, Host, MAX_FILE, Port, Ran, Tail};
pub use wire::Wire;

use super::Ports;
use super::params::Params;
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::Bound;
use std::sync::Arc;

/// `command.run` or `file.render`, with all problems of their parameters at once.
pub fn bind(spec: &Spec, config: &Config, ports: &Ports) -> Result<Bound, Vec<String>> {
    let port = Arc::clone(&ports.host);
    match spec.kind.as_str() {
        "command.run" => Ok(Bound::Action(Box::new(command::read(spec, config, port)?))),
        "file.render" => Ok(Bound::Action(Box::new(render::read(spec, config, port)?))),
        other => Err(vec![format!("{other} is no action on a host")]),
    }
}

/// The configured machine, or the problem that there is none.
fn find(spec: &Spec, config: &Config, params: &mut Params<'_>) -> Option<Host> {
    let Some(target) = config.host(&spec.target) else {
        params.problem("there is no target of kind host with this name");
        return None;
    };
    match (&target.ssh, target.local) {
        (Some(_), true) => params.problem("its target has both `ssh` and `local`; it needs one of them"),
        (None, false) => params.problem("its target has neither `ssh` nor `local = true`"),
        (Some(address), false) if address.starts_with('-') => params.problem("its `ssh` begins with a dash"),
        _ => {}
    }
    Some(Host { name: spec.target.clone(), target: target.clone() })
}

/// Words that no shell and no forced command can take for anything else.
fn is_plain(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._/:=@+-".contains(&b);
    !text.is_empty()
        && text.len() <= 256
        && !text.starts_with('-')
        && text.split(' ').all(|word| !word.is_empty() && word.bytes().all(good))
}
