//! The parts of intake alone, by criterion: where the time of a delivery goes.

use criterion::{BatchSize, Criterion};
use pointsman::intake::alertmanager::parse;
use pointsman::kernel::domain::{Delivered, Digest, Record, Stream, Time};
use pointsman::kernel::journal::{Batch, Journal, Row};
use pointsman::store::{Opened, SqliteStore};
use std::hint::black_box;
use tokio::task::JoinSet;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/alertmanager-0.25/{name}.body.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn run(criterion: &mut Criterion) {
    for name in ["single-001", "storm-002"] {
        let body = fixture(name);
        criterion.bench_function(&format!("parse/{name}"), |b| b.iter(|| parse(black_box(&body))));
        criterion.bench_function(&format!("digest/{name}"), |b| b.iter(|| Digest::of(black_box(&body))));
    }
    append(criterion);
}

fn delivery(body: &[u8]) -> Batch {
    let digest = Digest::of(body);
    let delivered = Delivered {
        source: "alertmanager".into(),
        format: "alertmanager".into(),
        digest,
        bytes: body.len() as u64,
        alerts: 1,
        truncated: 0,
        peer: String::new(),
        unread: None,
    };
    Batch::new(Time(1))
        .part(Stream::Source("alertmanager".into()), None, vec![Record::Delivered(delivered)])
        .row(Row::Content { digest, bytes: body.to_vec() })
}

/// One delivery alone waits for a flush of its own; 64 that wait together share one.
fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let Opened { store, .. } = runtime.block_on(SqliteStore::open(dir.path())).expect("a store");
    let (journal, body) = (Journal::new(store.clone()), fixture("single-001"));
    for together in [1, 64] {
        let name = format!("append/{together}");
        criterion.bench_function(&name, |b| {
            b.to_async(&runtime).iter_batched(
                || (0..together).map(|_| delivery(&body)).collect::<Vec<_>>(),
                |batches| async {
                    let mut waiting = JoinSet::new();
                    for batch in batches {
                        let journal = journal.clone();
                        waiting.spawn(async move { journal.append(batch).await.map(|_| ()) });
                    }
                    while let Some(ended) = waiting.join_next().await {
                        ended.expect("a task").expect("an append");
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    runtime.block_on(store.close());
}
