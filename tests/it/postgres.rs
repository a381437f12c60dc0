//! Fencing, promotion, lag and the write probe on a real primary and its real standby.

mod rig;

use lab::{PostgresOptions, Role, Site};
use pointsman::kernel::domain::*;
use pointsman::provider::postgres::ALIVE;
use rig::{Rig, Way, code, down, fence_with};
use serde_json::json;
use std::time::{Duration, Instant};

fn calm() -> PostgresOptions {
    PostgresOptions { restart_after: None, ..PostgresOptions::default() }
}

fn promote_with() -> serde_json::Value {
    json!({ "target": "pg-sbg", "old": "pg-gra" })
}

/// What a fence on the machine (stop and mask) would prove: no position is known.
fn stopped() -> Fact {
    Fact::Fenced { target: "pg-gra".into(), rung: FenceRung::Stopped, position: None }
}

fn position(fact: &Fact) -> Option<Lsn> {
    match fact {
        Fact::Fenced { position, .. } => *position,
        _ => None,
    }
}

fn given(plan: StepPlan) -> Vec<Fact> {
    match plan {
        StepPlan::Nothing { gives, .. } => gives,
        other => panic!("not right yet: {other:?}"),
    }
}

async fn fenced(rig: &Rig) -> Vec<Fact> {
    let (spec, bound) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    let started = Instant::now();
    let end = rig.apply(&spec, &bound, &[down()], 10).await;
    eprintln!("fenced after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    given(rig.plan(&bound, &[down()]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn lockout_refuses_the_application_keeps_replication_and_can_be_taken_back() {
    let rig = Rig::new(calm(), Way::default()).await;
    let pg = rig.lab.postgres();
    let old_text = pg.ask(Site::Gra, "select pg_read_file(current_setting('hba_file'))").await.unwrap();
    let busy = pg.client(Site::Gra, Role::Shop).await.unwrap();
    let (_, bound) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    assert_eq!(
        code(&rig.plan(&bound, &[]).await),
        Some(ALIVE),
        "alive, and nobody says that its site is down"
    );

    let facts = fenced(&rig).await;
    assert!(
        matches!(&facts[0], Fact::Fenced { rung: FenceRung::Lockout, position: Some(_), .. }),
        "{facts:?}"
    );
    assert!(busy.execute("insert into orders (id, site) values ('x', 'gra')", &[]).await.is_err());
    assert!(rig.order(Site::Gra, "y").await.is_err());
    // Again, with no guard: right already, nothing is done.
    assert_eq!(given(rig.plan(&bound, &[]).await).len(), 1);

    // Replication comes back under the new rules, and what a person writes on the machine arrives.
    pg.ask(Site::Gra, "select pg_terminate_backend(pid) from pg_stat_replication").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    pg.wait_streaming(Site::Gra).await.unwrap();
    let person = pg.client_to(Site::Gra, Role::Admin, "shop").await.expect("people on the machine get in");
    person.batch_execute("insert into orders (id, site) values ('by hand', 'gra')").await.unwrap();
    drop(person);
    wait_for_orders(&rig, 1).await;

    // The words in the fenced file itself restore it.
    let text = pg.ask(Site::Gra, "select pg_read_file(current_setting('hba_file'))").await.unwrap();
    let command = text.lines().find_map(|line| line.strip_prefix("# To take it back: ")).unwrap();
    let status = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success());
    let after = pg.ask(Site::Gra, "select pg_read_file(current_setting('hba_file'))").await.unwrap();
    assert_eq!(after, old_text);
    pg.ask(Site::Gra, "select pg_reload_conf()").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    rig.order(Site::Gra, "z").await.expect("the application writes again");
    rig.assert_no_secret_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_never_fenced() {
    let rig = Rig::new(calm(), Way::default()).await;
    let with = json!({ "target": "pg-sbg", "min_rung": "lockout" });
    let (_, bound) = rig.bind("postgres.fence", "pg-sbg", with);
    assert_eq!(code(&rig.plan(&bound, &[Fact::Down { site: "sbg".into() }]).await), Some("PM3103"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_superuser_the_best_is_read_only_and_the_ladder_goes_on() {
    let rig = Rig::new(calm(), Way { limited: true, ..Way::default() }).await;
    let (_, lockout) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    assert_eq!(code(&rig.plan(&lockout, &[down()]).await), Some("PM3104"));

    let (spec, soft) = rig.bind("postgres.fence", "pg-gra", fence_with("read_only"));
    let end = rig.apply(&spec, &soft, &[down()], 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "no right to alter system yet: {end:?}");
    let grant = "grant alter system on parameter default_transaction_read_only to pointsman_ro";
    rig.lab.postgres().ask(Site::Gra, grant).await.unwrap();
    let end = rig.apply(&spec, &soft, &[down()], 10).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let facts = given(rig.plan(&soft, &[down()]).await);
    assert!(matches!(&facts[0], Fact::Fenced { rung: FenceRung::ReadOnly, .. }), "{facts:?}");
    assert_eq!(code(&rig.plan(&lockout, &[down()]).await), Some("PM3104"), "read_only is not lockout");
    assert!(rig.order(Site::Gra, "x").await.is_err());

    // Taken back by its undo: not before the application writes again is it right.
    let (spec, back) = rig.bind("postgres.unfence", "pg-gra", json!({ "rung": "read_only" }));
    let end = rig.apply(&spec, &back, &[], 10).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let as_before = async {
        while !matches!(rig.plan(&back, &[]).await, StepPlan::Nothing { .. }) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), as_before).await.expect("as it was before");
    rig.order(Site::Gra, "y").await.expect("the application writes again");
    let setting =
        "select setting || ' ' || source from pg_settings where name = 'default_transaction_read_only'";
    assert_eq!(rig.lab.postgres().ask(Site::Gra, setting).await.unwrap(), "off default", "a trace is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_only_we_cannot_reach_is_alive() {
    let rig = Rig::new(calm(), Way { proxied: true, ..Way::default() }).await;
    rig.sample().await;
    rig.lab.postgres().pointsman.cut();
    let (_, fence) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    assert_eq!(code(&rig.plan(&fence, &[]).await), Some(ALIVE));
    assert_eq!(code(&rig.plan(&fence, &[down()]).await), Some("PM3102"), "down, but nothing is proven");
    let (_, promote) = rig.bind("postgres.promote", "pg-sbg", promote_with());
    assert_eq!(code(&rig.plan(&promote, &[]).await), Some(ALIVE));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_fence_of_a_living_primary_the_drain_loses_nothing() {
    let rig = Rig::new(calm(), Way::default()).await;
    rig.sample().await;
    let pg = rig.lab.postgres();
    rig.order(Site::Gra, "one").await.unwrap();
    // What is committed now waits in the road.
    pg.replication.stall();
    let client = pg.client(Site::Gra, Role::Shop).await.unwrap();
    for n in 0..200 {
        let id = format!("late-{n}");
        client.execute("insert into orders (id, site) values ($1, 'gra')", &[&id]).await.unwrap();
    }
    let facts = fenced(&rig).await;
    let end = position(&facts[0]).expect("a position");

    let mut with = promote_with();
    with["drain_timeout"] = json!("1s");
    let (spec, bound) = rig.bind("postgres.promote", "pg-sbg", with);
    let late = rig.apply(&spec, &bound, &facts, 20).await;
    assert_eq!(late.result, CallResult::Rejected { retry: false }, "{late:?}");
    assert!(late.detail.to_string().contains(&end.to_string()), "{late:?}");
    assert!(pg.is_in_recovery(Site::Sbg).await.unwrap(), "a drain that timed out promotes nothing");

    pg.replication.resume();
    let (spec, bound) = rig.bind("postgres.promote", "pg-sbg", promote_with());
    let done = rig.apply(&spec, &bound, &facts, 20).await;
    assert_eq!(done.result, CallResult::Applied, "{done:?}");
    assert_eq!(done.detail["rpo"]["bytes"], json!(0));
    let count = pg.client(Site::Sbg, Role::Shop).await.unwrap();
    let row = count.query_one("select count(*) from orders", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 201, "every order that was acknowledged is there");
    let facts = given(rig.plan(&bound, &facts).await);
    assert!(matches!(&facts[0], Fact::Primary { target, .. } if target.as_str() == "pg-sbg"));
    rig.assert_no_secret_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_passed_over_once_with_the_loss_in_words() {
    let rig = Rig::new(calm(), Way::default()).await;
    let pg = rig.lab.postgres();
    rig.order(Site::Gra, "one").await.unwrap();
    pg.wait_streaming(Site::Gra).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.sample().await;
    let safe = rig.ring_times().pop().unwrap();
    pg.replication.stall();
    rig.order(Site::Gra, "lost").await.unwrap();
    rig.sample().await;
    pg.kill9(Site::Gra).unwrap();
    pg.replication.cut();
    rig.sample().await;
    let (spec, bound) = rig.bind("postgres.promote", "pg-sbg", promote_with());
    wait_not_streaming(&rig).await;

    let StepPlan::Change(change) = rig.plan(&bound, &[stopped()]).await else { panic!("a change") };
    assert_eq!((&change.from["timeline"], &change.to["timeline"]), (&json!(1), &json!(2)));
    assert!(change.bounds["data_loss_bytes"] >= 1 << 20, "rounded up: {:?}", change.bounds);
    assert!(change.warnings[0].contains("known to be lost"), "{:?}", change.warnings);
    let started = Instant::now();
    let end = rig.carry_out(&spec, &bound, *change, 20).await;
    eprintln!("promoted after {:?}: {}", started.elapsed(), end.detail);
    assert_eq!(end.result, CallResult::Applied, "{end:?}");

    let seen = rig.observe(&bound).await;
    for rpo in [&end.detail["rpo"], &seen.evidence["rpo"]] {
        assert!(rpo["bytes"].as_u64().unwrap() > 0, "{rpo}");
        assert_eq!(rpo["last_safe"], json!(safe), "{rpo}");
    }
    assert_eq!(seen.state["timeline"], 2, "from the name of the WAL file, not from the checkpoint");
    assert_eq!(given(rig.plan(&bound, &[stopped()]).await).len(), 1, "once is enough");
    rig.order(Site::Sbg, "new").await.expect("it takes writes");
    assert_eq!(
        pg.ask(Site::Sbg, "select count(*) from orders where id = 'lost'").await.unwrap_or_default(),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_would_wait_for_a_lost_standby_are_seen_before_and_after() {
    let conf = vec!["synchronous_standby_names = 'pg_sbg'".to_owned()];
    let rig = Rig::new(PostgresOptions { conf, ..calm() }, Way::default()).await;
    let pg = rig.lab.postgres();
    rig.order(Site::Gra, "one").await.expect("the standby confirms");
    rig.sample().await;
    pg.kill9(Site::Gra).unwrap();
    wait_not_streaming(&rig).await;
    let (spec, bound) = rig.bind("postgres.promote", "pg-sbg", promote_with());
    let StepPlan::Change(change) = rig.plan(&bound, &[stopped()]).await else { panic!("a change") };
    assert_eq!(change.to["synchronous_standby_names"], "", "it is in the plan");
    assert_eq!(rig.carry_out(&spec, &bound, *change, 20).await.result, CallResult::Applied);

    let (spec, probe) = rig.bind("sql.write_probe", "pg-sbg", json!({ "target": "pg-sbg", "as": "app" }));
    let end = rig.apply(&spec, &probe, &[], 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    given(rig.plan(&probe, &[]).await);

    // Somebody brings the trap back: the write hangs, our own time-out ends it, and the words name the cause.
    pg.ask(Site::Sbg, "alter system set synchronous_standby_names = 'pg_gra'").await.unwrap();
    pg.ask(Site::Sbg, "select pg_reload_conf()").await.unwrap();
    let dropped = pg.client_to(Site::Sbg, Role::Admin, "shop").await.unwrap();
    dropped.batch_execute("set synchronous_commit = local; truncate pointsman_marker").await.unwrap();
    let started = Instant::now();
    let end = rig.apply(&spec, &probe, &[], 30).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert!(end.detail.to_string().contains("synchronous_standby_names"), "{end:?}");
    assert_eq!(code(&rig.plan(&bound, &[stopped()]).await), Some("PM3208"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_unknown_and_bounded() {
    let rig = Rig::new(calm(), Way::default()).await;
    let pg = rig.lab.postgres();
    pg.sigstop(Site::Gra).unwrap();
    let (_, bound) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    let started = Instant::now();
    let plan = rig.plan(&bound, &[down()]).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(code(&plan), Some("PM3102"), "{plan:?}");
    assert!(matches!(plan, StepPlan::Unknown(_)), "a time-out proves nothing");
    pg.sigcont(Site::Gra).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_or_refused() {
    let mut rig = Rig::new(calm(), Way { tls: true, ..Way::default() }).await;
    let (_, bound) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    let seen = rig.observe(&bound).await;
    assert_eq!(seen.state["role"], "primary", "{}", seen.evidence);
    // Another authority: the certificate is not trusted.
    let mut config = rig.config.clone();
    let other = tempfile::NamedTempFile::new().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=other", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-keyout", "/dev/null", "-out"])
        .arg(other.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    for target in config.targets.values_mut() {
        if let pointsman::config::TargetKind::Postgres(postgres) = &mut target.kind {
            postgres.ca = Some(other.path().to_owned());
        }
    }
    rig.config = config;
    let (_, bound) = rig.bind("postgres.fence", "pg-gra", fence_with("lockout"));
    let seen = rig.observe(&bound).await;
    assert_eq!(seen.evidence["target"]["silent"]["layer"], "tls", "{}", seen.evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_passes_only_what_is_known_and_small() {
    let rig = Rig::new(calm(), Way::default()).await;
    let pg = rig.lab.postgres();
    let with = json!({ "target": "pg-sbg", "max_bytes": "64KiB", "max_seconds": 5, "max_sample_age": "30s" });
    let (_, bound) = rig.bind("postgres.lag", "pg-sbg", with);
    assert_eq!(code(&rig.plan(&bound, &[]).await), Some("PM3301"), "never sampled is unknown");
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.sample().await;
    let plan = rig.plan(&bound, &[]).await;
    assert!(matches!(plan, StepPlan::Nothing { .. }), "an idle pair passes: {plan:?}");
    pg.replication.stall();
    let fill = "insert into orders select 'f' || n, 'gra' from generate_series(1, 4000) n";
    let client = pg.client(Site::Gra, Role::Shop).await.unwrap();
    client.batch_execute(fill).await.unwrap();
    rig.sample().await;
    let plan = rig.plan(&bound, &[]).await;
    assert_eq!(code(&plan), Some("PM3304"), "{plan:?}");
}

impl Rig {
    fn ring_times(&self) -> Vec<Time> {
        use pointsman::kernel::port::Samples;
        self.ring.recent(&"pg-sbg".into()).iter().map(|sample| sample.at).collect()
    }
}

async fn wait_not_streaming(rig: &Rig) {
    let sql = "select count(*) from pg_stat_wal_receiver where status = 'streaming'";
    let gone = || async { Ok(rig.lab.postgres().ask(Site::Sbg, sql).await? == "0") };
    lab::net::wait_until("the receiver to end", Duration::from_secs(10), gone).await.unwrap();
}

async fn wait_for_orders(rig: &Rig, count: i64) {
    let pg = rig.lab.postgres();
    let there = || async {
        let client = pg.client_to(Site::Sbg, Role::Admin, "shop").await?;
        Ok(client.query_one("select count(*) from orders", &[]).await?.get::<_, i64>(0) == count)
    };
    lab::net::wait_until("the orders on the standby", Duration::from_secs(5), there).await.unwrap();
}

/// PG 15 can sleep through the signal between two attempts to reach the primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_hangs_is_bounded_and_in_doubt() {
    let conf = vec!["wal_retrieve_retry_interval = 30s".to_owned()];
    let rig = Rig::new(PostgresOptions { conf, ..calm() }, Way::default()).await;
    let pg = rig.lab.postgres();
    rig.sample().await;
    pg.kill9(Site::Gra).unwrap();
    wait_not_streaming(&rig).await;
    let (spec, bound) = rig.bind("postgres.promote", "pg-sbg", promote_with());
    let StepPlan::Change(change) = rig.plan(&bound, &[stopped()]).await else { panic!("a change") };
    let started = Instant::now();
    let end = rig.carry_out(&spec, &bound, *change, 3).await;
    eprintln!("{:?} after {:?}", end.result, started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5));
    let promoted = !pg.is_in_recovery(Site::Sbg).await.unwrap();
    let said = if promoted { CallResult::Applied } else { CallResult::Indeterminate };
    assert_eq!(end.result, said, "{end:?}");
}
