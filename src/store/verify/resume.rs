//! A check of a long journal that goes on where it was interrupted: `audit verify --resume FILE`.

use super::{Base, Claims, Progress, VerifyReport, check, hash_at};
use crate::kernel::domain::{Digest, Position};
use crate::store::open::existing;
use crate::store::{StoreError, code};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// How far it got. The hash says which journal it was.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    position: Position,
    hash: Digest,
    /// Of the records up to there.
    claims: Claims,
}

/// Whoever can write the file can make the check pass over records: keep it where the journal's owner cannot.
pub async fn verify_resuming(
    dir: &Path,
    file: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<VerifyReport, StoreError> {
    let failed = |why: &dyn std::fmt::Display| {
        StoreError::new(
            code::RESUME_STATE,
            format!("{} cannot be used to go on from: {why}", file.display()),
            "the journal was only read",
            "name a file that can be written, or delete it and check from the beginning",
        )
    };
    let state: Option<State> = match std::fs::read(file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|e| failed(&e))?),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(failed(&e)),
    };
    let mut conn = existing(dir).await?;
    // A base in doubt is found by the check itself.
    let base = Base::load(&mut conn).await?.unwrap_or_default();
    let fits = match &state {
        Some(state) if state.position + 1 == base.before => base.hash == state.hash,
        Some(state) => hash_at(&mut conn, state.position).await? == Some(state.hash),
        None => false,
    };
    drop(conn);
    let earlier = state.as_ref().filter(|_| fits);
    let before = earlier.map_or(0, |state| state.position);
    let claims = earlier.map(|state| state.claims.clone());
    let mut unwritten = None;
    let range = before + 1..=Position::MAX;
    let mut report = check(dir, range, claims, |p, claims| {
        let state = State { position: p.at, hash: p.hash, claims: claims.clone() };
        if p.at > before
            && let Err(e) = note(file, &state)
        {
            unwritten = Some(e.to_string());
        }
        progress(p);
    })
    .await?;
    if let Some(why) = unwritten {
        report.notes.push(format!("{} was not written: {why}", file.display()));
    }
    match (state, fits) {
        (Some(_), true) => {
            report.notes.push(format!("positions 1 to {before} were checked before, says {}", file.display()))
        }
        (Some(state), false) if state.position < base.before => report.notes.push(format!(
            "{} goes up to position {}, and that record was sealed away since: everything that is left was checked",
            file.display(),
            state.position
        )),
        (Some(state), false) => report.notes.push(format!(
            "the record at position {} is not the one of {}: everything was checked from the beginning",
            state.position,
            file.display()
        )),
        (None, _) => {}
    }
    Ok(report)
}

fn note(file: &Path, state: &State) -> std::io::Result<()> {
    let temp = file.with_extension("new");
    std::fs::write(&temp, serde_json::to_vec(state)?)?;
    std::fs::rename(&temp, file)
}
