//! Machines over SSH: the fence, the application's restart, file transfer, and lost machines.

use std::time::{Duration, Instant};

use lab::net::wait_until;
use lab::{Lab, Loss, PostgresOptions, Site};

fn quick_supervisor() -> PostgresOptions {
    PostgresOptions { restart_after: Some(Duration::from_millis(700)), ..PostgresOptions::default() }
}

#[tokio::test]
async fn a_fence_over_ssh_stops_and_masks_and_the_supervisor_is_refused() {
    let mut lab = Lab::builder().postgres_with(quick_supervisor()).hosts().start().await.expect("a lab");
    let before = lab.hosts().ssh("pg-gra-host", "fenced").await.expect("ssh");
    assert_eq!(before.code, Some(1), "{before:?}");
    let wrong = lab.hosts().ssh("pg-gra-host", "rm -rf /").await.expect("ssh");
    assert_eq!(wrong.code, Some(77), "{wrong:?}");
    let started = Instant::now();
    let fence = lab.hosts().ssh("pg-gra-host", "fence").await.expect("ssh");
    eprintln!("fence over ssh took {:?}", started.elapsed());
    assert_eq!((fence.code, fence.stdout.trim()), (Some(0), "stopped and masked"), "{fence:?}");
    assert!(!lab.postgres().runs(Site::Gra));
    let again = lab.hosts().ssh("pg-gra-host", "fence").await.expect("ssh");
    assert_eq!(again.code, Some(0), "{again:?}");
    let refused = |lab: &Lab| {
        let log = lab.postgres().supervisor_log(Site::Gra).expect("a log");
        log.iter().filter(|line| line.text == "refused: masked").count()
    };
    let seen = || async { Ok(refused(&lab) >= 1) };
    wait_until("the supervisor to be refused", Duration::from_secs(5), seen).await.expect("refused");
    lab.postgres_mut().reboot(Site::Gra).expect("a new supervisor");
    let so_far = refused(&lab);
    let seen = || async { Ok(refused(&lab) > so_far) };
    wait_until("the new supervisor to be refused", Duration::from_secs(5), seen).await.expect("refused");
    let proof = lab.hosts().ssh("pg-gra-host", "fenced").await.expect("ssh");
    assert_eq!((proof.code, proof.stdout.trim()), (Some(0), "stopped and masked"), "{proof:?}");
    let other = lab.hosts().ssh("pg-sbg-host", "fenced").await.expect("ssh");
    assert_eq!(other.code, Some(1), "the other machine is untouched: {other:?}");
    let undo = lab.hosts().ssh("pg-gra-host", "unfence").await.expect("ssh");
    assert_eq!(undo.code, Some(0), "{undo:?}");
    lab.postgres().wait_ready(Site::Gra).await.expect("back again");
}

#[tokio::test]
async fn the_shop_follows_its_env_file_after_a_restart_over_ssh() {
    let lab = Lab::builder().postgres().apps().hosts().start().await.expect("a lab");
    let (hosts, shop) = (lab.hosts(), lab.apps().at(Site::Sbg));
    assert_eq!(shop.healthz(true).await.expect("an answer"), 200);
    let old = hosts.ssh("shop-sbg-1", "read-file /etc/shop/env").await.expect("ssh");
    assert!(old.stdout.contains("DATABASE_HOST=127.0.1.5"), "{old:?}");
    let current = hosts.ssh("shop-sbg-1", "shop-is-current").await.expect("ssh");
    assert_eq!(current.code, Some(0), "{current:?}");
    let new = old.stdout.replace("127.0.1.5", "127.0.2.5");
    let written =
        hosts.ssh_with_input("shop-sbg-1", "write-file /etc/shop/env", new.as_bytes()).await.expect("ssh");
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!(std::fs::read_to_string(shop.env_file()).expect("the file"), new);
    let stale = hosts.ssh("shop-sbg-1", "shop-is-current").await.expect("ssh");
    assert_eq!(stale.code, Some(1), "{stale:?}");
    let restart = hosts.ssh("shop-sbg-1", "restart-shop").await.expect("ssh");
    assert_eq!(restart.code, Some(0), "{restart:?}");
    let current = hosts.ssh("shop-sbg-1", "shop-is-current").await.expect("ssh");
    assert_eq!(current.code, Some(0), "{current:?}");
    assert_eq!(shop.livez().await.expect("an answer")["database_host"], "127.0.2.5");
    assert_eq!(shop.healthz(true).await.expect("an answer"), 503, "its database is a standby");
    let foreign = hosts.ssh("shop-sbg-1", "read-file /etc/shadow").await.expect("ssh");
    assert_eq!(foreign.code, Some(77), "{foreign:?}");
    std::fs::remove_file(shop.env_file()).expect("removed");
    let absent = hosts.ssh("shop-sbg-1", "read-file /etc/shop/env").await.expect("ssh");
    assert_eq!(absent.code, Some(2), "{absent:?}");
}

