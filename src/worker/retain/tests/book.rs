//! A journal for the tests, written day by day: records of every kind that counts.

use super::super::*;
use crate::kernel::domain::{Actor, Digest, Record, Stamped, Stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const DAY: i64 = 86_400_000_000;
pub(super) const COOLDOWN: Span = Span::mins(60 * 24 * 60);

pub(super) fn record(kind: &str, body: &Value) -> Record {
    serde_json::from_value(json!({ kind: body })).unwrap_or_else(|e| panic!("{kind}: {e}"))
}

pub(super) fn person() -> Value {
    json!({ "name": "ana", "roles": ["incident-lead"], "via": "cli" })
}

/// Kept `afterwards`: one old primary to be watched, and a commit window of a day.
pub(super) fn opened(run: &str, service: &str, epoch: u64, afterwards: bool) -> Record {
    let spec = json!({ "kind": "command.run", "target": "box1", "with": {} });
    let item = json!({
        "name": "move it", "role": "step", "rungs": [{ "form": { "act": spec }, "proves": [] }], "after": [],
        "optional": false, "commit_point": true, "planned_ahead": true, "accept_unfenced": null,
        "retry": { "attempts": 1, "backoff_from": 1, "backoff_to": 1 }, "timeout": 1,
    });
    let afterwards = match afterwards {
        true => json!({
            "fence_watch": [{ "target": "db1", "promoted": "db2", "item": 0 }], "commit_window": DAY,
        }),
        false => json!({ "fence_watch": [], "commit_window": 0 }),
    };
    let cause = json!({ "alert": { "occurrences": [], "started": 1, "delivered": 2, "labels": {} } });
    let body = json!({
        "run": run, "playbook": "move", "playbook_digest": Digest::of(b"text"), "text": "text", "service": service,
        "kind": "failover", "mode": "auto", "from": "gra", "to": "sbg", "items": [item], "locks": [],
        "approval": { "expires": 1, "role": "operator" }, "cause": cause, "afterwards": afterwards,
        "limits": { "resume_within": 1, "deadline": 1, "fresh": 1, "look_again": 1 },
        "objective": { "rto": null, "rpo": null }, "epoch": epoch, "owner": "node-1", "fold": 1,
    });
    record("opened", &body)
}

pub(super) fn intended() -> Record {
    let change = json!({
        "from": 1, "to": 2, "needs": [], "gives": [], "bounds": {}, "undo": "none", "settle": "at_once", "detail": null,
        "now": "here", "after": "there", "warnings": [],
    });
    let call = json!({ "item": 0, "rung": 0, "attempt": 1, "undo": false });
    let spec = json!({ "kind": "command.run", "target": "box1", "with": {} });
    record("intended", &json!({ "call": call, "spec": spec, "change": change }))
}

pub(super) fn finished(outcome: &str) -> Record {
    record("finished", &json!({ "outcome": outcome, "says": "so", "rto": [], "rpo": null, "by_hand": [] }))
}

pub(super) fn watch(state: &str) -> Record {
    record("fence_watch", &json!({ "target": "db1", "rung": "none", "state": state, "says": "so" }))
}

pub(super) fn over() -> Record {
    record("commit_window", &json!({ "item": null, "state": "over", "says": "over" }))
}

pub(super) fn acknowledged() -> Record {
    record("acknowledged", &json!({ "by": person(), "reason": "seen" }))
}

pub(super) fn frozen(service: Option<&str>, until: i64) -> Record {
    record("frozen", &json!({ "service": service, "by": person(), "reason": "work", "until": until }))
}

pub(super) fn own_freeze() -> Record {
    let (service, reason) = (None, "PM5504: an old backup".to_owned());
    Record::Frozen { service, by: Actor::internal(), reason, until: Time(i64::MAX) }
}

pub(super) fn thawed(service: Option<&str>) -> Record {
    record("thawed", &json!({ "service": service, "by": person(), "reason": "done" }))
}

pub(super) fn occurs(id: &str, delivery: Position) -> Record {
    let fingerprint = id.split('/').nth(1).unwrap();
    let body = json!({
        "occurrence": id, "fingerprint": fingerprint, "labels": {}, "started": 1, "delivery": delivery,
    });
    record("occurrence_opened", &body)
}

pub(super) fn ends(id: &str, at: Time) -> Record {
    record("occurrence_closed", &json!({ "occurrence": id, "ended": at, "delivery": null, "says": "over" }))
}

/// A journal that is written day by day.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) at: i64,
    pub(super) records: Vec<Stamped>,
    pub(super) seqs: BTreeMap<Stream, u64>,
}

impl Book {
    pub(super) fn put(&mut self, stream: &str, record: Record) -> Position {
        let stream = Stream::try_from(stream.to_owned()).unwrap();
        let seq = self.seqs.entry(stream.clone()).or_default();
        *seq += 1;
        self.at += 1;
        let position = self.records.len() as u64 + 1;
        self.records.push(Stamped { position, stream, seq: *seq, at: Time(self.at), record });
        position
    }

    pub(super) fn wait(&mut self, days: i64) -> &mut Book {
        self.at += days * DAY;
        self
    }

    pub(super) fn clock(&mut self) -> Position {
        self.put("instance", record("clock", &json!({ "says": "tick", "jump": 0 })))
    }

    /// A run that changed something and is over.
    pub(super) fn run(&mut self, run: &str, service: &str) -> Position {
        let stream = format!("run:{run}");
        let first = self.put(&stream, opened(run, service, 1, false));
        self.put(&stream, intended());
        self.put(&stream, finished("failed"));
        first
    }

    pub(super) fn terms(&self) -> Terms {
        let cooldowns = ["shop", "blog"].map(|s| (Name::from(s), COOLDOWN)).into_iter().collect();
        Terms { now: Time(self.at), older_than: LEAST_AGE, cooldowns, readers: vec![], frozen: None }
    }

    pub(super) fn cut(&self, terms: Terms) -> Cut {
        let mut counted = Counted::new(terms).unwrap();
        self.records.iter().for_each(|stamped| counted.apply(stamped).unwrap());
        counted.cut()
    }
}
