//! A member of the cluster that led, beside the cluster that was promoted: which is the stale one, and who follows.

use super::clusters::{CONFIG, demoted};
use crate::kernel::domain::{Fact, StepPlan};
use crate::kernel::port::Registry as _;
use crate::provider::for_tests::{config, plan_given, spec};
use crate::provider::{Ports, ProviderRegistry};
use crate::simulated::Calm;
use crate::simulated::patroni::{Cluster, Pair, World};
use crate::simulated::postgres::{Server, Servers, World as Postgres};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// West was promoted. In the east `a` came back and was elected, on a timeline of the same number; `change` makes it another scene.
async fn plan(change: impl FnOnce(&mut World, &mut World, &mut Server)) -> StepPlan {
    let mut east = World::cluster("shop", &["a", "b"]);
    let mut west = World::standby("shop-west", &["c", "d"], "10.0.0.1");
    west.follow(None);
    east.lead(&"a".into());
    let mut server = Server::primary(&east.system);
    server.timeline = 2;
    change(&mut east, &mut west, &mut server);
    let source = Server { timeline: server.timeline, ..Server::primary(&west.system) };
    let servers = BTreeMap::from([("pg-a".into(), server), ("pg-c".into(), source)]);
    let config = Arc::new(config(CONFIG));
    let [east, west] = [east, west].map(|world| Arc::new(Cluster::new(world, Arc::new(Calm))));
    let patroni = Arc::new(Pair::new([("east", east), ("west", west)]));
    let postgres = Arc::new(Servers::new(Postgres { servers }, Arc::new(Calm)));
    let ports = Ports { patroni, postgres, ..Ports::real(config.clone()) };
    let registry = ProviderRegistry { config, ports };
    let bound = registry.bind(&spec("patroni.superseded", "pg-a", json!({ "by": "west" }))).unwrap();
    plan_given(bound.check(), &[]).await
}

async fn says(change: impl FnOnce(&mut World, &mut World, &mut Server)) -> String {
    match plan(change).await {
        StepPlan::Nothing { gives, .. } => {
            assert_eq!(gives, [Fact::Superseded { target: "pg-a".into(), by: "west".into() }]);
            "stale".to_owned()
        }
        StepPlan::Change(change) => panic!("a check changes nothing: {change:?}"),
        other => other.reasons()[0].says.clone(),
    }
}

fn follows(server: &mut Server) {
    (server.in_recovery, server.follows) = (true, Some("pg-c".into()));
}

#[tokio::test]
async fn whoever_was_elected_beside_the_promoted_cluster_is_the_stale_one() {
    assert_eq!(says(|_, _, _| {}).await, "stale");
    assert_eq!(says(|_, _, server| server.timeline = 1).await, "stale", "paused, it goes on as it was");
    // By what is known of the promoted cluster nobody can say so.
    for (why, part) in [
        (
            says(|_, west, _| west.members.values_mut().for_each(|m| m.answers = false)).await,
            "nobody of the promoted",
        ),
        (says(|_, west, _| west.lose("c")).await, "nobody is seen to lead"),
        (says(|_, west, _| demoted(west)).await, "nobody is seen to lead"),
        (says(|_, _, server| server.system = "7000000000000000009".into()).await, "holds other data"),
        // Somebody followed it and was promoted again.
        (
            says(|_, _, server| server.timeline = 3).await,
            "its timeline is 3, and that of the promoted cluster 2",
        ),
        (says(|_, _, server| server.up = false).await, "refused"),
    ] {
        assert!(why.contains(part) && why.contains("not proven"), "{part}: {why}");
    }
}

#[tokio::test]
async fn it_follows_only_where_its_cluster_does_and_the_log_comes() {
    let done = |east: &mut World, server: &mut Server| {
        demoted(east);
        follows(server);
    };
    assert!(
        says(|east, _, server| done(east, server))
            .await
            .contains("follows west as a standby: nothing to fence")
    );
    let elected_yet = says(|_, _, server| follows(server)).await;
    assert!(elected_yet.contains("may elect it"), "{elected_yet}");
    let dry = |east: &mut World, _: &mut World, server: &mut Server| {
        done(east, server);
        server.follows = None;
    };
    let says_dry = says(dry).await;
    assert!(says_dry.contains("receives nothing"), "{says_dry}");
    let older = |east: &mut World, _: &mut World, server: &mut Server| {
        done(east, server);
        server.timeline = 1;
    };
    let says_older = says(older).await;
    assert!(says_older.contains("its timeline is 1"), "{says_older}");
}
