//! A real pair that a real trio of Sentinels runs is moved through them: while it lives, with a Sentinel that hangs, beside
//! somebody else, and when they have elected by themselves.

use super::rig::{code, given, sentinels, targets};
use crate::remote::{Remote, why};
use lab::net::wait_until;
use lab::{RedisOptions, RedisPair, RedisUser, Sentinels, Site};
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub struct Trio {
    pub pair: Arc<RedisPair>,
    pub sentinels: Sentinels,
    pub remote: Remote,
    pub secrets: tempfile::TempDir,
}

impl Trio {
    async fn new(down_after: Duration) -> Trio {
        let options = RedisOptions { straight: true, persistent: true, ..RedisOptions::default() };
        Trio::of(options, down_after, |text, _| text).await
    }

    /// `edit`: makes of the plain configuration what such a pair needs.
    pub async fn of(
        options: RedisOptions,
        down_after: Duration,
        edit: impl FnOnce(String, &RedisPair) -> String,
    ) -> Trio {
        let pair = Arc::new(RedisPair::start(options).await.expect("a pair"));
        assert_eq!(pair.ask(Site::Gra, "SET first 1").await.unwrap(), "OK");
        let sentinels = Sentinels::start(&pair, down_after).await.expect("a trio");
        let secrets = tempfile::tempdir().unwrap();
        let text = edit(Trio::text(&pair, &sentinels.all, &secrets), &pair);
        Trio { pair, sentinels, remote: Remote::new(&text), secrets }
    }

    /// The configuration of the pair and of Sentinels at these places.
    pub fn text(pair: &RedisPair, places: &[SocketAddr], secrets: &tempfile::TempDir) -> String {
        let servers = [("redis-gra", Site::Gra), ("redis-sbg", Site::Sbg)];
        let servers = servers.map(|(name, site)| (name, site, pair.place(site)));
        targets(&servers, secrets.path(), true) + &sentinels("watch", places)
    }

    pub fn bind(&self, old: Site, new: Site) -> Bound {
        bind(&self.remote, old, new)
    }

    pub async fn plan(&self, bound: &Bound) -> StepPlan {
        self.remote.plan_given(bound, &[planned()]).await
    }

    pub async fn change(&self, bound: &Bound) -> Change {
        match self.plan(bound).await {
            StepPlan::Change(change) => *change,
            other => panic!("no change but {other:?}"),
        }
    }

    pub async fn min_replicas(&self, site: Site) -> String {
        let told = self.pair.ask(site, "CONFIG GET min-replicas-to-write").await.unwrap();
        told.lines().last().unwrap_or_default().to_owned()
    }

    pub async fn epoch(&self, n: usize) -> u64 {
        self.sentinels.epoch(n).await.unwrap()
    }
}

pub fn bind(remote: &Remote, old: Site, new: Site) -> Bound {
    let with = json!({ "old": format!("redis-{old}"), "new": format!("redis-{new}") });
    remote.bind("sentinel.failover", "watch", with)
}

pub fn planned() -> Fact {
    Fact::Planned { service: "sessions".into() }
}

