//! The primary dies, and users are served in the other region.

use super::scene::{Setup, now_micros, play};
use anyhow::ensure;
use lab::Site;
use lab::net::wait_until;
use lab::pointsman::{Edit, Options};
use std::time::Duration;

#[tokio::test]
async fn a_killed_primary_is_failed_over_and_cannot_come_back() {
    let setup = Setup { restart_after: Some(Duration::from_secs(15)), ..Setup::default() };
    play(setup, async |scene| {
        let gone = scene.kill_primary().await?;
        scene.fire().await?;
        let end = scene.succeeded().await?;
        scene.serves_after(gone).await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.loss_is_as_told(&end).await?;
        ensure!(scene.promotions().await? == (1, 1), "{:?}", scene.promotions().await?);
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");
        let phases: Vec<&str> =
            end["rto"].as_array().into_iter().flatten().filter_map(|p| p[0].as_str()).collect();
        ensure!(phases == ["detect", "decide", "fence", "promote", "config", "verify", "dns"], "{phases:?}");
        let run = scene.pointsman.records("opened").await?[0].run().unwrap_or_default().to_owned();
        let watched = scene.pointsman.cli(&["watch", &run]).await?;
        ensure!(watched.contains("succeeded"), "`pointsman watch` says: {watched}");
        super::ready::tried_again(scene, &run, "primary: killed").await?;
        // The supervisor of the old primary wants to start it, more than once.
        let refused = || async {
            let lines = scene.lab.postgres().supervisor_log(Site::Gra)?;
            Ok(lines.iter().filter(|line| line.text == "refused: masked").count() >= 2)
        };
        wait_until("the supervisor to be refused twice", Duration::from_secs(60), refused).await?;
        ensure!(!scene.lab.postgres().runs(Site::Gra), "the old primary runs");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

#[tokio::test]
async fn orders_that_replication_had_not_sent_are_lost_and_none_of_them_was_called_safe() {
    play(Setup::default(), async |scene| {
        scene.lab.postgres().replication.stall();
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.lab.postgres().kill9(Site::Gra)?;
        let gone = now_micros();
        // What the road still held is gone with it.
        scene.lab.postgres().replication.cut();
        scene.users_notice().await?;
        scene.fire().await?;
        let end = scene.succeeded().await?;
        let lost = scene.loss_is_as_told(&end).await?;
        ensure!(lost > 0, "nothing was lost although replication stood still for 2 s");
        // A bound that is far too careful would be no bound.
        let early = gone - end["rpo"]["last_safe"].as_i64().unwrap_or(0);
        ensure!((1_500_000..10_000_000).contains(&early), "safe up to {early} µs before the end");
        ensure!(end["rpo"]["bytes"].as_u64() > Some(0), "lost {lost} orders, but says {}", end["rpo"]);
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

#[tokio::test]
async fn a_living_primary_whose_application_is_dead_is_fenced_and_drained_without_loss() {
    let only_app = Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]");
    let options = Options { edits: vec![only_app], ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        // The shop in sbg and the checker go on writing to the primary until they are locked out.
        scene.lab.apps_mut().at_mut(Site::Gra).stop();
        let gone = now_micros();
        scene.fire().await?;
        let end = scene.succeeded().await?;
        scene.serves_after(gone).await?;
        let lost = scene.lab.lost_orders(Site::Sbg).await?;
        ensure!(lost.is_empty(), "{} orders are lost, such as {:?}", lost.len(), lost[0]);
        ensure!(end["rpo"]["bytes"] == 0, "it says {}", end["rpo"]);
        let intents = scene.pointsman.records("intended").await?;
        let first = intents.first().map(|record| (record.action(), record.body["call"]["rung"].as_u64()));
        ensure!(first == Some((Some("postgres.fence"), Some(0))), "first came {first:?}");
        ensure!(scene.lab.postgres().runs(Site::Gra), "the old primary was stopped, not locked");
        ensure!(!scene.lab.postgres().is_in_recovery(Site::Gra).await?, "the old primary is no primary");
        scene.name_is_at(Site::Sbg).await?;
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}
