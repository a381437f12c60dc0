//! From text to a tree in which every value knows its place, and from a mistake to a diagnostic that points
//! there.
//!
//! `config` and `playbook` read YAML and TOML through this room alone, so that both report all problems at
//! once, each with file, line, column, code and suggestion. Nothing here knows what the keys mean.

mod file;
mod near;
mod problem;
mod source;
mod table;
mod toml;
mod tree;
mod yaml;

pub use file::{read_at_most, read_file};
pub use near::nearest;
pub use problem::{Problem, Severity, code, has_errors};
pub use source::{Sink, Source};
pub use table::Table;
pub use tree::{At, Entry, Kind, Node};

/// Longest text that is read at all.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most values in one document.
pub const MAX_NODES: usize = 20_000;
/// Deepest nesting of one document.
pub const MAX_DEPTH: usize = 32;

/// Reads the text as TOML when the file's name says so, as YAML otherwise. `None`: not even the outline
/// could be read.
pub fn read(sink: &Sink) -> Option<Node> {
    let source = sink.source();
    if source.text.len() > MAX_BYTES {
        let says = format!("the file has {} bytes; at most {MAX_BYTES} are read", source.text.len());
        sink.error(code::UNREADABLE, 0..0, says);
        return None;
    }
    match source.file.ends_with(".toml") {
        true => toml::read(sink),
        false => yaml::read(sink),
    }
}

#[cfg(test)]
mod tests;
