//! Errors of the store in four parts: what failed, how things stand, what to do, where to read. `serve`, `audit`
//! and `token` print them as they are.

use std::fmt;
use std::path::Path;

/// Stable codes; each has a page.
pub mod code {
    pub const IN_USE: &str = "PM2001";
    pub const DIRECTORY: &str = "PM2002";
    pub const OPEN: &str = "PM2003";
    pub const NEWER: &str = "PM2004";
    pub const SQLITE: &str = "PM2005";
    pub const MIGRATION: &str = "PM2006";
    pub const UNREADABLE: &str = "PM2007";
    pub const HEAD_FILE: &str = "PM2008";
    pub const NO_DATABASE: &str = "PM2009";
    pub const TOKEN: &str = "PM2010";
    pub const HEAD_BEHIND: &str = "PM2011";
    pub const BAD_RECORD: &str = "PM2012";
    pub const NOT_WRITTEN: &str = "PM2013";
    pub const BAD_CACHE: &str = "PM2014";
    pub const NO_TOKEN: &str = "PM2015";
    pub const CHECKPOINT_FILE: &str = "PM2703";
    pub const CUT: &str = "PM2704";
    pub const REWRITTEN: &str = "PM2705";
    pub const BAD_CHECKPOINT: &str = "PM2706";
    pub const RESUME_STATE: &str = "PM2707";
    pub const BUNDLE: &str = "PM2708";
    pub const BACKUP: &str = "PM2709";
    pub const DAMAGED: &str = "PM2710";
    pub const NOT_EMPTY: &str = "PM2711";
    pub const RETENTION: &str = "PM2713";
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    pub code: &'static str,
    pub what: String,
    pub state: String,
    pub next: String,
}

impl StoreError {
    pub fn new(
        code: &'static str,
        what: impl Into<String>,
        state: impl Into<String>,
        next: impl Into<String>,
    ) -> StoreError {
        StoreError { code, what: what.into(), state: state.into(), next: next.into() }
    }

    /// The directory or one of its files refuses what a store needs.
    pub(super) fn directory(dir: &Path, verb: &str, why: &dyn fmt::Display) -> StoreError {
        StoreError::new(
            code::DIRECTORY,
            format!("cannot {verb} the data directory {}: {why}", dir.display()),
            "nothing was started and nothing was changed",
            "give the user that runs pointsman the right to write there, or name another directory with --data",
        )
    }

    pub(super) fn open(path: &Path, why: &dyn fmt::Display) -> StoreError {
        StoreError::new(
            code::OPEN,
            format!("cannot open the database {}: {why}", path.display()),
            "nothing was started; the file was left as it is",
            "see whether the disk is full, read-only or failing; if the file is damaged, keep it as evidence and \
             restore the newest backup into another directory",
        )
    }

    pub(super) fn unreadable(why: &dyn fmt::Display) -> StoreError {
        StoreError::new(
            code::UNREADABLE,
            format!("cannot read the journal: {why}"),
            "no record was changed",
            "run `pointsman audit verify` on the data directory; see whether the disk is failing",
        )
    }

    pub(super) fn token(why: &dyn fmt::Display) -> StoreError {
        StoreError::new(
            code::TOKEN,
            format!("the token table could not be used: {why}"),
            "it is not known whether the change was kept; tokens that worked before still work",
            "try again; a token that was made twice does no harm",
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoreError { code, what, state, next } = self;
        write!(f, "{code}: {what}\n  state: {state}\n  do:    {next}\n  read:  pointsman explain {code}")
    }
}

impl std::error::Error for StoreError {}
