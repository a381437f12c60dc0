//! The text of one file with its lines, and the place where its problems are collected.

use super::{At, Problem, Severity, code, nearest};
use std::cell::RefCell;

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: String,
    pub text: String,
    /// Byte offset of the start of each line.
    starts: Vec<usize>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Source {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
        Source {
            file: file.to_owned(),
            text: text.to_owned(),
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Line and column (in characters), both from 1, of a byte offset. Past the end is the end.
    pub fn place(&self, offset: usize) -> (u32, u32) {
        let offset = (0..=offset.min(self.text.len()))
            .rev()
            .find(|i| self.text.is_char_boundary(*i))
            .expect("invariant: offset 0 is a boundary");
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let column = self.text[self.starts[line - 1]..offset].chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The text of a line, counted from 1, without its line break.
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// A problem of this file at these bytes.
    pub fn problem(&self, code: &'static str, severity: Severity, at: &At, says: String) -> Problem {
        let (line, column) = self.place(at.start);
        let last = self
            .text
            .get(at.clone())
            .map_or(1, |t| t.lines().next().unwrap_or("").trim_end().chars().count());
        Problem {
            code,
            severity,
            file: self.file.clone(),
            line,
            column,
            says,
            suggestion: None,
            width: u32::try_from(last.max(1)).unwrap_or(1),
            excerpt: super::problem::without_secrets(self.line(line)),
        }
    }
}

/// Collects problems while readers walk the tree. Interior mutability: readers of nested tables share it.
#[derive(Debug)]
pub struct Sink {
    source: Source,
    problems: RefCell<Vec<Problem>>,
}

impl Sink {
    pub fn new(file: &str, text: &str) -> Sink {
        Sink { source: Source::new(file, text), problems: RefCell::new(vec![]) }
    }
    pub fn source(&self) -> &Source {
        &self.source
    }
    pub fn error(&self, code: &'static str, at: At, says: impl Into<String>) {
        self.push(code, Severity::Error, &at, says.into(), None);
    }
    pub fn error_hint(&self, code: &'static str, at: At, says: impl Into<String>, hint: impl Into<String>) {
        self.push(code, Severity::Error, &at, says.into(), Some(hint.into()));
    }
    pub fn warn(&self, code: &'static str, at: At, says: impl Into<String>, hint: impl Into<String>) {
        self.push(code, Severity::Warning, &at, says.into(), Some(hint.into()));
    }
    /// A name that is not among the known ones: says so, and which one may have been meant.
    pub fn unknown<'a>(
        &self,
        code: &'static str,
        at: At,
        says: impl Into<String>,
        wrong: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) {
        let hint = match nearest(wrong, known.clone()) {
            Some(near) => Some(format!("did you mean {near:?}?")),
            None => {
                let list: Vec<&str> = known.into_iter().take(24).collect();
                (!list.is_empty()).then(|| format!("there are: {}", list.join(", ")))
            }
        };
        self.push(code, Severity::Error, &at, says.into(), hint);
    }
    pub fn push(
        &self,
        code: &'static str,
        severity: Severity,
        at: &At,
        says: String,
        suggestion: Option<String>,
    ) {
        let problem = Problem { suggestion, ..self.source.problem(code, severity, at, says) };
        let mut problems = self.problems.borrow_mut();
        // What could not be compiled cannot be evaluated either; it is told once.
        let told =
            |p: &Problem| (p.line, p.column) == (problem.line, problem.column) && code::of_source(p.code);
        if problem.code == code::EVALUATION && problems.iter().any(told) {
            return;
        }
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    pub fn has_errors(&self) -> bool {
        super::has_errors(&self.problems.borrow())
    }
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }
    /// All problems in the order of the file.
    pub fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (a.line, a.column, a.code).cmp(&(b.line, b.column, b.code)));
        problems
    }
}
