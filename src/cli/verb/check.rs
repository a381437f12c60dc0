//! `pointsman check`: every problem of configuration, playbooks and test files at once, offline.

use crate::cli::options::Output;
use crate::cli::{Exit, Fault, Talk, local};
use crate::config::Config;
use crate::document::{self, Problem, Severity};
use crate::expr;
use crate::playbook;
use crate::provider::{Ports, ProviderRegistry};
use crate::units::counted;
use crate::{trial, worker};
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

/// What is only too large to be a playbook is told among the other problems.
const MOST_BYTES: usize = 64 << 20;

#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Configuration whose targets, probes and sources the playbooks name
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Leave with 3 for warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Playbooks and test files, or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
}

/// Exit 3 when there is an error, or with --strict a warning.
pub fn run(args: &CheckArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let mut problems: Vec<Problem> = vec![];
    let mut config = Config::default();
    if let Some(path) = &args.config {
        let (read, _, found) = local::read_config(path)?;
        problems.extend(found);
        config = read.unwrap_or_default();
    }
    let config = Arc::new(config);
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let tests = trial::test_files(&args.paths)?;
    let mut playbooks = worker::playbook_files(&args.paths)?;
    playbooks.retain(|file| !tests.contains(file));
    problems.extend(of_playbooks(&playbooks, &registry)?);
    for file in &tests {
        problems.extend(trial::read(&read(file)?, &file.display().to_string()).1);
    }
    show(&problems, (playbooks.len(), tests.len()), talk)?;
    let bad = document::has_errors(&problems) || (args.strict && !problems.is_empty());
    Ok(if bad { Exit::Invalid } else { Exit::Done })
}

/// In the order of the files, on all cores: no playbook's problems depend on another's.
fn of_playbooks(files: &[PathBuf], registry: &ProviderRegistry) -> anyhow::Result<Vec<Problem>> {
    let of = |file: &PathBuf| -> Result<Vec<Problem>, Fault> {
        Ok(playbook::check(&read(file)?, &file.display().to_string(), &registry.config, registry).1)
    };
    let of_some = |files: &[PathBuf]| files.iter().map(of).collect::<Result<Vec<_>, _>>();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let shares = files.chunks(files.len().div_ceil(cores).max(1));
    let found: anyhow::Result<Vec<_>> = thread::scope(|scope| {
        let begun = shares.map(|files| expr::spawn_scoped(scope, || of_some(files)));
        let begun = begun.collect::<io::Result<Vec<_>>>().context("no thread can be started")?;
        let ends = begun.into_iter().map(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic)));
        Ok(ends.collect::<Result<_, Fault>>()?)
    });
    Ok(found?.into_iter().flatten().flatten().collect())
}

fn read(file: &Path) -> Result<String, Fault> {
    let cannot = |why: String| {
        Fault::new(Exit::Invalid, "PM1200", format!("{} cannot be read: {why}", file.display()))
    };
    document::read_at_most(file, MOST_BYTES).map_err(|e| cannot(e.to_string()))
}

fn show(problems: &[Problem], (playbooks, tests): (usize, usize), talk: &mut Talk) -> anyhow::Result<()> {
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    if talk.wants_json() {
        let document = json!({ "schema": "pointsman.check/v1", "errors": errors, "warnings": warnings,
            "problems": problems });
        return talk.document(&document);
    }
    let github = talk.output == Some(Output::Github);
    for problem in problems {
        talk.print(&if github { annotation(problem) } else { problem.to_string() })?;
    }
    let files = match tests {
        0 => counted(playbooks, "playbook"),
        _ => format!("{} and {}", counted(playbooks, "playbook"), counted(tests, "test file")),
    };
    let closing = format!("{files} checked: {}, {}", counted(errors, "error"), counted(warnings, "warning"));
    if github {
        talk.say(&closing);
        return Ok(());
    }
    talk.print(&closing)
}

/// A workflow command: it puts the problem beside its line in a pull request.
fn annotation(problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let value = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
            .replace(':', "%3A")
            .replace(',', "%2C")
    };
    let hint = problem.suggestion.as_ref().map_or(String::new(), |hint| format!("\nhelp: {hint}"));
    let says =
        format!("{}{hint}", problem.says).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!(
        "::{level} file={},line={},col={},endColumn={},title={}::{says}",
        value(&problem.file),
        problem.line,
        problem.column,
        problem.column + problem.width,
        problem.code
    )
}
