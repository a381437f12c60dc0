//! Trying playbooks before they are needed: `*.test.yaml` beside a playbook, and, with no test written, the crash matrix.
//!
//! The real matching, resolving, engine, drive and providers run against a simulated world in virtual time; nothing of
//! Pointsman is replaced. Called by `pointsman test`; the integration tests plant mistakes into the same matrix.
//!
//! ```text
//! *.test.yaml ─read─▶ Case ─scene─▶ Told (records, end state) ─verdict─▶ failures    ─▶ coverage, report
//! playbook ─plot─▶ Space of lives ─life─▶ Story ─judge─▶ good | bad                  ─▶ matrix
//! ```

mod coverage;
mod diff;
mod faults;
mod from_run;
mod judge;
mod life;
mod matrix;
mod model;
mod people;
mod read;
mod scene;
mod schema;
mod space;
mod stage;
mod suite;
mod verdict;
mod words;

pub use coverage::{Coverage, Missed};
pub use diff::{compare, diff};
pub use from_run::test_of;
pub use judge::{Verdict, in_the_window, in_the_window_of, judge};
pub use life::{Answer, HOLD, NOW, PATIENCE, Plot, Set, Story, intents};
pub use matrix::{Matrix, matrix};
pub use model::{Case, TestFile};
pub use read::read;
pub use scene::{Ending, Told, tell};
pub use schema::schema;
pub use space::{Life, Space};
pub use stage::Stage;
pub use suite::{Ask, CaseReport, PlaybookReport, Report, run, test_files};
pub use verdict::{Failure, failures, last_words, sentences};

#[cfg(test)]
mod tests;
