//! One record of each kind: what it can be asked by, and the words that are searched. The index keeps both, so the
//! picture carries the index's version in its name: words that change need a new version, and make older files anew.

use super::{Word, facets, words};
use crate::audit::index::VERSION;
use crate::kernel::domain::{Digest, Record, Resolved, Seq, Stamped, Stream, Time};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn actor() -> Value {
    json!({ "name": "ana", "roles": ["operator"], "via": "cli", "person": true, "groups": [] })
}

fn why() -> Value {
    json!([{ "code": "PM5401", "says": "it does not hold" }])
}

fn spec() -> Value {
    json!({ "kind": "command.run", "target": "box1", "with": {} })
}

fn change() -> Value {
    json!({
        "from": 1, "to": 2, "needs": [], "gives": [], "bounds": {}, "undo": "none", "settle": "at_once", "detail": null,
        "now": "it is here", "after": "it is there", "warnings": [],
    })
}

fn opened() -> Value {
    let item = json!({
        "name": "move it", "role": "step", "rungs": [{ "form": { "act": spec() }, "proves": [] }], "after": [],
        "optional": false, "commit_point": true, "planned_ahead": true, "accept_unfenced": null,
        "retry": { "attempts": 1, "backoff_from": 1, "backoff_to": 1 }, "timeout": 1,
    });
    json!({
        "run": "7KQ4M2", "playbook": "move-shop", "playbook_digest": Digest::of(b"text"), "text": "text", "service": "shop",
        "kind": "failover", "mode": "auto", "from": "gra", "to": "sbg", "items": [item], "locks": [],
        "approval": { "expires": 1, "role": "operator" },
        "limits": { "resume_within": 1, "deadline": 1, "fresh": 1, "look_again": 1 },
        "objective": { "rto": null, "rpo": null }, "epoch": 3, "owner": "node-1", "fold": 1,
        "cause": { "alert": {
            "occurrences": ["am-1/fp/1"], "started": 1, "delivered": 2, "labels": { "alertname": "SiteDown" },
        } },
    })
}

/// Of a run's own stream.
fn of_a_run(digest: &Digest) -> Vec<(&'static str, Value)> {
    let call = json!({ "item": 0, "rung": 0, "attempt": 1, "undo": false });
    let seen = json!({ "Ok": { "identity": null, "state": null, "evidence": null, "at": 1 } });
    vec![
        ("opened", opened()),
        ("taken", json!({ "epoch": 4, "owner": "node-2", "gap": 5_000_000 })),
        (
            "observed",
            json!({ "item": 0, "rung": 0, "why": "plan", "seen": seen, "plan": { "change": change() } }),
        ),
        ("planned", json!({ "lines": [], "at_risk": [], "digest": digest, "at": 1, "until": 2 })),
        ("asked", json!({ "digest": digest, "item": null, "until": null, "says": "two people are asked" })),
        (
            "decided",
            json!({ "digest": digest, "by": actor(), "yes": true, "reason": "go", "accept_unfenced": ["db1"] }),
        ),
        ("passed", json!({ "digest": digest, "by": actor(), "reason": "on a train" })),
        ("told", json!({ "what": "pause", "by": actor(), "reason": "wait" })),
        ("intended", json!({ "call": call, "spec": spec(), "change": change() })),
        ("ended", json!({ "call": call, "end": { "result": "indeterminate", "detail": "time-out" } })),
        ("parked", json!({ "item": 0, "doubt": true, "why": why() })),
        ("undoing", json!({ "why": why() })),
        (
            "fence_watch",
            json!({ "target": "db1", "rung": "lockout", "state": "watching", "says": "since now" }),
        ),
        ("commit_window", json!({ "item": 0, "state": "drifted", "says": "moved again" })),
        (
            "finished",
            json!({ "outcome": "partial", "says": "one name is left", "rto": [], "rpo": null, "by_hand": ["tell dns"] }),
        ),
    ]
}

