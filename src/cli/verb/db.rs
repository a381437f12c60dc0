//! `pointsman db`: a consistent copy, SQLite's own look at its pages, and records that go by age. Beside a running server or
//! without one.

use super::retain::{self, RetainArgs};
use crate::cli::local::in_parts;
use crate::cli::options::Global;
use crate::cli::{Exit, Talk};
use crate::store;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
pub struct DbArgs {
    #[command(subcommand)]
    pub verb: DbVerb,
}

#[derive(Clone, Debug, Subcommand)]
pub enum DbVerb {
    /// Copy the journal, consistent also while the server writes
    Backup {
        #[arg(long, value_name = "DIR", default_value = ".")]
        data: PathBuf,
        /// A directory without a journal
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Check pages, indexes and constraints; leaves with 22 when the file is damaged
    Check {
        #[arg(long, value_name = "DIR", default_value = ".")]
        data: PathBuf,
    },
    /// Let records go that are older than an age and count no more; the rest verifies as before
    Retain(RetainArgs),
}

pub async fn run(args: &DbArgs, global: &Global, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    match &args.verb {
        DbVerb::Backup { data, to } => {
            let position = store::backup(data, to).await.map_err(|e| in_parts(e.into()))?;
            match talk.wants_json() {
                true => talk
                    .document(&json!({ "schema": "pointsman.backup/v1", "to": to, "position": position }))?,
                false => talk.print(&format!("copied up to position {position} into {}", to.display()))?,
            }
            Ok(Exit::Done.into())
        }
        DbVerb::Retain(args) => Ok(retain::run(args, global, talk).await?.into()),
        DbVerb::Check { data } => {
            let check = store::check_database(data).await.map_err(|e| in_parts(e.into()))?;
            let error = check.error(data);
            match (talk.wants_json(), &error) {
                (true, _) => talk
                    .document(&json!({ "schema": "pointsman.db-check/v1", "ok": error.is_none(),
                    "problems": check.problems }))?,
                (false, Some(error)) => {
                    talk.print(&error.to_string())?;
                    check.problems.iter().try_for_each(|line| talk.print(line))?;
                }
                (false, None) => {
                    talk.print("the database is sound; `pointsman audit verify` checks the records")?
                }
            }
            Ok(if error.is_none() { Exit::Done } else { Exit::DoesNotVerify }.into())
        }
    }
}
