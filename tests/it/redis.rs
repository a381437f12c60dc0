//! Fencing, promotion and the write probe on a real primary of Redis and its real replica.

mod battery;
mod guarded;
mod moves;
pub mod rig;
mod rules;
mod sentinel;

use lab::net::wait_until;
use lab::{RedisOptions, RedisUser, Sentinels, Site};
use pointsman::kernel::domain::*;
use pointsman::provider::postgres::ALIVE;
use rig::{Rig, code, down, given, stopped};
use serde_json::json;
use std::time::{Duration, Instant};

fn position(facts: &[Fact]) -> Option<u64> {
    match &facts[0] {
        Fact::Fenced { position, .. } => position.map(|position| position.0),
        other => panic!("not a fence: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lockout_refuses_every_write_outlives_a_restart_and_is_taken_back() {
    let rig = Rig::new(RedisOptions { persistent: true, ..RedisOptions::default() }).await;
    let fence = rig.fence("lockout");
    assert_eq!(code(&rig.remote.plan_given(&fence, &[]).await), Some(ALIVE));
    let StepPlan::Change(change) = rig.remote.plan_given(&fence, &[down()]).await else { panic!("a change") };
    let Undo::To(back) = change.undo.clone() else { panic!("a way back") };
    let started = Instant::now();
    let end = rig.remote.apply(&fence, *change, 10).await;
    eprintln!("fenced after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let facts = given(rig.remote.plan_given(&fence, &[]).await);
    assert!(matches!(&facts[0], Fact::Fenced { rung: FenceRung::Lockout, .. }), "{facts:?}");
    assert!(position(&facts).is_some());
    for user in [RedisUser::Shop, RedisUser::Admin] {
        for command in ["SET k v", "DEL order:first-1", "EVAL \"return redis.call('set','k','v')\" 0"] {
            let said = rig.pair.say(Site::Gra, user, command).await.unwrap();
            let text = format!("{said:?}");
            assert!(
                text.contains("NOREPLICAS")
                    || text.contains("Not enough good replicas")
                    || text.contains("NOPERM"),
                "{text}"
            );
        }
    }
    assert!(
        rig.pair
            .say(Site::Gra, RedisUser::Shop, "CONFIG SET min-replicas-to-write 0")
            .await
            .unwrap()
            .is_error("NOPERM")
    );
    // Replication goes on, and a restart keeps the fence.
    assert_eq!(rig.pair.info(Site::Sbg, "master_link_status").await.unwrap(), "up");
    rig.pair.kill9(Site::Gra).unwrap();
    rig.pair.start_again(Site::Gra).await.unwrap();
    assert!(!rig.order(Site::Gra, "after the restart").await);
    // The words of its undo bring back what was.
    let unfence = rig.remote.bind("redis.unfence", "redis-gra", back.with);
    let end = rig.apply(&unfence, &[], 10).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    rig.remote.settled(&unfence).await;
    assert!(rig.order(Site::Gra, "again").await);
    let file = std::fs::read_to_string(rig.pair.file(Site::Gra)).unwrap();
    assert!(!file.contains("min-replicas-to-write 1000000"), "{file}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_and_a_file_the_best_is_read_only() {
    let rig = Rig::new(RedisOptions { open: true, ..RedisOptions::default() }).await;
    let plan = rig.remote.plan_given(&rig.fence("lockout"), &[down()]).await;
    assert_eq!(code(&plan), Some("PM3504"), "{plan:?}");
    let facts = rig.fenced("read_only").await;
    assert!(matches!(&facts[0], Fact::Fenced { rung: FenceRung::ReadOnly, .. }), "{facts:?}");
    assert!(!rig.order(Site::Gra, "x").await);
    // What a restart makes of it is why it is no more than that.
    rig.pair.kill9(Site::Gra).unwrap();
    rig.pair.start_again(Site::Gra).await.unwrap();
    assert!(rig.order(Site::Gra, "y").await, "a restart forgot the fence");
    assert!(!matches!(rig.remote.plan_given(&rig.fence("read_only"), &[]).await, StepPlan::Nothing { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_fence_of_a_living_primary_the_drain_loses_nothing() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    // What is written now waits in the road.
    rig.pair.replication.stall();
    for n in 0..50 {
        assert!(rig.order(Site::Gra, &format!("late-{n}")).await);
    }
    let facts = rig.fenced("lockout").await;
    let end = position(&facts).expect("a position");
    let hasty = rig.promote_with(json!({ "drain_timeout": "1s" }));
    let late = rig.apply(&hasty, &facts, 20).await;
    assert_eq!(late.result, CallResult::Rejected { retry: false }, "{late:?}");
    assert!(late.detail.to_string().contains(&end.to_string()), "{late:?}");
    assert!(!rig.pair.is_primary(Site::Sbg).await.unwrap(), "a drain that timed out promotes nothing");

    rig.pair.replication.resume();
    let promote = rig.promote();
    let done = rig.apply(&promote, &facts, 20).await;
    assert_eq!(done.result, CallResult::Applied, "{done:?}");
    assert_eq!(
        (&done.detail["rpo"]["bytes"], &done.detail["file"]),
        (&json!(0), &json!("written")),
        "{done:?}"
    );
    assert_eq!(rig.pair.ask(Site::Sbg, "DBSIZE").await.unwrap(), "53", "every write that was taken is there");
    let facts = given(rig.remote.plan_given(&promote, &facts).await);
    assert!(matches!(&facts[0], Fact::Primary { target, .. } if target.as_str() == "redis-sbg"));
    let file = std::fs::read_to_string(rig.pair.file(Site::Sbg)).unwrap();
    assert!(
        !file.lines().any(|line| line.starts_with("replicaof ")),
        "a restart would make it a replica again: {file}"
    );

    let probe = rig.remote.bind("redis.write_probe", "redis-sbg", json!({ "as": "app" }));
    assert_eq!(rig.apply(&probe, &[], 10).await.result, CallResult::Applied);
    rig.remote.settled(&probe).await;
    assert!(rig.order(Site::Sbg, "new").await && !rig.order(Site::Gra, "old").await, "one writer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_passed_over_once_with_the_loss_in_words() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    rig.pair.replication.stall();
    assert!(rig.order(Site::Gra, "lost").await);
    rig.sample().await;
    let killed = Instant::now();
    rig.pair.kill9(Site::Gra).unwrap();
    rig.pair.replication.cut();
    rig.sample().await;
    let promote = rig.promote();
    wait_until("the replica to hear nobody", Duration::from_secs(5), || async {
        Ok(rig.pair.info(Site::Sbg, "master_link_status").await? == "down")
    })
    .await
    .unwrap();
    let unfenced = rig.remote.plan_given(&promote, &[]).await;
    let StepPlan::Change(change) = &unfenced else { panic!("{unfenced:?}") };
    assert!(change.warnings.iter().any(|text| text.contains("if it still runs")), "{:?}", change.warnings);
    let StepPlan::Change(change) = rig.remote.plan_given(&promote, &[stopped()]).await else {
        panic!("a change")
    };
    assert!(change.warnings[0].contains("known to be lost"), "{:?}", change.warnings);
    let end = rig.remote.apply(&promote, *change.clone(), 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert!(rig.order(Site::Sbg, "new").await);
    eprintln!("written {:?} after the kill: {}", killed.elapsed(), end.detail);
    let seen = promote.check().observe(&rig.remote.ctx(10)).await.unwrap();
    for rpo in [&end.detail["rpo"], &seen.evidence["rpo"]] {
        assert!(rpo["bytes"].as_u64().unwrap() > 0 && !rpo["last_safe"].is_null(), "{rpo}");
    }
    assert_eq!(given(rig.remote.plan_given(&promote, &[stopped()]).await).len(), 1, "once is enough");
    let twice = rig.remote.apply(&promote, *change, 10).await;
    assert_eq!(twice.result, CallResult::Rejected { retry: false }, "{twice:?}");
    assert_eq!(rig.pair.ask(Site::Sbg, "EXISTS order:lost order:first-1").await.unwrap(), "1");
}

/// It accepts connections and answers nothing; its replica still has a link for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_hung_primary_is_unknown_in_time_and_no_second_writer_when_it_wakes() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    rig.pair.sigstop(Site::Gra).unwrap();
    let started = Instant::now();
    let fence = rig.fence("lockout");
    let plan = rig.remote.plan_given(&fence, &[down()]).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(matches!(plan, StepPlan::Unknown(_)) && code(&plan) == Some("PM3502"), "{plan:?}");
    assert_eq!(code(&rig.remote.plan_given(&fence, &[]).await), Some(ALIVE), "its replica heard it just now");
    // Said to be stopped, planned, and awake again before the call: nothing is promoted beside it.
    let promote = rig.promote();
    let StepPlan::Change(change) = rig.remote.plan_given(&promote, &[stopped()]).await else {
        panic!("a change")
    };
    rig.pair.sigcont(Site::Gra).unwrap();
    let end = rig.remote.apply(&promote, *change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("two writers"), "{end:?}");
    assert!(!rig.pair.is_primary(Site::Sbg).await.unwrap());
}

/// A call that the server takes only when it wakes: doubt first, and then it is seen to have happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_nobody_answered_is_in_doubt_until_it_is_seen() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    rig.pair.kill9(Site::Gra).unwrap();
    let promote = rig.promote();
    let StepPlan::Change(change) = rig.remote.plan_given(&promote, &[stopped()]).await else {
        panic!("a change")
    };
    let stop = async {
        // After the looks of the call, somewhere in its writes or right before them.
        tokio::time::sleep(Duration::from_millis(2)).await;
        rig.pair.sigstop(Site::Sbg).unwrap();
    };
    let (end, ()) = tokio::join!(rig.remote.apply(&promote, *change, 5), stop);
    assert!(!matches!(end.result, CallResult::Rejected { retry: false }), "{end:?}");
    rig.pair.sigcont(Site::Sbg).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    match rig.remote.plan_given(&promote, &[stopped()]).await {
        StepPlan::Nothing { .. } => {
            assert_ne!(end.result, CallResult::Rejected { retry: true }, "it happened")
        }
        StepPlan::Change(change) => {
            assert_eq!(rig.remote.apply(&promote, *change, 10).await.result, CallResult::Applied);
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.pair.is_primary(Site::Sbg).await.unwrap());
}

/// The trap of a cache: the primary comes back empty, and its replica empties itself within a blink.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_was_emptied_is_not_promoted() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    rig.pair.kill9(Site::Gra).unwrap();
    rig.pair.start_again(Site::Gra).await.unwrap();
    wait_until("the replica to be emptied", Duration::from_secs(10), || async {
        Ok(rig.pair.ask(Site::Sbg, "DBSIZE").await? == "0")
    })
    .await
    .unwrap();
    rig.pair.kill9(Site::Gra).unwrap();
    let plan = rig.remote.plan_given(&rig.promote(), &[stopped()]).await;
    assert_eq!(code(&plan), Some("PM3506"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_never_had_a_copy_is_not_promoted() {
    let rig = Rig::new(RedisOptions::default()).await;
    rig.sample().await;
    rig.pair.replication.cut();
    // Started again without a road it reads what it was given when it first followed: the same history, and no key yet.
    rig.pair.stop(Site::Sbg).unwrap();
    rig.pair.start_again(Site::Sbg).await.unwrap();
    rig.pair.kill9(Site::Gra).unwrap();
    let plan = rig.remote.plan_given(&rig.promote(), &[stopped()]).await;
    assert!(matches!(plan, StepPlan::Refuse(_)) && code(&plan) == Some("PM3509"), "{plan:?}");
    // A new server in its place has another history, and no copy at all.
    rig.pair.stop(Site::Sbg).unwrap();
    std::fs::remove_file(rig.pair.dir().join("sbg/dump.rdb")).unwrap();
    rig.pair.start_again(Site::Sbg).await.unwrap();
    let plan = rig.remote.plan_given(&rig.promote(), &[stopped()]).await;
    assert!(matches!(plan, StepPlan::Refuse(_)) && code(&plan) == Some("PM3506"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn underneath_a_sentinel_nothing_is_done() {
    let rig = Rig::new(RedisOptions { straight: true, ..RedisOptions::default() }).await;
    let sentinels = Sentinels::start(&rig.pair, Duration::from_secs(60)).await.unwrap();
    let plan = rig.remote.plan_given(&rig.fence("lockout"), &[down()]).await;
    assert_eq!(code(&plan), Some("PM3505"), "{plan:?}");
    assert!(plan.reasons()[0].says.contains("3 listen"), "{plan:?}");
    wait_until("the Sentinels to listen to the replica", Duration::from_secs(15), || async {
        Ok(rig.pair.ask(Site::Sbg, "PUBSUB NUMSUB __sentinel__:hello").await?.ends_with('3'))
    })
    .await
    .unwrap();
    rig.pair.kill9(Site::Gra).unwrap();
    let plan = rig.remote.plan_given(&rig.promote(), &[stopped()]).await;
    assert_eq!(code(&plan), Some("PM3505"), "seen at the replica alone: {plan:?}");
    drop(sentinels);
}

/// The old primary of a failover comes back, and the server that everybody writes to by now must not be the one that follows.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_follows_the_new_one_and_never_the_other_way_round() {
    let rig = Rig::new(RedisOptions { persistent: true, straight: true, ..RedisOptions::default() }).await;
    rig.sample().await;
    let replicate = |target: &str, primary: &str, discard: bool| {
        rig.remote.bind("redis.replicate", target, json!({ "primary": primary, "discard": discard }))
    };
    let facts = rig.fenced("lockout").await;
    assert_eq!(rig.apply(&rig.promote(), &facts, 20).await.result, CallResult::Applied);
    assert!(rig.order(Site::Sbg, "after").await);
    let wrong = rig.remote.plan_given(&replicate("redis-sbg", "redis-gra", true), &[]).await;
    assert!(matches!(wrong, StepPlan::Refuse(_)) && code(&wrong) == Some("PM3517"), "{wrong:?}");

    // Fenced, drained and left behind it has nothing of its own: it goes on with what it has, and gets the rest.
    let follow = replicate("redis-gra", "redis-sbg", false);
    let StepPlan::Change(change) = rig.remote.plan_given(&follow, &[]).await else { panic!("a change") };
    assert_eq!(change.bounds["discarded_bytes"], 0, "{change:?}");
    let end = rig.remote.apply(&follow, *change, 20).await;
    assert_eq!((end.result, &end.detail["file"]), (CallResult::Applied, &json!("written")), "{end:?}");
    rig.remote.settled(&follow).await;
    wait_until("the last write to arrive", Duration::from_secs(5), || async {
        Ok(rig.pair.ask(Site::Gra, "DBSIZE").await? == rig.pair.ask(Site::Sbg, "DBSIZE").await?)
    })
    .await
    .unwrap();
    assert!(!rig.order(Site::Gra, "old").await && rig.order(Site::Sbg, "new").await, "one writer");
    rig.pair.stop(Site::Gra).unwrap();
    rig.pair.start_again(Site::Gra).await.unwrap();
    rig.remote.settled(&follow).await;

    // Its data is lost while it is away: started as a primary it is empty, and the full one is not made to follow it.
    rig.pair.kill9(Site::Gra).unwrap();
    drop(std::fs::remove_file(rig.pair.dir().join("gra/dump.rdb")));
    let file = std::fs::read_to_string(rig.pair.file(Site::Gra)).unwrap();
    let primary: Vec<&str> = file.lines().filter(|line| !line.starts_with("replicaof ")).collect();
    std::fs::write(rig.pair.file(Site::Gra), primary.join("\n")).unwrap();
    rig.pair.start_again(Site::Gra).await.unwrap();
    let wrong = rig.remote.plan_given(&replicate("redis-sbg", "redis-gra", true), &[]).await;
    assert!(matches!(wrong, StepPlan::Refuse(_)) && code(&wrong) == Some("PM3515"), "{wrong:?}");
    assert_eq!(rig.apply(&follow, &[], 20).await.result, CallResult::Applied, "an empty one may follow");
    rig.remote.settled(&follow).await;
    assert_ne!(rig.pair.ask(Site::Gra, "DBSIZE").await.unwrap(), "0");

    // Two histories: both were written to, and nothing is thrown away unsaid.
    rig.pair.ask(Site::Gra, "REPLICAOF NO ONE").await.unwrap();
    rig.pair.ask(Site::Gra, "CONFIG SET min-replicas-to-write 0").await.unwrap();
    assert!(rig.order(Site::Gra, "own").await);
    let plan = rig.remote.plan_given(&follow, &[]).await;
    assert!(matches!(plan, StepPlan::Refuse(_)), "{plan:?}");
}
