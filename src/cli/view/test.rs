//! What `pointsman test` says: each case in one line, each failure with its place, each matrix with its counts.

use crate::cli::look::{Look, Paint};
use crate::cli::{Exit, Fault};
use crate::kernel::domain::{Outcome, Span};
use crate::playbook::Severity;
use crate::trial::{CaseReport, PlaybookReport, Report, diff};
use crate::units::counted;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What else is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Show {
    pub diff: bool,
    pub journal: bool,
    /// The least percentage that is asked for.
    pub coverage: Option<u32>,
}

pub fn nothing(paths: &[PathBuf]) -> Fault {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Fault::new(
        Exit::NoSuchThing,
        "PM1402",
        format!("{} holds no test file and no playbook", names.join(", ")),
    )
    .state("nothing was tried")
    .remedy("name a folder with playbooks, or a file that ends in .test.yaml")
}

pub fn no_case(only: &str) -> Fault {
    Fault::new(Exit::NoSuchThing, "PM1402", format!("no case has {only:?} in its name"))
        .state("nothing was tried")
        .remedy("leave --only out to see the names of all cases")
}

pub fn lines(report: &Report, show: &Show, took: Span, look: &Look) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for problem in &report.problems {
        lines.extend(problem.to_string().lines().map(str::to_owned));
    }
    for case in &report.cases {
        lines.extend(case_lines(case, show, look));
    }
    for playbook in &report.playbooks {
        lines.extend(matrix_lines(playbook, look));
        if let Some(least) = show.coverage {
            lines.extend(coverage_lines(playbook, least, look));
        }
    }
    lines.push(closing(report, took));
    lines
}

fn case_lines(case: &CaseReport, show: &Show, look: &Look) -> Vec<String> {
    let good = case.failures.is_empty();
    let mark = if good { look.paint(Paint::Good, "ok  ") } else { look.paint(Paint::Bad, "FAIL") };
    let came_to = format!("{} after {} of its time", case.came_to, case.took);
    let mut lines = vec![format!("{mark}  {}: {}  ({came_to})", case.playbook, case.name)];
    for (line, failure) in &case.failures {
        lines.push(format!("      {}:{line}: {}", case.file, failure.says));
        if show.diff && !(failure.expected.is_empty() && failure.got.is_empty()) {
            lines.extend(
                diff(&failure.expected, &failure.got).into_iter().map(|text| format!("        {text}")),
            );
        }
    }
    if show.journal {
        lines.extend(case.journal.iter().map(|sentence| format!("      {sentence}")));
    }
    lines
}

fn matrix_lines(playbook: &PlaybookReport, look: &Look) -> Vec<String> {
    let mut lines = vec![];
    match &playbook.matrix {
        None => {}
        Some(Err(why)) => {
            let mark = look.paint(Paint::Bad, "FAIL");
            lines.push(format!("{mark}  {}: no crash matrix: {}", playbook.name, why.join("; ")));
        }
        Some(Ok(worlds)) => {
            for world in worlds {
                let good = world.bad == 0;
                let mark =
                    if good { look.paint(Paint::Good, "ok  ") } else { look.paint(Paint::Bad, "FAIL") };
                let counts = format!("{} finished, {} stopped for a person", world.finished, world.stopped);
                let bad = if good { String::new() } else { format!(", {} WRONG", world.bad) };
                lines.push(format!(
                    "{mark}  {}: {} with one fault, {}: {counts}{bad}",
                    playbook.name,
                    counted(world.lives, "run"),
                    world.world
                ));
                if world.calm != Outcome::Succeeded.as_str() {
                    lines.push(format!("      with no fault it comes to: {}", world.calm));
                }
                lines.extend(world.told.iter().map(|why| format!("      {why}")));
            }
        }
    }
    lines
}

fn coverage_lines(playbook: &PlaybookReport, least: u32, look: &Look) -> Vec<String> {
    let Some(coverage) = &playbook.coverage else {
        let mark = look.paint(Paint::Bad, "none");
        return vec![format!("{mark}  {}: no test opens a run of it", playbook.name)];
    };
    let (seen, all) = coverage.counts();
    let percent = coverage.percent();
    let paint = if percent >= least { Paint::Good } else { Paint::Bad };
    let mark = look.paint(paint, &format!("{percent:>3}%"));
    let mut lines = vec![format!("{mark}  {}: its tests have seen {seen} of {all} branches", playbook.name)];
    lines.extend(coverage.missed().into_iter().map(|missed| format!("      {missed}")));
    lines
}

fn closing(report: &Report, took: Span) -> String {
    let problems = report.problems.iter().filter(|p| p.severity == Severity::Error).count();
    let mut parts = vec![format!("{}: {} failed", counted(report.cases.len(), "case"), report.failed())];
    if report.lives() > 0 {
        parts.push(format!(
            "{} with a fault: {} playbooks not proven",
            counted(report.lives(), "run"),
            report.unproven()
        ));
    }
    if problems > 0 {
        parts.push(format!("{} in the files", counted(problems, "error")));
    }
    let stories = report.cases.len() + report.lives();
    let rate = stories as f64 / took.as_secs_f64().max(0.001);
    format!("{}; {took}, {rate:.0} stories a second", parts.join("; "))
}

pub fn document(report: &Report, took: Span) -> Value {
    let case = |case: &CaseReport| {
        let failures: Vec<Value> = case
            .failures
            .iter()
            .map(|(line, f)| json!({ "line": line, "says": f.says, "expected": f.expected, "got": f.got }))
            .collect();
        json!({
            "file": case.file, "line": case.line, "name": case.name, "playbook": case.playbook,
            "ok": case.failures.is_empty(), "came_to": case.came_to, "says": case.words,
            "virtual_ms": case.took.as_millis(), "failures": failures, "journal": case.journal,
        })
    };
    let playbook = |report: &PlaybookReport| {
        let coverage = report.coverage.as_ref().map(|coverage| {
            let (seen, all) = coverage.counts();
            json!({ "percent": coverage.percent(), "seen": seen, "branches": all, "missed": coverage.missed() })
        });
        let matrix = report.matrix.as_ref().map(|matrix| match matrix {
            Err(why) => json!({ "ok": false, "why": why }),
            Ok(worlds) => {
                let each = |w: &crate::trial::Matrix| {
                    json!({ "world": w.world, "undisturbed": w.calm, "runs": w.lives, "finished": w.finished,
                        "stopped": w.stopped, "wrong": w.bad, "says": w.told })
                };
                let ok = worlds.iter().all(|world| world.bad == 0);
                json!({ "ok": ok, "worlds": worlds.iter().map(each).collect::<Vec<_>>() })
            }
        });
        json!({ "file": report.file, "name": report.name, "cases": report.cases, "coverage": coverage,
            "matrix": matrix })
    };
    json!({
        "schema": "pointsman.test/v1", "ok": report.ok(), "failed": report.failed(), "took_ms": took.as_millis(),
        "problems": report.problems, "cases": report.cases.iter().map(case).collect::<Vec<_>>(),
        "playbooks": report.playbooks.iter().map(playbook).collect::<Vec<_>>(),
    })
}