fn of_the_others(digest: &Digest) -> Vec<(&'static str, &'static str, Value)> {
    let (service, alerts, instance) = ("service:shop", "alerts:am-1", "instance");
    let lifted =
        json!({ "rule": "max_writers", "service": "shop", "by": actor(), "reason": "known", "until": 9 });
    let ended = json!({ "rule": "max_writers", "service": "shop", "by": actor(), "reason": "mended" });
    let labels = json!({ "alertname": "SiteDown", "site": "gra" });
    let verdict = json!([{ "playbook": "move-shop", "matched": true, "why": why()[0] }]);
    vec![
        (
            service,
            "held",
            json!({ "why": why(), "occurrence": "am-1/fp/1", "playbook": "move-shop", "until": 9 }),
        ),
        (service, "not_opened", json!({ "playbook": "move-shop", "by": actor(), "why": why() })),
        (service, "acknowledged", json!({ "by": actor(), "reason": "seen" })),
        (service, "joined", json!({ "occurrence": "am-1/fp/1", "run": "7KQ4M2", "says": "same site" })),
        (service, "claimed", json!({ "owner": "node-1", "epoch": 5 })),
        (instance, "frozen", json!({ "service": "shop", "by": actor(), "reason": "work", "until": 9 })),
        (instance, "thawed", json!({ "service": null, "by": null, "reason": "time is over" })),
        (instance, "overridden", lifted),
        (instance, "override_ended", ended),
        (
            instance,
            "disabled",
            json!({ "playbook": "move-shop", "by": actor(), "reason": "upgrade", "until": 9 }),
        ),
        (instance, "enabled", json!({ "playbook": "move-shop", "by": null, "reason": "its time is over" })),
        (
            "source:am-1",
            "delivered",
            json!({
                "source": "am-1", "format": "alertmanager", "digest": digest, "bytes": 700, "alerts": 2, "truncated": 1,
                "peer": "192.0.2.7",
            }),
        ),
        (
            "source:am-1",
            "heartbeat",
            json!({ "source": "am-1", "silent": true, "within": 300_000_000, "last": 2 }),
        ),
        (
            alerts,
            "not_started",
            json!({ "occurrence": "am-1/fp/1", "delivery": 3, "labels": labels, "why": verdict, "plan": null }),
        ),
        (
            alerts,
            "occurrence_opened",
            json!({
                "occurrence": "am-1/fp/1", "fingerprint": "fp", "labels": labels, "annotations": { "summary": "gone" },
                "started": 1, "delivery": 3,
            }),
        ),
        (
            alerts,
            "occurrence_closed",
            json!({ "occurrence": "am-1/fp/1", "ended": 2, "delivery": null, "says": "resolved" }),
        ),
        (
            instance,
            "started",
            json!({ "version": "0.1.0", "owner": "node-1", "site": "par", "config": digest }),
        ),
        (
            "playbook:move-shop",
            "loaded",
            json!({ "playbook": "move-shop", "digest": digest, "active": false, "problems": ["unknown key"] }),
        ),
        ("playbook:move-shop", "readiness", json!({ "playbook": "move-shop", "ready": false, "why": why() })),
        (instance, "sealed", json!({ "before": 100, "hash": digest })),
        (instance, "clock", json!({ "says": "the clock went back by 3 s", "jump": -3 })),
        (instance, "breaker_tripped", json!({ "why": why() })),
        (instance, "breaker_reset", json!({ "by": actor(), "reason": "seen", "sick": 2 })),
        (instance, "signed_in", json!({ "person": "ana", "how": "recovery" })),
    ]
}

fn samples() -> Vec<Stamped> {
    let digest = Digest::of(b"a plan");
    let own = of_a_run(&digest).into_iter().map(|(kind, body)| ("run:7KQ4M2", kind, body));
    let all = own.chain(of_the_others(&digest)).zip(1..);
    all.map(|((stream, kind, body), position): (_, Seq)| {
        let record: Record =
            serde_json::from_value(json!({ kind: body })).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!(record.kind(), kind);
        let stream = Stream::try_from(stream.to_owned()).unwrap();
        Stamped { position, stream, seq: position, at: Time(1), record }
    })
    .collect()
}

/// As the decoder itself lists them.
fn kinds() -> BTreeSet<String> {
    let says = serde_json::from_str::<Record>("{\"\":{}}").unwrap_err().to_string();
    let list = says.split_once("expected one of ").expect("serde lists the variants").1;
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn there_is_a_sample_of_every_kind() {
    let sampled: BTreeSet<String> = samples().iter().map(|s| s.record.kind().to_owned()).collect();
    assert!(sampled.len() > 30, "{sampled:?}");
    assert_eq!(sampled, kinds());
}

#[test]
fn what_the_index_keeps_changes_only_with_its_version() {
    let all = samples();
    let Record::Opened(run) = all[0].record.clone() else { panic!("the first one opens the run") };
    let mut picture = String::new();
    for stamped in &all {
        let run: Option<&Resolved> = matches!(stamped.stream, Stream::Run(_)).then_some(&*run);
        let (facets, text) = (facets(stamped, run), words(stamped, run));
        assert_ne!(text, stamped.record.kind(), "`tell` has no sentence for it");
        let held = Word::ALL.into_iter().filter_map(|word| Some(format!("{word:?}={}", facets.get(word)?)));
        picture.push_str(&format!(
            "{}\n  {}\n",
            held.collect::<Vec<_>>().join(" "),
            text.replace('\n', "\n  ")
        ));
    }
    insta::assert_snapshot!(
        format!("index_v{VERSION}"),
        picture,
        "changed words or columns: raise VERSION in index.rs, so that files already made are made again"
    );
}
