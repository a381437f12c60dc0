//! The record as evidence: one grammar to ask it, an index that answers, and what can be taken away and proven elsewhere.
//!
//! `http` and `cli` ask; `worker` keeps the index up to date. Nothing here decides anything, and everything here can be
//! made again from the journal.

mod bundle;
mod facets;
mod filter;
mod index;
mod report;
mod resume;

pub use bundle::{Bundle, BundleReport, MakeError, make_bundle, read_bundle, verify_bundle};
pub use facets::{Facets, call_result, facets, words};
pub use filter::{Filter, FilterError, Pattern, Term, Text, When, Word, parse};
pub use index::{Found, Index, IndexError, Page, discard as discard_index};
pub use report::{Report, changes, guards, html, markdown, markdown_text, report};
pub use resume::resume;
