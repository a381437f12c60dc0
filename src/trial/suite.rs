//! Many test files and playbooks at once: each playbook is checked once, each case told, each playbook tried in its crash
//! matrix. What comes out is for a report; nothing is printed here.

use super::coverage::Coverage;
use super::matrix::{Matrix, matrix};
use super::model::{Case, TestFile};
use super::scene::tell;
use super::stage::{Began, Stage};
use super::verdict::{Failure, failures, last_words, sentences};
use crate::config::{self, Config};
use crate::document::{self, Problem, Sink, Source, code, has_errors};
use crate::kernel::domain::Span;
use crate::playbook::Severity;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub tests: Vec<PathBuf>,
    /// Playbooks to try in the crash matrix, also those that no test speaks of.
    pub playbooks: Vec<PathBuf>,
    /// Instead of what a test file names.
    pub config: Option<PathBuf>,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    pub matrix: bool,
}

/// One case and what came of it.
#[derive(Clone, Debug)]
pub struct CaseReport {
    pub file: String,
    pub line: u32,
    pub name: String,
    pub playbook: String,
    /// `succeeded`, `held`, … or `not carried out`.
    pub came_to: String,
    pub words: String,
    /// In virtual time, from the alert.
    pub took: Span,
    /// Line of the test file, and what was not met.
    pub failures: Vec<(u32, Failure)>,
    pub journal: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct PlaybookReport {
    pub file: String,
    pub name: String,
    pub cases: usize,
    /// `None`: no case opened a run.
    pub coverage: Option<Coverage>,
    /// `Err`: it cannot be simulated, and why.
    pub matrix: Option<Result<Vec<Matrix>, Vec<String>>>,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Of test files, playbooks and configurations.
    pub problems: Vec<Problem>,
    pub cases: Vec<CaseReport>,
    pub playbooks: Vec<PlaybookReport>,
}

impl Report {
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.failures.is_empty()).count()
    }

    pub fn lives(&self) -> usize {
        self.matrices().map(|matrix| matrix.lives).sum()
    }

    /// Playbooks whose matrix found something, or that could not be tried.
    pub fn unproven(&self) -> usize {
        let bad = |report: &&PlaybookReport| match &report.matrix {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(worlds)) => worlds.iter().any(|world| world.bad > 0),
        };
        self.playbooks.iter().filter(bad).count()
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        self.playbooks.iter().filter_map(|report| report.matrix.as_ref()?.as_ref().ok()).flatten()
    }

    /// Of the playbook that its tests know least of; none without a playbook that was tried.
    pub fn least_covered(&self) -> Option<u32> {
        self.playbooks.iter().map(|report| report.coverage.as_ref().map_or(0, Coverage::percent)).min()
    }

    pub fn ok(&self) -> bool {
        !has_errors(&self.problems) && self.failed() == 0 && self.unproven() == 0
    }
}

/// The test files among `paths`; a folder stands for those in it.
pub fn test_files(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    const MOST: usize = 1_000;
    let is_test = |path: &Path| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.ends_with(".test.yaml") || name.ends_with(".test.yml")
    };
    let mut files = vec![];
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path)?.flatten().map(|entry| entry.path());
            let mut found: Vec<PathBuf> = entries.filter(|path| is_test(path)).collect();
            found.sort();
            files.extend(found);
        } else if is_test(path) {
            files.push(path.clone());
        }
    }
    if files.len() > MOST {
        // What is left out silently would look green.
        return Err(std::io::Error::other(format!(
            "{} test files; at most {MOST} are tried at once: name some of them",
            files.len()
        )));
    }
    Ok(files)
}

#[derive(Default)]
struct Suite {
    report: Report,
    configs: BTreeMap<Option<PathBuf>, Option<Arc<Config>>>,
    /// By playbook and configuration.
    stages: Vec<(PathBuf, Option<PathBuf>, Option<Arc<Stage>>)>,
}

pub fn run(ask: &Ask) -> Report {
    let mut suite = Suite::default();
    let mut todo: Vec<(usize, Arc<Stage>, TestFile, Case)> = vec![];
    for path in &ask.tests {
        let Some(file) = suite.file(path) else { continue };
        let Some((index, stage)) = suite.stage_of(ask, path, &file) else { continue };
        let wanted = |case: &&Case| ask.only.as_ref().is_none_or(|only| case.name.contains(only.as_str()));
        let outline = TestFile { cases: vec![], ..file.clone() };
        todo.extend(
            file.cases
                .iter()
                .filter(wanted)
                .map(|case| (index, stage.clone(), outline.clone(), case.clone())),
        );
    }
    suite.cases(&todo);
    for path in &ask.playbooks {
        let known = suite.stages.iter().any(|(playbook, ..)| same_file(playbook, path));
        if !known {
            suite.stage(path, ask.config.as_deref());
        }
    }
    if ask.matrix && ask.only.is_none() {
        suite.matrices();
    }
    suite.report
}

fn same_file(a: &Path, b: &Path) -> bool {
    let full = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    full(a) == full(b)
}

impl Suite {
    fn file(&mut self, path: &Path) -> Option<TestFile> {
        let name = path.display().to_string();
        match document::read_file(path) {
            Ok(text) => {
                let (file, problems) = super::read(&text, &name);
                self.report.problems.extend(problems);
                file
            }
            Err(error) => {
                self.unreadable(&name, error);
                None
            }
        }
    }

    fn unreadable(&mut self, file: &str, error: impl std::fmt::Display) {
        let sink = Sink::new(file, "");
        sink.error(code::UNREADABLE, 0..0, format!("{file} cannot be read: {error}"));
        self.report.problems.extend(sink.finish());
    }

