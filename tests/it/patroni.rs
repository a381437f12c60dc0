//! A real Patroni cluster is moved through Patroni: its leader lives, hangs, is lost while Patroni is paused, or is taken
//! over by another than was meant. Underneath it nothing is done.

mod battery;
mod clusters;
mod rules;
pub mod tables;

use crate::remote::{Remote, why};
use lab::net::wait_until;
use lab::patroni::{SCOPE, member};
use lab::{Patroni, PatroniOptions, Site};
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tables::Side;

struct Rig {
    patroni: Patroni,
    remote: Remote,
    /// The same servers, without a word that Patroni runs them.
    unaware: Remote,
    _secrets: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Rig {
        let patroni = Patroni::start(PatroniOptions::default()).await.expect("a cluster");
        let secrets = tempfile::tempdir().unwrap();
        let members: Vec<Site> = patroni.sites().collect();
        let side = Side { name: "shop", scope: SCOPE, site: None, members: members.clone() };
        let api = |site| format!("http://{}", patroni.api(site));
        let cluster = tables::cluster(&side, &tables::secret(secrets.path()), api);
        let servers = |of| tables::servers(&patroni, &members, of, &[]);
        let remote = Remote::new(&format!("{cluster}{}", servers(Some("shop"))));
        let unaware = Remote::new(&servers(None));
        Rig { patroni, remote, unaware, _secrets: secrets }
    }

    fn bind(&self, kind: &str, from: Site, to: Site, more: Value) -> Bound {
        let mut with = json!({ "leader": member(from), "candidate": member(to) });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.remote.bind(kind, "shop", with)
    }

    async fn plan(&self, bound: &Bound) -> StepPlan {
        self.remote.plan_given(bound, &[planned()]).await
    }

    async fn change(&self, bound: &Bound) -> Change {
        match self.plan(bound).await {
            StepPlan::Change(change) => *change,
            other => panic!("no change but {other:?}"),
        }
    }

    async fn code(&self, bound: &Bound) -> String {
        let plan = self.plan(bound).await;
        plan.reasons().first().map_or_else(|| format!("{plan:?}"), |reason| reason.code.clone())
    }

