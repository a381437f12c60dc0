//! `pointsman test`: playbooks against a simulated world, offline: the cases of `*.test.yaml`, and the crash matrix of every
//! playbook with no test written.

use crate::cli::{Exit, Talk, view};
use crate::kernel::port::World as _;
use crate::trial::{self, Ask};
use crate::worker;
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// Test files, playbooks, or folders of them
    #[arg(default_value = "playbooks", value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Configuration, instead of the one that a test file names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only cases whose name holds this; no crash matrix
    #[arg(long, value_name = "WORDS")]
    pub only: Option<String>,
    /// Line by line, what was expected and what came
    #[arg(long)]
    pub diff: bool,
    /// The journal of every case
    #[arg(long)]
    pub journal: bool,
    /// Write the results for a build server, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Show what no test has seen; fail when a playbook has less than this percentage
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "0", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub coverage: Option<u32>,
    /// Leave the crash matrix out
    #[arg(long)]
    pub no_matrix: bool,
}

pub fn run(args: &TestArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let tests = trial::test_files(&args.paths).context("the test files cannot be listed")?;
    let all = worker::playbook_files(&args.paths).context("the playbooks cannot be listed")?;
    let playbooks: Vec<PathBuf> = all.into_iter().filter(|path| !tests.contains(path)).collect();
    if tests.is_empty() && playbooks.is_empty() {
        return Err(view::test::nothing(&args.paths).into());
    }
    let ask = Ask {
        tests,
        playbooks,
        config: args.config.clone(),
        only: args.only.clone(),
        matrix: !args.no_matrix,
    };
    let world = worker::SystemWorld::new();
    let begun = world.now();
    let report = trial::run(&ask);
    let took = world.now().since(begun);
    if let Some(path) = &args.junit {
        let text = view::junit::of(&report);
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let covered = args.coverage.is_none_or(|least| report.least_covered().is_none_or(|has| has >= least));
    if let Some(only) = args.only.as_deref().filter(|_| report.cases.is_empty() && report.ok()) {
        return Err(view::test::no_case(only).into());
    }
    if talk.wants_json() {
        talk.document(&view::test::document(&report, took))?;
    } else {
        let show = view::test::Show { diff: args.diff, journal: args.journal, coverage: args.coverage };
        for line in view::test::lines(&report, &show, took, &talk.look) {
            talk.print(&line)?;
        }
    }
    Ok(if report.ok() && covered { Exit::Done } else { Exit::Invalid })
}
