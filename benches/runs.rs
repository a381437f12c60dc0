//! `audit verify` of a journal of runs alone: besides the chain it folds every run and compares the summary with it. Of the
//! journal of `audit`, which has none, that part is nothing.

use pointsman::kernel::domain::{
    Digest, Observation, Record, Resolved, RunId, Span, Stamped, StepPlan, Stream, Time, WhyObserved,
};
use pointsman::kernel::drive::opening;
use pointsman::kernel::engine::Run;
use pointsman::kernel::journal::{Batch, Journal, Row};
use pointsman::store::{Opened, SqliteStore, verify};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

const RUNS: u64 = 2_000;
/// Looks of one run. Beside them it has a beginning and an end.
const LOOKS: u64 = 40;
const START: Time = Time(1_767_225_600_000_000);

fn spec(run: &str, epoch: u64) -> anyhow::Result<Resolved> {
    let command = json!({ "kind": "command.run", "target": "box1", "with": {} });
    let item = json!({
        "name": "move it", "role": "step", "rungs": [{ "form": { "act": command }, "proves": [] }], "after": [],
        "optional": false, "commit_point": true, "planned_ahead": true, "accept_unfenced": null,
        "retry": { "attempts": 1, "backoff_from": 1, "backoff_to": 1 }, "timeout": 1,
    });
    let cause = json!({ "alert": { "occurrences": [], "started": 1, "delivered": 2, "labels": {} } });
    Ok(serde_json::from_value(json!({
        "run": run, "playbook": "move", "playbook_digest": Digest::of(b"text"), "text": "text",
        "service": "shop", "kind": "failover", "mode": "auto", "from": "gra", "to": "sbg", "items": [item],
        "locks": [], "approval": { "expires": 1, "role": "operator" }, "cause": cause,
        "afterwards": { "fence_watch": [], "commit_window": 0 },
        "limits": { "resume_within": 1, "deadline": 1, "fresh": 1, "look_again": 1 },
        "objective": { "rto": null, "rpo": null }, "epoch": epoch, "owner": "node-1", "fold": 1,
    }))?)
}

/// What a target said, and what follows from it.
fn look(at: Time) -> Record {
    let seen = Observation {
        identity: json!({ "host": "box1", "key": "SHA256:3q2+7wA" }),
        state: json!({ "moved": false, "sites": ["gra", "sbg"], "says": "the service runs in gra" }),
        evidence: json!({ "command": "moved", "code": 1, "took_ms": 41, "output": "shop is served from gra" }),
        at,
    };
    let plan = StepPlan::unknown("PM5304", "box1 does not answer: the connection was refused");
    Record::Observed { item: 0, rung: 0, why: WhyObserved::Plan, seen: Ok(seen), plan, undo: false }
}

async fn write(journal: &Journal, n: u64) -> anyhow::Result<()> {
    let (run, at) = (format!("RUN{n}"), START + Span::secs(n));
    let spec = spec(&run, n + 1)?;
    journal.append(opening(&spec, at)?).await?;
    let stream = Stream::Run(RunId::from(run.as_str()));
    let end =
        json!({ "finished": { "outcome": "refused", "says": "so", "rto": [], "rpo": null, "by_hand": [] } });
    let mut records: Vec<Record> = (0..LOOKS).map(|_| look(at)).collect();
    records.push(serde_json::from_value(end)?);
    let first = Record::Opened(Box::new(spec));
    let first = Stamped { position: 0, stream: stream.clone(), seq: 1, at, record: first };
    let mut folded = Run::open(&first)?;
    for record in &records {
        folded = folded.with(record, at)?;
    }
    let batch = Batch::new(at).part(stream, Some(1), records).summary(folded.summary().cached());
    journal.append(batch.row(Row::Unlock { run: run.as_str().into() })).await?;
    Ok(())
}

pub async fn measure(dir: &Path) -> anyhow::Result<()> {
    let Opened { store, .. } = SqliteStore::open(dir).await?;
    let journal = Journal::new(store.clone());
    for n in 0..RUNS {
        write(&journal, n).await?;
    }
    store.close().await;
    let mut seconds = vec![];
    // From the second record on the runs are not folded: the chain alone.
    for from in [1, 2] {
        let began = Instant::now();
        let report = verify(dir, from..=u64::MAX, |_| {}).await?;
        anyhow::ensure!(report.ok() && report.checked > RUNS * LOOKS, "{report:?}");
        seconds.push(began.elapsed().as_secs_f64());
    }
    let records = (RUNS * (LOOKS + 2)) as f64;
    println!(
        "  verify of runs         {:>9.0} records a second, {RUNS} runs of {} records folded; the chain alone {:.0}",
        records / seconds[0],
        LOOKS + 2,
        records / seconds[1]
    );
    Ok(())
}
