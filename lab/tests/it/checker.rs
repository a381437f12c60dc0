//! The checker must see one writer as one, and two as two.

use std::time::Duration;

use lab::net::wait_until;
use lab::{Lab, PostgresOptions, Site};

#[tokio::test]
async fn a_clean_failover_has_one_writer_and_the_old_primary_coming_back_is_caught() {
    let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
    let lab = Lab::builder().postgres_with(options).start().await.expect("a pair");
    let (pg, checker) = (lab.postgres(), lab.start_checker());
    let writes = |node: Site, least: usize| {
        let all: usize = checker.stretches().iter().filter(|s| s.node == node).map(|s| s.writes).sum();
        async move { Ok(all >= least) }
    };
    wait_until("writes in gra", Duration::from_secs(10), || writes(Site::Gra, 5)).await.expect("writes");
    pg.kill9(Site::Gra).expect("killed");
    pg.ask(Site::Sbg, "select pg_promote(true, 20)").await.expect("promoted");
    wait_until("writes in sbg", Duration::from_secs(10), || writes(Site::Sbg, 5)).await.expect("writes");
    let proven = checker.assert_never_two_writers().expect("one after the other");
    assert!(proven >= 10 && checker.attempts().iter().all(|n| *n >= 5), "{proven} {:?}", checker.attempts());
    pg.start_again(Site::Gra).await.expect("nobody fenced it: it comes back writable");
    let both =
        checker.stretches().iter().filter(|s| s.node == Site::Gra).map(|s| s.writes).sum::<usize>() + 3;
    wait_until("writes in gra again", Duration::from_secs(10), || writes(Site::Gra, both))
        .await
        .expect("split brain");
    let error = checker.assert_never_two_writers().expect_err("two writers must be seen");
    assert!(format!("{error}").contains("two writers at one time"), "{error}");
}
