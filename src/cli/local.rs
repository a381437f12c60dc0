//! Verbs that work on this machine: the server itself, and what reads or writes the data directory without
//! it.

use super::{Exit, Fault, Output};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Configuration; without it the server knows no targets and playbooks only observe
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the journal lies
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    #[arg(long, value_name = "DIR", default_value = "playbooks")]
    pub playbooks: PathBuf,
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8420")]
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Configuration whose targets, probes and sources the playbooks name
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Playbooks, or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct TokenCreateArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    /// source, viewer, approver, operator, incident-lead or admin
    #[arg(long, value_parser = role)]
    pub role: crate::kernel::domain::Role,
    /// Whose it is: a person, or for role source the source's name
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct TokenListArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct TokenRevokeArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    /// Name of the token, as `token list` shows it
    pub name: String,
}

#[derive(Clone, Debug, Args)]
pub struct AuditVerifyArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
}

fn role(text: &str) -> Result<crate::kernel::domain::Role, String> {
    use crate::kernel::domain::Role;
    let names: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    Role::parse(text).ok_or_else(|| format!("the roles are {}", names.join(", ")))
}

pub async fn serve(_args: &ServeArgs) -> anyhow::Result<ExitCode> {
    Err(not_built("serve"))
}

pub async fn check(_args: &CheckArgs, _output: Option<Output>) -> anyhow::Result<ExitCode> {
    Err(not_built("check"))
}

pub async fn token_create(_args: &TokenCreateArgs) -> anyhow::Result<ExitCode> {
    Err(not_built("token create"))
}

pub async fn token_list(_args: &TokenListArgs, _output: Option<Output>) -> anyhow::Result<ExitCode> {
    Err(not_built("token list"))
}

pub async fn token_revoke(_args: &TokenRevokeArgs) -> anyhow::Result<ExitCode> {
    Err(not_built("token revoke"))
}

pub async fn audit_verify(_args: &AuditVerifyArgs, _output: Option<Output>) -> anyhow::Result<ExitCode> {
    Err(not_built("audit verify"))
}

fn not_built(verb: &str) -> anyhow::Error {
    Fault::new(Exit::NotTalked, "PM0001", format!("`{verb}` is not part of this build"))
        .state("nothing was done")
        .remedy("use a build that has it")
        .into()
}
