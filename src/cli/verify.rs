//! `audit verify`: the journal on this machine, with no server and no lock; or a bundle, with nothing else at hand.

use super::local::in_parts;
use super::{Exit, Output};
use crate::audit;
use crate::store::{self, CheckpointReport, HeadState, StoreError, VerifyReport};
use clap::Args;
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
pub struct AuditVerifyArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data: PathBuf,
    /// From this position on; the hash before it is taken as true
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    pub from: u64,
    #[arg(long, value_name = "POSITION", default_value_t = u64::MAX, hide_default_value = true)]
    pub to: u64,
    /// Note in this file how far the check got, and go on from there the next time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "bundle"])]
    pub resume: Option<PathBuf>,
    /// Signed checkpoints, best a copy from elsewhere [default: DIR/checkpoints.jsonl]
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Option<PathBuf>,
    /// Public key of the checkpoints (PEM), kept elsewhere [default: DIR/checkpoint.pub]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Check this bundle of `audit export` instead of a data directory
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "from", "to", "checkpoints"])]
    pub bundle: Option<PathBuf>,
}

/// Recomputes the chain, holds it against signed checkpoints and folds every stream. Exit 22 when a record is not as
/// it was written, records are missing, or a cached row is not what its records say.
pub async fn audit_verify(args: &AuditVerifyArgs, output: Option<Output>) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.bundle {
        return bundle(file, args, output);
    }
    let shown = std::io::stderr().is_terminal();
    let progress = |p: store::Progress| {
        if shown {
            eprint!("\r{} of {} records", p.at, p.of);
        }
    };
    let report = match &args.resume {
        Some(file) => store::verify_resuming(&args.data, file, progress).await,
        None => store::verify(&args.data, args.from..=args.to, progress).await,
    };
    if shown {
        eprintln!();
    }
    let report = report.map_err(|e| in_parts(e.into()))?;
    let signed =
        store::verify_checkpoints(&args.data, args.checkpoints.as_deref(), args.key.as_deref()).await;
    let signed = signed.map_err(|e| in_parts(e.into()))?;
    let mut problems: Vec<StoreError> = report.bad.iter().map(store::BadRecord::error).collect();
    if let HeadState::Behind(behind) = &report.head_file {
        problems.push(behind.error());
    }
    problems.extend(signed.iter().flat_map(|s| &s.findings).map(store::Finding::error));
    problems.extend(report.differences.iter().map(store::Difference::error));
    let ok = report.ok() && problems.is_empty();
    let mut notes = report.notes.clone();
    match &signed {
        Some(signed) => notes.extend(signed.notes.iter().cloned()),
        None => notes
            .push("there are no signed checkpoints: a journal written anew as a whole would not show".into()),
    }
    let mut out = std::io::stdout().lock();
    if let Some(Output::Json | Output::Jsonl) = output {
        writeln!(out, "{}", document(&report, signed.as_ref(), ok, &problems, &notes))?;
    } else {
        for problem in &problems {
            writeln!(out, "{problem}")?;
        }
        let verdict = if ok { "verified" } else { "DOES NOT VERIFY" };
        let (checked, cached) = (report.checked, report.cached);
        writeln!(
            out,
            "{verdict}: {checked} records, positions {} to {}; {cached} cached rows",
            report.from, report.to
        )?;
        if let Some(signed) = &signed {
            writeln!(out, "checkpoints: {} lines, signed up to position {}", signed.lines, signed.signed_to)?;
        }
        for note in &notes {
            writeln!(out, "note: {note}")?;
        }
    }
    Ok(if ok { Exit::Done } else { Exit::DoesNotVerify }.into())
}

fn said(problems: &[StoreError]) -> Vec<Value> {
    let one =
        |p: &StoreError| json!({ "code": p.code, "failed": p.what, "state": p.state, "remedy": p.next });
    problems.iter().map(one).collect()
}

fn document(
    report: &VerifyReport,
    signed: Option<&CheckpointReport>,
    ok: bool,
    problems: &[StoreError],
    notes: &[String],
) -> Value {
    let head = report.head.map(|h| json!({ "position": h.position, "hash": h.hash }));
    let signed = signed.map(|s| json!({ "lines": s.lines, "signed_to": s.signed_to, "key": s.key }));
    json!({ "schema": "pointsman.verify/v1", "ok": ok, "from": report.from, "to": report.to,
        "checked": report.checked, "cached": report.cached, "head": head, "checkpoints": signed,
        "problems": said(problems), "notes": notes })
}

fn bundle(
    file: &std::path::Path,
    args: &AuditVerifyArgs,
    output: Option<Output>,
) -> anyhow::Result<ExitCode> {
    let report = audit::verify_bundle(file, args.key.as_deref()).map_err(|e| in_parts(e.into()))?;
    let ok = report.problems.is_empty();
    let mut out = std::io::stdout().lock();
    if let Some(Output::Json | Output::Jsonl) = output {
        let document = json!({ "schema": "pointsman.verify/v1", "ok": ok, "run": report.run, "from": report.from,
            "to": report.to, "checked": report.links, "records": report.records, "key": report.key,
            "problems": said(&report.problems), "notes": report.notes });
        writeln!(out, "{document}")?;
    } else {
        for problem in &report.problems {
            writeln!(out, "{problem}")?;
        }
        let verdict = if ok { "verified" } else { "DOES NOT VERIFY" };
        writeln!(
            out,
            "{verdict}: run {}: {} records in full, {} links of the chain, positions {} to {}, signed by key {}",
            report.run, report.records, report.links, report.from, report.to, report.key
        )?;
        for note in &report.notes {
            writeln!(out, "note: {note}")?;
        }
    }
    Ok(if ok { Exit::Done } else { Exit::DoesNotVerify }.into())
}
