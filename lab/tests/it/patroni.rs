//! The Patroni cluster is real: it elects, moves when it is told to, and does not when it may not.

use std::time::{Duration, Instant};

use lab::net::wait_until;
use lab::patroni::member;
use lab::{Patroni, PatroniOptions, Site};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_moves_by_its_api_and_a_lost_machine_comes_back() {
    let began = Instant::now();
    let patroni = Patroni::start(PatroniOptions::default()).await.unwrap();
    eprintln!("whole after {:?}", began.elapsed());
    assert_eq!(patroni.leader(Site::Par).await.unwrap(), Some(Site::Gra));
    let ask = json!({ "leader": member(Site::Gra), "candidate": member(Site::Sbg) });
    let said = patroni.ask(Site::Par, "POST", "/switchover", Some(ask.clone())).await.unwrap();
    assert_eq!(said.status, 200, "{said:?}");
    let again = patroni.ask(Site::Par, "POST", "/switchover", Some(ask)).await.unwrap();
    assert_eq!(again.status, 412, "the leader's name is compared: {again:?}");
    patroni.wait_whole().await.unwrap();
    assert_eq!(patroni.sql(Site::Sbg, "select pg_is_in_recovery()").await.unwrap(), "f");
    // Paused, a dead leader stays the last one.
    patroni.pause(Site::Par, true).await.unwrap();
    patroni.lose(Site::Sbg).await.unwrap();
    assert!(patroni.sql(Site::Sbg, "select 1").await.is_err(), "its PostgreSQL goes with the machine");
    wait_until("its lock to run out", Duration::from_secs(25), || async {
        Ok(patroni.leader(Site::Par).await?.is_none())
    })
    .await
    .unwrap();
    patroni.start_again(Site::Sbg).await.unwrap();
    patroni.pause(Site::Par, false).await.unwrap();
    patroni.wait_whole().await.unwrap();
    // Without its Patroni a PostgreSQL goes on, and nothing tells it that another may lead.
    let leader = patroni.leader(Site::Par).await.unwrap().unwrap();
    patroni.sigstop(leader).unwrap();
    assert!(patroni.ask(leader, "GET", "/patroni", None).await.is_err());
    assert_eq!(patroni.sql(leader, "select pg_is_in_recovery()").await.unwrap(), "f");
    patroni.sigcont(leader).unwrap();
    patroni.wait_whole().await.unwrap();
}
