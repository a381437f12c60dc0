//! Rows and columns: aligned for eyes, tab-separated for programs. Used by every view.

use super::Look;
use super::look::{Paint, clean, harmless};

#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    paint: Paint,
    right: bool,
}

impl Cell {
    pub fn paint(mut self, paint: Paint) -> Cell {
        self.paint = paint;
        self
    }
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
    /// Numbers stand to the right.
    pub fn right(mut self) -> Cell {
        self.right = true;
        self
    }
}

/// Text is cleaned here, once, for everything that is shown in a table.
pub fn cell(text: impl std::fmt::Display) -> Cell {
    Cell { text: clean(&text.to_string()), paint: Paint::Plain, right: false }
}

#[derive(Clone, Debug)]
enum Line {
    Row(Vec<Cell>),
    /// Below a row, over all columns.
    Note(String, Paint),
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    lines: Vec<Line>,
    /// A column wider than this does not push the others aside.
    max: Option<usize>,
    indent: usize,
}

impl Table {
    pub fn new(indent: usize) -> Table {
        Table { lines: vec![], max: None, indent }
    }
    pub fn widest(mut self, max: usize) -> Table {
        self.max = Some(max);
        self
    }
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.lines.push(Line::Row(cells.into()));
    }
    pub fn note(&mut self, text: &str, paint: Paint) {
        self.lines.push(Line::Note(harmless(text).trim_end().to_owned(), paint));
    }
    pub fn head(&mut self, names: &[&str]) {
        self.row(names.iter().map(|name| cell(name).paint(Paint::Quiet)).collect::<Vec<_>>());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = vec![];
        for line in &self.lines {
            let Line::Row(cells) = line else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                let wanted = cell.text.chars().count();
                let fits = self.max.is_none_or(|max| wanted <= max);
                *width = (*width).max(if fits { wanted } else { 0 });
            }
        }
        widths
    }

    pub fn lines(&self, look: &Look) -> Vec<String> {
        let widths = self.widths();
        self.lines
            .iter()
            .map(|line| match line {
                Line::Row(cells) if look.aligned => self.aligned(cells, &widths, look),
                Line::Row(cells) => {
                    let texts: Vec<String> = cells.iter().map(|c| look.paint(c.paint, &c.text)).collect();
                    texts.join("\t")
                }
                Line::Note(text, paint) if look.aligned => {
                    format!("{:1$}{2}", "", self.indent + 4, look.paint(*paint, text))
                }
                Line::Note(text, paint) => format!("\t{}", look.paint(*paint, text)),
            })
            .collect()
    }

    fn aligned(&self, cells: &[Cell], widths: &[usize], look: &Look) -> String {
        let mut line = " ".repeat(self.indent);
        let last = cells.iter().rposition(|c| !c.text.is_empty()).map_or(0, |i| i + 1);
        for (i, (cell, width)) in cells.iter().zip(widths).enumerate().take(last) {
            let pad = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = look.paint(cell.paint, &cell.text);
            match (cell.right, i + 1 == last) {
                (true, _) => line.push_str(&format!("{pad}{text}")),
                (false, true) => line.push_str(&text),
                (false, false) => line.push_str(&format!("{text}{pad}")),
            }
            if i + 1 < last {
                line.push_str("  ");
            }
        }
        line
    }
}
