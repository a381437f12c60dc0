//! Verbs that work on this machine: the server itself, and what reads or writes the data directory without
//! it.

use super::{Exit, Fault};
use crate::config::{self, Config};
use crate::document::{Problem, Severity};
use crate::kernel::port::World as _;
use crate::store::{self, Holder, StoreError};
use crate::units::counted;
use crate::worker;
use clap::Args;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
    /// Ed25519 key (PEM) that signs checkpoints of the journal; made when it is not there [default: DIR/checkpoint.key]
    #[arg(long, value_name = "FILE")]
    pub checkpoint_key: Option<PathBuf>,
    /// Where checkpoints are written [default: DIR/checkpoints.jsonl]
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct TokenCreateArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    /// A person of the configuration: the token may what they may
    #[arg(long, value_name = "NAME", required_unless_present = "role")]
    pub person: Option<String>,
    /// source, viewer, approver, operator, incident-lead or admin; of a person's roles, only this one
    #[arg(long, value_parser = role)]
    pub role: Option<crate::kernel::domain::Role>,
    /// Without --person: whose it is, as the record shall have it; for role source the source's name
    #[arg(long, conflicts_with = "person")]
    pub name: Option<String>,
    /// For how long it is good, like 90d or 12h; without it until it is revoked
    #[arg(long, value_name = "TIME", value_parser = super::options::span)]
    pub expires: Option<crate::kernel::domain::Span>,
}

fn role(text: &str) -> Result<crate::kernel::domain::Role, String> {
    use crate::kernel::domain::Role;
    let names: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    Role::parse(text).ok_or_else(|| format!("the roles are {}", names.join(", ")))
}

/// Serves until it is told to stop. Logs go to stderr, as text or, when it is no terminal, as JSON lines.
pub async fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    logs();
    let (config, config_text) = match &args.config {
        None => (Config::default(), String::new()),
        Some(path) => match read_config(path)? {
            (Some(config), text, problems) => {
                problems.iter().for_each(|p| tracing::warn!("{p}"));
                (config, text)
            }
            (None, _, problems) => return Err(invalid(path, &problems).into()),
        },
    };
    let options = worker::ServeOptions {
        config,
        config_text,
        data: args.data.clone(),
        playbooks: args.playbooks.clone(),
        listen: args.listen,
        checkpoints: store::CheckpointFiles {
            key: args.checkpoint_key.clone(),
            file: args.checkpoints.clone(),
        },
    };
    worker::serve(options).await.map_err(in_parts)?;
    Ok(Exit::Done.into())
}

fn logs() {
    use std::io::IsTerminal as _;
    use tracing_subscriber::EnvFilter;
    let wanted = crate::config::env("POINTSMAN_LOG").unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::io::stderr().is_terminal() {
        true => base.init(),
        false => base.json().init(),
    }
}

pub(super) type ReadConfig = (Option<Config>, String, Vec<Problem>);

pub(super) fn read_config(path: &Path) -> anyhow::Result<ReadConfig> {
    let text = crate::document::read_file(path).map_err(|e| {
        Fault::new(Exit::Invalid, "PM1200", format!("{} cannot be read: {e}", path.display()))
            .state("nothing was started")
            .remedy("name the configuration with --config, or leave it out to serve without targets")
    })?;
    let (config, problems) = config::parse(&text, &path.display().to_string());
    Ok((config, text, problems))
}

pub(super) fn invalid(path: &Path, problems: &[Problem]) -> Fault {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let count = problems.iter().filter(|p| p.severity == Severity::Error).count();
    let first = problems.first().map_or("PM1201", |p| p.code);
    let count = counted(count, "error");
    Fault::new(Exit::Invalid, first, format!("{} has {count}\n{}", path.display(), all.join("\n")))
        .state("nothing was started")
        .remedy("mend the lines named above; `pointsman check --config FILE` shows them without starting")
}

/// Errors of the store have four parts of their own; they keep their code and get the exit code that fits.
pub(super) fn in_parts(error: anyhow::Error) -> anyhow::Error {
    let Some(store) = error.downcast_ref::<StoreError>() else { return error };
    let exit = match store.code {
        store::code::IN_USE => Exit::Conflict,
        store::code::NO_TOKEN => Exit::NoSuchThing,
        _ => Exit::NotTalked,
    };
    Fault::new(exit, store.code, &store.what).state(&store.state).remedy(&store.next).into()
}

/// The token alone on stdout.
pub async fn token_create(args: &TokenCreateArgs) -> anyhow::Result<ExitCode> {
    let holder = match (&args.person, args.role) {
        (Some(person), only) => Holder::Person { name: person.as_str().into(), only },
        (None, Some(role)) => {
            Holder::Named { name: args.name.as_deref().unwrap_or(role.as_str()).into(), role }
        }
        (None, None) => anyhow::bail!("a token is of a person or has a role"),
    };
    let now = worker::SystemWorld::new().now();
    let token = store::create_token(&args.data, holder, args.expires.map(|span| now + span), now)
        .await
        .map_err(|e| in_parts(e.into()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", token.expose())?;
    Ok(Exit::Done.into())
}
