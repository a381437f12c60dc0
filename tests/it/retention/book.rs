//! A journal with a past, written by the real store: a year ago, a playbook, alerts and runs that are over; and some of each
//! of yesterday.

use pointsman::kernel::domain::{
    Digest, Epoch, Name, OccurrenceId, Position, Record, RunId, Span, Stream, Time,
};
use pointsman::kernel::drive::opening;
use pointsman::kernel::engine::{Run, alerts_cached};
use pointsman::kernel::journal::{Backend, Batch, Journal, Row};
use pointsman::kernel::port::World as _;
use pointsman::store::{CheckpointFiles, Checkpoints, SqliteStore};
use pointsman::worker::{SystemWorld, Terms};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub const DAY: Span = Span::mins(24 * 60);
pub const AGE: Span = Span::mins(100 * 24 * 60);

pub struct Book {
    pub store: Arc<SqliteStore>,
    journal: Journal,
    at: Time,
}

pub fn now() -> Time {
    SystemWorld::new().now()
}

fn record(kind: &str, body: &Value) -> Record {
    serde_json::from_value(json!({ kind: body })).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

fn opened(run: &str, service: &str, epoch: Epoch) -> Record {
    let spec = json!({ "kind": "command.run", "target": "box1", "with": {} });
    let item = json!({
        "name": "move it", "role": "step", "rungs": [{ "form": { "act": spec }, "proves": [] }], "after": [],
        "optional": false, "commit_point": true, "planned_ahead": true, "accept_unfenced": null,
        "retry": { "attempts": 1, "backoff_from": 1, "backoff_to": 1 }, "timeout": 1,
    });
    let cause = json!({ "alert": { "occurrences": [], "started": 1, "delivered": 2, "labels": {} } });
    record(
        "opened",
        &json!({
            "run": run, "playbook": "move", "playbook_digest": Digest::of(b"text"), "text": "text",
            "service": service, "kind": "failover", "mode": "auto", "from": "gra", "to": "sbg", "items": [item],
            "locks": [], "approval": { "expires": 1, "role": "operator" }, "cause": cause,
            "afterwards": { "fence_watch": [], "commit_window": 0 },
            "limits": { "resume_within": 1, "deadline": 1, "fresh": 1, "look_again": 1 },
            "objective": { "rto": null, "rpo": null }, "epoch": epoch, "owner": "node-1", "fold": 1,
        }),
    )
}

impl Book {
    pub async fn open(dir: &Path, at: Time) -> Book {
        let store = SqliteStore::open(dir).await.unwrap().store;
        Book { journal: Journal::new(store.clone()), store, at }
    }

    pub fn wait_until(&mut self, at: Time) {
        self.at = at;
    }

    fn batch(&mut self) -> Batch {
        self.at = self.at + Span::secs(1);
        Batch::new(self.at)
    }

    async fn append(&self, batch: Batch) -> Position {
        self.journal.append(batch).await.unwrap().stamped.last().unwrap().position
    }

    pub async fn clock(&mut self) -> Position {
        let batch = self.batch();
        let says = record("clock", &json!({ "says": "tick", "jump": 0 }));
        self.append(batch.part(Stream::Instance, None, vec![says])).await
    }

    pub async fn loaded(&mut self, playbook: &str, text: &str) -> Position {
        let digest = Digest::of(text.as_bytes());
        let body = json!({ "playbook": playbook, "digest": digest, "active": true, "problems": [] });
        let row = Row::Content { digest, bytes: text.as_bytes().to_vec() };
        let batch = self.batch();
        let stream = Stream::Playbook(playbook.into());
        self.append(batch.part(stream, None, vec![record("loaded", &body)]).row(row)).await
    }

    /// One alert that came, and is over: its delivery, and what triage made of it.
    pub async fn alert(&mut self, source: &str, fingerprint: &str, number: u64) {
        let bytes = format!("{{\"alerts\":\"{fingerprint} {number}\"}}").into_bytes();
        let digest = Digest::of(&bytes);
        let body = json!({
            "source": source, "format": "alertmanager", "digest": digest, "bytes": bytes.len(), "alerts": 1,
            "truncated": 0, "peer": "127.0.0.1",
        });
        let batch = self.batch().part(Stream::Source(source.into()), None, vec![record("delivered", &body)]);
        let delivery = self.append(batch.row(Row::Content { digest, bytes })).await;
        let id = OccurrenceId::new(format!("{source}/{fingerprint}/{number}"));
        let opened = record(
            "occurrence_opened",
            &json!({
                "occurrence": id, "fingerprint": fingerprint, "labels": { "alertname": "SiteDown" },
                "started": self.at, "delivery": delivery,
            }),
        );
        let ended = self.at + Span::secs(1);
        let closed = record(
            "occurrence_closed",
            &json!({ "occurrence": id, "ended": ended, "delivery": delivery, "says": "over" }),
        );
        let summary = alerts_cached(&closed).unwrap();
        let stream = Stream::Alerts(Name::from(source));
        let cursor = Row::Cursor { name: "triage".into(), position: delivery };
        let batch = self.batch().part(stream, None, vec![opened, closed]).summary(summary).row(cursor);
        self.append(batch).await;
    }

    /// A run that looked, was refused, and changed nothing.
    pub async fn run(&mut self, run: &str, service: &str) {
        let epoch = self.store.epoch(&service.into()).await.unwrap() + 1;
        let Record::Opened(spec) = opened(run, service, epoch) else { unreachable!() };
        self.at = self.at + Span::secs(1);
        self.append(opening(&spec, self.at).unwrap()).await;
        let stream = Stream::Run(RunId::from(run));
        let folded = Run::fold(&self.journal.read(&stream, 1).await.unwrap()).unwrap();
        let body = json!({ "outcome": "refused", "says": "so", "rto": [], "rpo": null, "by_hand": [] });
        let batch = self.batch();
        let end = record("finished", &body);
        let summary = folded.with(&end, self.at).unwrap().summary().cached();
        let batch = batch.part(stream, Some(folded.seq), vec![end]).summary(summary);
        self.append(batch.row(Row::Unlock { run: run.into() })).await;
    }

    pub async fn claimed(&mut self, service: &str, epoch: Epoch) {
        let body = json!({ "owner": "a later state", "epoch": epoch });
        let batch = self.batch().part(Stream::Service(service.into()), None, vec![record("claimed", &body)]);
        self.append(batch.row(Row::RaiseEpoch { service: service.into(), to: epoch })).await;
    }

    pub async fn close(self) {
        self.store.write_head().await.unwrap();
        self.store.close().await;
    }
}

/// What the cut of [`with_a_past`] has to find: everything before this goes.
pub struct Past {
    pub before: Position,
    pub head: Position,
}

/// `old` alerts and runs of a year ago, and some of yesterday; signed.
pub async fn with_a_past(dir: &Path, old: u64) -> Past {
    let mut book = Book::open(dir, now() - Span(365 * DAY.0)).await;
    book.loaded("move", "text of a playbook that nobody changed since").await;
    book.claimed("blog", 9).await;
    for n in 0..old {
        book.alert("alertmanager", "f", n + 1).await;
        book.run(&format!("OLD{n}"), "shop").await;
    }
    book.alert("silent", "g", 1).await;
    let last = book.clock().await;
    book.wait_until(now() - DAY);
    book.alert("alertmanager", "f", old + 1).await;
    book.run("NEW", "shop").await;
    book.alert("alertmanager", "h", 1).await;
    let head = book.clock().await;
    let signer = Checkpoints::open(dir, &CheckpointFiles::default()).unwrap();
    signer.write(book.store.end().await.unwrap()).unwrap();
    book.close().await;
    Past { before: last + 1, head }
}

pub fn terms() -> Terms {
    let cooldowns: BTreeMap<Name, Span> = ["shop", "blog"].map(|s| (s.into(), Span::mins(60))).into();
    Terms { now: now(), older_than: AGE, cooldowns, readers: vec![], frozen: None }
}
