//! The exit codes: part of the contract with scripts, so they exist once, here. Used by every verb.

use crate::kernel::domain::Outcome;
use std::process::ExitCode;

/// What the process says with its exit code. A code that a script does not know is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and observed to be so.
    Done = 0,
    /// Internal, or could not talk to the server; no run was started.
    NotTalked = 1,
    Usage = 2,
    /// Playbook or configuration invalid, or tests failed.
    Invalid = 3,
    NotAllowed = 4,
    NoSuchThing = 5,
    /// The plan is stale or used, a lock is held, the data directory is in use, or it is already decided.
    Conflict = 6,
    Refused = 7,
    WaitsForApproval = 8,
    /// The wait was over before the run was.
    StillRunning = 9,
    Failed = 10,
    /// Some changes are made; a person is needed.
    Partial = 11,
    Undone = 12,
    /// The effect of at least one step is not known; also: whether a request took effect is not known.
    Unknown = 13,
    Cancelled = 14,
    /// `--detailed-exitcode`: the plan has changes.
    HasChanges = 20,
    NotReady = 21,
    DoesNotVerify = 22,
    /// The person left; the run continues.
    Left = 130,
}

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn of_outcome(outcome: Outcome) -> Exit {
        match outcome {
            Outcome::Succeeded | Outcome::Unchanged => Exit::Done,
            Outcome::Refused => Exit::Refused,
            Outcome::Cancelled => Exit::Cancelled,
            Outcome::Failed => Exit::Failed,
            Outcome::Partial => Exit::Partial,
            Outcome::Undone => Exit::Undone,
            Outcome::Unknown => Exit::Unknown,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_leaves_with_the_code_that_the_kernel_names() {
        use Outcome::*;
        for outcome in [Succeeded, Unchanged, Refused, Cancelled, Failed, Partial, Undone, Unknown] {
            assert_eq!(Exit::of_outcome(outcome).code(), outcome.exit_code(), "{outcome}");
        }
    }

    #[test]
    fn the_table_of_codes_is_the_documented_one() {
        use Exit::*;
        let all = [
            Done,
            NotTalked,
            Usage,
            Invalid,
            NotAllowed,
            NoSuchThing,
            Conflict,
            Refused,
            WaitsForApproval,
            StillRunning,
            Failed,
            Partial,
            Undone,
            Unknown,
            Cancelled,
            HasChanges,
            NotReady,
            DoesNotVerify,
            Left,
        ];
        let codes: Vec<u8> = all.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 20, 21, 22, 130]);
    }
}
