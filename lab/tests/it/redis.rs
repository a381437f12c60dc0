//! The pair of Redis is real: it replicates, dies, hangs, forgets, and is run by Sentinels where they are set over it.

use std::time::Duration;

use lab::net::wait_until;
use lab::{RedisOptions, RedisPair, RedisUser, Sentinels, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_replicates_and_its_users_have_their_rights() {
    let pair = RedisPair::start(RedisOptions::default()).await.unwrap();
    pair.reset().await.unwrap();
    assert_eq!(pair.say(Site::Gra, RedisUser::Shop, "SET k v").await.unwrap().text().unwrap(), "OK");
    pair.wait_alike().await.unwrap();
    assert_eq!(pair.ask(Site::Sbg, "GET k").await.unwrap(), "v");
    assert!(pair.say(Site::Sbg, RedisUser::Shop, "SET k w").await.unwrap().is_error("READONLY"));
    assert!(pair.say(Site::Gra, RedisUser::Shop, "CONFIG GET save").await.unwrap().is_error("NOPERM"));
    assert!(pair.say(Site::Gra, RedisUser::Pointsman, "GET k").await.unwrap().is_error("NOPERM"));
    // A stalled road keeps its connection; a killed primary comes back with nothing, and takes its replica along.
    pair.replication.stall();
    assert_eq!(pair.ask(Site::Gra, "SET k late").await.unwrap(), "OK");
    assert_eq!(pair.ask(Site::Sbg, "GET k").await.unwrap(), "v");
    pair.kill9(Site::Gra).unwrap();
    assert!(pair.ask(Site::Gra, "PING").await.is_err());
    pair.replication.resume();
    pair.start_again(Site::Gra).await.unwrap();
    assert_eq!(pair.ask(Site::Gra, "DBSIZE").await.unwrap(), "0");
    wait_until("the replica to be emptied", Duration::from_secs(10), || async {
        Ok(pair.ask(Site::Sbg, "DBSIZE").await? == "0")
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_fail_over_by_themselves() {
    let pair = RedisPair::start(RedisOptions { straight: true, ..RedisOptions::default() }).await.unwrap();
    let sentinels = Sentinels::start(&pair, Duration::from_millis(800)).await.unwrap();
    assert_eq!(
        pair.ask(Site::Gra, "PUBSUB NUMSUB __sentinel__:hello").await.unwrap(),
        "__sentinel__:hello\n3"
    );
    pair.kill9(Site::Gra).unwrap();
    let new = pair.address(Site::Sbg).ip().to_string();
    wait_until("the Sentinels to name the replica", Duration::from_secs(15), || async {
        Ok(sentinels.ask(1, "SENTINEL GET-MASTER-ADDR-BY-NAME shop").await?.starts_with(&new))
    })
    .await
    .unwrap();
    assert!(pair.is_primary(Site::Sbg).await.unwrap());
}