#[tokio::test]
async fn orders_flow_from_both_regions_and_the_lost_ones_are_named() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let lab = Lab::builder().postgres_with(options).apps().start().await.expect("a lab");
    let pg = lab.postgres();
    let enough = || async { Ok(lab::orders::acknowledged(lab.apps())?.len() >= 20) };
    wait_until("orders", Duration::from_secs(10), enough).await.expect("orders");
    assert_eq!(lab.lost_orders(Site::Gra).await.expect("a comparison"), []);
    pg.replication.stall();
    let stalled_at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    tokio::time::sleep(Duration::from_millis(600)).await;
    pg.kill9(Site::Gra).expect("killed");
    pg.replication.cut();
    pg.ask(Site::Sbg, "select pg_promote(true, 20)").await.expect("promoted");
    let lost = lab.lost_orders(Site::Sbg).await.expect("a comparison");
    assert!(lost.len() >= 4, "orders of 600 ms must be lost: {lost:?}");
    let stalled_at = i64::try_from(stalled_at.as_micros()).expect("fits");
    assert!(lost.iter().all(|order| order.acked_at_micros > stalled_at - 100_000), "{stalled_at}: {lost:?}");
    let down = || async { Ok(lab.apps().at(Site::Gra).healthz(false).await? == 503) };
    wait_until("the shop to say that it does not serve", Duration::from_secs(5), down).await.expect("503");
}

#[tokio::test]
async fn a_lost_machine_refuses_or_is_silent_and_comes_back() {
    let mut lab = Lab::builder().postgres().hosts().start().await.expect("a lab");
    let addr = lab.hosts().address("pg-gra-host");
    let connect = || tokio::time::timeout(Duration::from_millis(400), tokio::net::TcpStream::connect(addr));
    lab.hosts_mut().lose("pg-gra-host", Loss::Refused).await.expect("lost");
    let refused = || async { Ok(matches!(connect().await, Ok(Err(_)))) };
    wait_until("a refusal", Duration::from_secs(2), refused).await.expect("refused");
    lab.hosts_mut().lose("pg-gra-host", Loss::Silent).await.expect("lost");
    assert!(connect().await.is_err(), "a silent machine neither accepts nor refuses");
    lab.hosts_mut().find_again("pg-gra-host").await.expect("found");
    let status = lab.hosts().ssh("pg-gra-host", "status").await.expect("ssh");
    assert!(status.stdout.contains("running"), "{status:?}");
}

#[tokio::test]
async fn a_hung_server_is_fenced_too() {
    let lab = Lab::builder().postgres().hosts().start().await.expect("a lab");
    let pg = lab.postgres();
    let _session = pg.client(Site::Gra, lab::Role::Shop).await.expect("a session");
    pg.sigstop(Site::Gra).expect("hung");
    assert!(pg.client(Site::Gra, lab::Role::Shop).await.is_err(), "a hung server answers nobody");
    let fence = lab.hosts().ssh("pg-gra-host", "fence").await.expect("ssh");
    assert_eq!((fence.code, fence.stdout.trim()), (Some(0), "stopped and masked"), "{fence:?}");
    assert!(!pg.runs(Site::Gra));
}