/// The application at one site: what was taken, until it is told to stop.
pub async fn orders(pair: Arc<RedisPair>, site: Site, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut taken = vec![];
    for n in 0_u32.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("order:{site}-{n}");
        let said = pair.say(site, RedisUser::Shop, &format!("SET {key} 1")).await;
        if said.and_then(lab::redis::Reply::text).is_ok_and(|said| said == "OK") {
            taken.push(key);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    taken
}

pub const CALM: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_living_primary_is_moved_by_its_sentinels_and_no_write_is_lost() {
    use Site::{Gra, Sbg};
    let trio = Trio::new(CALM).await;
    let there = trio.bind(Gra, Sbg);
    assert_eq!(
        code(&trio.remote.plan(&there).await),
        Some("PM3101"),
        "a living primary, and no word of anybody"
    );
    let stop = Arc::new(AtomicBool::new(false));
    let writers = [Gra, Sbg].map(|site| tokio::spawn(orders(trio.pair.clone(), site, stop.clone())));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let change = trio.change(&there).await;
    assert_eq!((change.bounds["data_loss_bytes"], change.needs.len()), (0, 0));
    let started = Instant::now();
    let end = trio.remote.apply(&there, change.clone(), 40).await;
    eprintln!("moved after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(
        (&end.detail["rpo"]["bytes"], &end.detail["epoch"]),
        (&json!(0), &json!({ "from": 0, "to": 1 }))
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::SeqCst);
    let mut all = vec![];
    for writer in writers {
        let taken = writer.await.unwrap();
        assert!(!taken.is_empty(), "nothing was written at one of the sites");
        all.extend(taken);
    }
    let kept = trio.pair.ask(Sbg, "KEYS order:*").await.unwrap();
    let kept: std::collections::BTreeSet<&str> = kept.lines().collect();
    let lost: Vec<_> = all.iter().filter(|key| !kept.contains(key.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");

    let facts = given(trio.plan(&there).await);
    assert!(matches!(&facts[0], Fact::Primary { target, .. } if target.as_str() == "redis-sbg"), "{facts:?}");
    assert_eq!(trio.sentinels.settled(&trio.pair).await.unwrap(), Sbg);
    assert_eq!(trio.min_replicas(Gra).await, "0", "it is let go");
    let file = std::fs::read_to_string(trio.pair.file(Gra)).unwrap();
    assert!(!file.contains("min-replicas-to-write 15"), "in its file, too: {file}");
    // The same order once more is sent to nobody.
    let again = trio.remote.apply(&there, change, 40).await;
    assert!(
        matches!(again.result, CallResult::Rejected { retry: true }),
        "the next look finds it done: {again:?}"
    );
    let says = again.detail.to_string();
    assert!(says.contains("nothing was sent") && says.contains("redis-sbg leads already"), "{says}");

    one_sentinel_hangs_and_two_are_no_majority(&trio).await;
}

/// And the move back, as it would be by another run.
async fn one_sentinel_hangs_and_two_are_no_majority(trio: &Trio) {
    use Site::{Gra, Sbg};
    trio.sentinels.sigstop(0).unwrap();
    let back = trio.bind(Sbg, Gra);
    let change = trio.change(&back).await;
    assert!(change.warnings.iter().any(|text| text.starts_with("the Sentinel ")), "{:?}", change.warnings);
    let end = trio.remote.apply(&back, change, 60).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(given(trio.plan(&back).await).len(), 1);
    assert_eq!((trio.min_replicas(Gra).await, trio.min_replicas(Sbg).await), ("0".into(), "0".into()));
    trio.sentinels.sigstop(1).unwrap();
    let started = Instant::now();
    let plan = trio.plan(&back).await;
    assert!(matches!(plan, StepPlan::Unknown(_)) && code(&plan) == Some("PM3520"), "{plan:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // One that slept does not trust its own clock for a while, and is no voice until then.
    trio.sentinels.sigcont(1).unwrap();
    assert_eq!(code(&trio.plan(&back).await), Some("PM3520"));
    trio.sentinels.sigcont(0).unwrap();
    wait_until("the one that hung to learn it", Duration::from_secs(15), || async {
        Ok(trio.epoch(0).await == 2)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_move_it_at_once_move_it_once() {
    let trio = Trio::new(CALM).await;
    let bound = trio.bind(Site::Gra, Site::Sbg);
    let change = trio.change(&bound).await;
    let ends = tokio::join!(
        trio.remote.apply(&bound, change.clone(), 40),
        trio.remote.apply(&bound, change.clone(), 40)
    );
    eprintln!("{ends:?}");
    for end in [&ends.0, &ends.1] {
        assert!(
            end.result != CallResult::Rejected { retry: false }
                || end.detail.to_string().contains("nothing was sent")
        );
    }
    wait_until("both to be over", Duration::from_secs(20), || async {
        match trio.plan(&bound).await {
            StepPlan::Nothing { .. } => Ok(true),
            // Whoever was stopped in the middle would go on like this.
            StepPlan::Change(change) if change.from["primary"] == "redis-sbg" => {
                trio.remote.apply(&bound, *change, 20).await;
                Ok(false)
            }
            _ => Ok(false),
        }
    })
    .await
    .unwrap();
    assert_eq!(trio.epoch(1).await, 1, "one failover, however many wanted it");
    assert_eq!(trio.min_replicas(Site::Gra).await, "0");
}

/// It is killed, and they promote the replica by themselves: they are not interfered with, and then there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_they_elect_by_themselves_is_seen_and_left_alone() {
    let trio = Trio::new(Duration::from_millis(1500)).await;
    let bound = trio.bind(Site::Gra, Site::Sbg);
    assert!(matches!(trio.plan(&bound).await, StepPlan::Change(_)));
    trio.pair.kill9(Site::Gra).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let until = Instant::now() + Duration::from_secs(30);
    let says = loop {
        match trio.plan(&bound).await {
            StepPlan::Nothing { says, .. } => break says,
            StepPlan::Change(change) => {
                // Nobody has agreed yet that it is down: what is silent needs the proof of a fence.
                assert!(matches!(&change.needs[..], [Fact::Fenced { .. }]), "{change:?}");
            }
            other => _ = seen.insert(why(&other).chars().take(6).collect::<String>()),
        }
        assert!(Instant::now() < until, "they never elected: {seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(says.starts_with("redis-sbg leads") && says.contains("redis-gra does not answer"), "{says}");
    assert!(seen.contains("PM3524"), "what they do is waited for: {seen:?}");
    assert_eq!(trio.epoch(1).await, 1, "one election, and none of ours");
    // For a run that meant another one, it is told who leads.
    let other = trio.bind(Site::Sbg, Site::Gra);
    let plan = trio.plan(&other).await;
    assert_eq!(code(&plan), Some("PM3502"), "{plan:?}");

    // The old one is back: two primaries until the Sentinels have made it a replica, and that is said.
    trio.pair.start_again(Site::Gra).await.unwrap();
    let plan = trio.plan(&bound).await;
    assert!(
        matches!(&plan, StepPlan::Unknown(_)) && code(&plan) == Some("PM3529")
            || matches!(plan, StepPlan::Nothing { .. }),
        "{plan:?}"
    );
    assert_eq!(trio.sentinels.settled(&trio.pair).await.unwrap(), Site::Sbg);
    assert!(matches!(trio.plan(&bound).await, StepPlan::Nothing { .. }));
}

/// Somebody gave the only replica the priority that says never.
#[tokio::test(flavor = "multi_thread")]
async fn what_they_would_not_promote_is_not_asked_of_them() {
    let trio = Trio::new(CALM).await;
    trio.pair.ask(Site::Sbg, "CONFIG SET replica-priority 0").await.unwrap();
    let bound = trio.bind(Site::Gra, Site::Sbg);
    // They read it each ten seconds. Before that they would promote it.
    wait_until("the Sentinels to know it", Duration::from_secs(20), || async {
        Ok(code(&trio.plan(&bound).await) == Some("PM3527"))
    })
    .await
    .unwrap();
    let stranger = trio.remote.bind(
        "sentinel.failover",
        "watch",
        json!({ "old": "redis-gra", "new": "redis-sbg", "may_be_empty": true }),
    );
    assert_eq!(code(&trio.plan(&stranger).await), Some("PM3527"));
    // They would say the same themselves.
    let said = trio.sentinels.ask(0, "SENTINEL FAILOVER shop").await.unwrap_err();
    assert!(format!("{said:#}").contains("NOGOODSLAVE"), "{said:#}");
    assert!(trio.pair.is_primary(Site::Gra).await.unwrap());
}

/// Between Pointsman and a Sentinel: right before an order is passed on, that Sentinel forgets every replica.
async fn forgetful(listener: TcpListener, sentinel: SocketAddr) -> std::io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        let mut server = TcpStream::connect(sentinel).await?;
        let (mut asked, mut told) = ([0; 4096], [0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => match read {
                    Ok(length) if length > 0 => {
                        if String::from_utf8_lossy(&asked[..length]).contains("FAILOVER") {
                            let mut beside = TcpStream::connect(sentinel).await?;
                            beside.write_all(b"SENTINEL RESET shop\r\n").await?;
                            let length = beside.read(&mut told).await?;
                            assert_eq!(&told[..length], b":1\r\n", "it did not forget");
                        }
                        server.write_all(&asked[..length]).await?;
                    }
                    _ => break,
                },
                read = server.read(&mut told) => match read {
                    Ok(length) if length > 0 => client.write_all(&told[..length]).await?,
                    _ => break,
                },
            }
        }
    }
}

/// Fit at the last look, and unknown to whoever is told: the answer is a refusal, and what was held is let go.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_has_nobody_to_promote_refuses_and_nothing_is_changed() {
    let trio = Trio::new(CALM).await;
    let listener = TcpListener::bind((Site::Par.redis(), trio.pair.spare_port(1))).await.unwrap();
    let mut places = trio.sentinels.all.clone();
    places[0] = listener.local_addr().unwrap();
    let between = tokio::spawn(forgetful(listener, trio.sentinels.all[0]));
    let remote = Remote::new(&Trio::text(&trio.pair, &places, &trio.secrets));
    let bound = bind(&remote, Site::Gra, Site::Sbg);
    let StepPlan::Change(change) = remote.plan_given(&bound, &[planned()]).await else { panic!("a change") };
    let end = remote.apply(&bound, *change, 40).await;
    between.abort();
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    let says = end.detail.to_string();
    assert!(
        says.contains("PM3530") && says.contains("NOGOODSLAVE") && says.contains("nothing was moved"),
        "{says}"
    );
    assert!(trio.pair.is_primary(Site::Gra).await.unwrap());
    assert_eq!(trio.min_replicas(Site::Gra).await, "0", "it is let go");
    let said = trio.pair.say(Site::Gra, RedisUser::Shop, "SET order:later 1").await.unwrap();
    assert_eq!(said.text().unwrap(), "OK");
    for n in 0..3 {
        assert_eq!(trio.epoch(n).await, 0, "a failover came of it");
    }
}

/// It sleeps while it is replaced. Without this setting it takes writes for ten seconds, which are lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_wants_a_replica_takes_no_write_when_it_wakes() {
    let trio = Trio::new(Duration::from_millis(1500)).await;
    trio.pair.ask(Site::Gra, "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 10").await.unwrap();
    trio.pair.sigstop(Site::Gra).unwrap();
    wait_until("the Sentinels to replace it", Duration::from_secs(15), || {
        trio.sentinels.lead(&trio.pair, Site::Sbg)
    })
    .await
    .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..8).map(|_| tokio::spawn(orders(trio.pair.clone(), Site::Gra, stop.clone()))).collect();
    // Some of them wait in its queue when it wakes.
    tokio::time::sleep(Duration::from_millis(300)).await;
    trio.pair.sigcont(Site::Gra).unwrap();
    let refused = trio.pair.say(Site::Gra, RedisUser::Shop, "SET order:first 1").await.unwrap();
    assert!(refused.is_error("NOREPLICAS"), "{refused:?}");
    assert!(trio.pair.is_primary(Site::Gra).await.unwrap(), "it is a second primary, which writes nothing");
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Vec::<String>::new(), "acknowledged by the old primary");
    }
}