    async fn settled(&self, bound: &Bound) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match self.plan(bound).await {
                StepPlan::Nothing { says, .. } => return says,
                other if Instant::now() > until => panic!("it never settled: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// The application's own write, also where this run has one there already.
    async fn written(&self, site: Site) {
        let before = "create table if not exists pointsman_marker (run text); drop table pointsman_marker";
        self.patroni.sql_as(site, "shop", before).await.unwrap();
        let probe = self.remote.bind("sql.write_probe", &format!("pg-{site}"), json!({ "as": "app" }));
        let change = self.remote.change(&probe).await;
        let end = self.remote.apply(&probe, change, 10).await;
        assert_eq!(end.result, CallResult::Applied, "{end:?}");
    }

    async fn wait_for(&self, what: &str, bound: &Bound, code: &str) {
        wait_until(what, Duration::from_secs(30), || async { Ok(self.code(bound).await == code) })
            .await
            .unwrap();
    }
}

fn planned() -> Fact {
    Fact::Planned { service: "shop".into() }
}

const SWITCH: &str = "patroni.switchover";
const FAIL: &str = "patroni.failover";

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_moved_through_patroni_and_never_underneath_it() {
    use Site::{Gra, Par, Sbg};
    let rig = Rig::new().await;
    let there = rig.bind(SWITCH, Gra, Sbg, json!({}));
    let alone = rig.remote.plan(&there).await;
    assert!(why(&alone).starts_with("PM3101"), "a living leader, and no word of anybody: {alone:?}");
    nothing_is_done_underneath(&rig).await;

    let change = rig.change(&there).await;
    let started = Instant::now();
    let end = rig.remote.apply(&there, change.clone(), 60).await;
    eprintln!("switched over after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!((end.result, &end.detail["promoted"]), (CallResult::Applied, &json!("pg-sbg")), "{end:?}");
    let says = rig.settled(&there).await;
    assert!(says.starts_with("pg-sbg leads shop on timeline 2"), "{says}");
    rig.written(Sbg).await;
    let again = rig.remote.apply(&there, change, 60).await;
    assert!(matches!(again.result, CallResult::Rejected { retry: false }), "{again:?}");
    assert!(again.detail.to_string().contains("nothing was sent"), "{again:?}");
    assert_eq!(rig.code(&rig.bind(SWITCH, Gra, Par, json!({}))).await, "PM3607");
    assert_eq!(
        rig.code(&rig.bind(FAIL, Sbg, Gra, json!({}))).await,
        "PM3101",
        "what lives is not failed over"
    );

    // Its Patroni hangs: whether it takes writes nobody can say, and it does.
    rig.patroni.wait_whole().await.unwrap();
    rig.patroni.sigstop(Sbg).unwrap();
    for kind in [SWITCH, FAIL] {
        let bound = rig.bind(kind, Sbg, Gra, json!({}));
        let started = Instant::now();
        assert_eq!(rig.code(&bound).await, "PM3601", "{kind}");
        assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    }
    rig.written(Sbg).await;
    rig.patroni.sigcont(Sbg).unwrap();
    rig.patroni.wait_whole().await.unwrap();
}

/// Whether the configuration says that Patroni is there, or it is seen, or its process is gone and only the way in which it
/// started PostgreSQL is left.
async fn nothing_is_done_underneath(rig: &Rig) {
    let fence = json!({ "min_rung": "lockout", "witness": "pg-sbg" });
    let promote = json!({ "old": "pg-gra", "standbys": [] });
    let registry: &dyn pointsman::kernel::port::Registry = &rig.remote.registry;
    for (kind, target, with) in
        [("postgres.fence", "pg-gra", &fence), ("postgres.promote", "pg-sbg", &promote)]
    {
        let spec = Spec { kind: kind.into(), target: target.into(), with: with.clone() };
        let refused = registry.bind(&spec).err().unwrap_or_default().join("\n");
        assert!(refused.contains("patroni.switchover"), "{kind}: {refused}");
    }
    let down = [Fact::Down { site: "gra".into() }];
    for killed in [false, true] {
        if killed {
            rig.patroni.kill_patroni(Site::Sbg).unwrap();
        }
        let bound = rig.unaware.bind("postgres.promote", "pg-sbg", promote.clone());
        let says = why(&rig.unaware.plan_given(&bound, &down).await);
        assert!(
            says.starts_with("PM3207") && says.contains("patroni.switchover"),
            "killed: {killed}: {says}"
        );
    }
    let bound = rig.unaware.bind("postgres.fence", "pg-gra", fence);
    let says = why(&rig.unaware.plan_given(&bound, &down).await);
    assert!(says.starts_with("PM3105") && says.contains("patroni.failover"), "{says}");
    rig.patroni.start_again(Site::Sbg).await.unwrap();
    rig.patroni.wait_whole().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_lost_while_patroni_is_paused_is_replaced_once_it_is_fenced() {
    use Site::{Gra, Par, Sbg};
    let rig = Rig::new().await;
    rig.patroni.pause(Par, true).await.unwrap();
    assert_eq!(rig.code(&rig.bind(SWITCH, Gra, Sbg, json!({}))).await, "PM3609");
    rig.patroni.lose(Gra).await.unwrap();
    let anyway = json!({ "while_paused": true });
    let fail = rig.bind(FAIL, Gra, Sbg, anyway.clone());
    assert_eq!(rig.code(&fail).await, "PM3601", "its lock is still held by a dead hand");
    rig.wait_for("the lock to run out", &rig.bind(SWITCH, Gra, Sbg, anyway), "PM3616").await;
    assert_eq!(rig.code(&rig.bind(FAIL, Gra, Sbg, json!({}))).await, "PM3609");
    let change = rig.change(&fail).await;
    let fenced = Fact::Fenced { target: "pg-gra".into(), rung: FenceRung::Stopped, position: None };
    assert_eq!(change.needs, [fenced]);
    assert!(change.warnings.iter().any(|text| text.contains("is paused")), "{:?}", change.warnings);
    let started = Instant::now();
    let end = rig.remote.apply(&fail, change, 60).await;
    eprintln!("failed over after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!((end.result, &end.detail["promoted"]), (CallResult::Applied, &json!("pg-sbg")), "{end:?}");
    let says = rig.settled(&fail).await;
    assert!(says.contains("pg-gra does not answer"), "{says}");
    rig.written(Sbg).await;
    rig.patroni.pause(Par, false).await.unwrap();
    rig.patroni.start_again(Gra).await.unwrap();
    rig.patroni.wait_whole().await.unwrap();

    // Without the store nobody says anything that could be believed, whoever leads.
    rig.patroni.road_to_etcd().cut();
    let back = rig.bind(SWITCH, Sbg, Gra, json!({}));
    assert_eq!(rig.code(&back).await, "PM3601");
    rig.patroni.road_to_etcd().heal().await.unwrap();
    rig.patroni.wait_whole().await.unwrap();
    let leader = rig.patroni.leader(Par).await.unwrap().expect("a leader");
    another_comes_to_lead(&rig, leader).await;
}

/// The candidate dies while the old leader ends: Patroni passes it over, and says 200 all the same.
async fn another_comes_to_lead(rig: &Rig, leader: Site) {
    let rest: Vec<Site> = rig.patroni.sites().filter(|site| *site != leader).collect();
    let (candidate, other) = (rest[0], rest[1]);
    let bound = rig.bind(SWITCH, leader, candidate, json!({}));
    let change = rig.change(&bound).await;
    // A leader that ends waits for those who receive its log: time for the candidate to die in.
    rest.iter().for_each(|site| rig.patroni.stall_replication(*site).unwrap());
    let work = rig.remote.apply(&bound, change, 60);
    let strike = async {
        wait_until("the leader to end", Duration::from_secs(15), || async {
            Ok(rig.patroni.sql(leader, "select 1").await.is_err())
        })
        .await
        .unwrap();
        rig.patroni.lose(candidate).await.unwrap();
        rig.patroni.resume_replication(other).unwrap();
    };
    let (end, ()) = tokio::join!(work, strike);
    eprintln!("another leads: {}", end.detail);
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(end.detail["promoted"], json!(member(other)), "{end:?}");
    assert_eq!(
        (&end.detail["instead_of"], &end.detail["code"]),
        (&json!(member(candidate)), &json!("PM3607"))
    );
    rig.patroni.start_again(candidate).await.unwrap();
    rig.wait_for("the plan to say so", &bound, "PM3607").await;
}