    fn stage_of(&mut self, ask: &Ask, path: &Path, file: &TestFile) -> Option<(usize, Arc<Stage>)> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = ask.config.clone().or_else(|| Some(folder.join(&file.config.as_ref()?.0)));
        let playbook = folder.join(&file.playbook.0);
        if !playbook.is_file() {
            let sink = Sink::new(&file.file, &file.text);
            let says = format!("there is no playbook {}", playbook.display());
            sink.error(code::UNKNOWN_NAME, file.playbook.1.clone(), says);
            self.report.problems.extend(sink.finish());
            return None;
        }
        self.stage(&playbook, config.as_deref())
    }

    /// Reads and checks a playbook once for each configuration.
    fn stage(&mut self, playbook: &Path, config: Option<&Path>) -> Option<(usize, Arc<Stage>)> {
        let same = |(known, with, _): &(PathBuf, Option<PathBuf>, _)| {
            same_file(known, playbook) && with.as_deref() == config
        };
        if let Some(index) = self.stages.iter().position(same) {
            return Some((index, self.stages[index].2.clone()?));
        }
        let read = self.config(config);
        let stage = read.and_then(|config| self.checked(playbook, config)).map(Arc::new);
        self.stages.push((playbook.to_owned(), config.map(Path::to_owned), stage.clone()));
        self.report.playbooks.push(PlaybookReport {
            file: playbook.display().to_string(),
            name: stage.as_ref().map_or_else(String::new, |stage| stage.playbook.name.to_string()),
            cases: 0,
            coverage: None,
            matrix: None,
        });
        Some((self.stages.len() - 1, stage?))
    }

    fn config(&mut self, path: Option<&Path>) -> Option<Arc<Config>> {
        let key = path.map(Path::to_owned);
        if let Some(known) = self.configs.get(&key) {
            return known.clone();
        }
        let read = match path {
            None => Some(Config::default()),
            Some(path) => match document::read_file(path) {
                Ok(text) => {
                    let (config, problems) = config::parse(&text, &path.display().to_string());
                    self.report.problems.extend(problems);
                    config
                }
                Err(error) => {
                    self.unreadable(&path.display().to_string(), error);
                    None
                }
            },
        };
        let read = read.map(Arc::new);
        self.configs.insert(key, read.clone());
        read
    }

    fn checked(&mut self, playbook: &Path, config: Arc<Config>) -> Option<Stage> {
        let name = playbook.display().to_string();
        let text = match document::read_file(playbook) {
            Ok(text) => text,
            Err(error) => {
                self.unreadable(&name, error);
                return None;
            }
        };
        let folder = playbook.parent().unwrap_or(Path::new(""));
        let (stage, problems) = Stage::new(&text, &name, config, folder);
        // Warnings are the business of `check`.
        self.report.problems.extend(problems.into_iter().filter(|p| p.severity == Severity::Error));
        stage
    }

    /// Side by side, told in order.
    fn cases(&mut self, todo: &[(usize, Arc<Stage>, TestFile, Case)]) {
        let told: Mutex<BTreeMap<usize, (CaseReport, Option<Coverage>)>> = Mutex::default();
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        std::thread::scope(|scope| {
            for core in 0..cores {
                let told = &told;
                scope.spawn(move || {
                    for (number, (_, stage, file, case)) in todo.iter().enumerate().skip(core).step_by(cores)
                    {
                        let one = one(stage, file, case);
                        told.lock().expect("invariant: no panic while holding the lock").insert(number, one);
                    }
                });
            }
        });
        let told = told.into_inner().expect("invariant: no panic while holding the lock");
        for (number, (report, coverage)) in told {
            let playbook = &mut self.report.playbooks[todo[number].0];
            playbook.cases += 1;
            match (&mut playbook.coverage, coverage) {
                (Some(all), Some(one)) => all.join(one),
                (none, one) => *none = none.take().or(one),
            }
            self.report.cases.push(report);
        }
    }

    fn matrices(&mut self) {
        for (report, (_, _, stage)) in self.report.playbooks.iter_mut().zip(&self.stages) {
            if let Some(stage) = stage {
                report.matrix = Some(matrix(stage));
            }
        }
    }
}

fn one(stage: &Stage, file: &TestFile, case: &Case) -> (CaseReport, Option<Coverage>) {
    let source = Source::new(&file.file, &file.text);
    let mut report = CaseReport {
        file: file.file.clone(),
        line: source.place(case.at.start).0,
        name: case.name.clone(),
        playbook: stage.playbook.name.to_string(),
        came_to: "not carried out".into(),
        words: String::new(),
        took: Span::ZERO,
        failures: vec![],
        journal: vec![],
    };
    // Guards that hold a run back are seen too where the story opened nothing: nothing is.
    let whole = match stage.begin(case) {
        Ok(Began::Run { spec, .. }) => Some(Coverage::of(&spec)),
        Ok(Began::Not(_)) | Err(_) => None,
    };
    match tell(stage, case) {
        Err(why) => {
            let failure = Failure { at: case.at.clone(), says: why, expected: vec![], got: vec![] };
            report.failures.push((report.line, failure));
            (report, whole)
        }
        Ok(told) => {
            report.came_to = told.ending.word().to_owned();
            (report.words, report.took) = (last_words(&told), told.took);
            let place = |failure: Failure| (source.place(failure.at.start).0, failure);
            report.failures = failures(case, &told).into_iter().map(place).collect();
            report.journal = sentences(&told);
            let coverage = whole.map(|mut coverage| {
                coverage.add(&told);
                coverage
            });
            (report, coverage)
        }
    }
}
