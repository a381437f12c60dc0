//! A planned move between real servers that both live: orders come until the fence and after it, none is lost, and what
//! cannot be proven is given back.

use super::scene::{Scene, Setup, now_micros, play};
use super::undone;
use anyhow::{Context, Result, ensure};
use lab::pointsman::{Edit, Options, Record, SWITCHOVER};
use lab::{Site, orders};
use serde_json::json;
use std::time::Duration;

fn setup(edits: Vec<Edit>) -> Setup {
    let options = Options { switchover: Some(edits), ..Options::default() };
    Setup { options, ..Setup::default() }
}

/// A person asks for it.
async fn ask(scene: &Scene) -> Result<String> {
    let words = json!({ "playbook": SWITCHOVER, "reason": "the roof of gra is mended tomorrow" });
    let opened = scene.pointsman.post("/api/v1/runs", &words).await?;
    Ok(opened["run"].as_str().context("a run without id")?.to_owned())
}

#[tokio::test]
async fn a_living_primary_is_moved_on_purpose_and_not_one_order_is_lost() {
    play(setup(vec![]), async |scene| {
        let (code, plan) = scene.pointsman.cli_any(&["plan", SWITCHOVER]).await?;
        ensure!(
            code == Some(0) && plan.contains("nothing is lost, or nothing is promoted"),
            "{code:?}: {plan}"
        );
        scene.nothing_changed().await?;
        let before = now_micros();
        ask(scene).await?;
        let end = scene.succeeded().await?;
        scene.serves_after(before).await?;
        scene.name_is_at(Site::Sbg).await?;

        // Both shops took orders until the fence; every one of them is there.
        let promised = orders::acknowledged(scene.lab.apps())?;
        let in_gra = promised.iter().filter(|order| order.site == "gra").count();
        let lost = scene.lab.lost_orders(Site::Sbg).await?;
        ensure!(in_gra > 5 && lost.is_empty(), "{} of {} orders are lost", lost.len(), promised.len());
        ensure!(end["rpo"]["bytes"] == 0, "it says {}", end["rpo"]);
        let intents = scene.pointsman.records("intended").await?;
        let order: Vec<_> = intents.iter().filter_map(Record::action).take(2).collect();
        ensure!(order == ["postgres.fence", "postgres.promote"], "{order:?}");
        let bound = &intents[1].body["change"]["bounds"]["data_loss_bytes"];
        ensure!(*bound == 0, "the plan let {bound} bytes be lost");
        ensure!(scene.promotions().await? == (1, 1), "{:?}", scene.promotions().await?);
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");

        // The old primary comes back from a crash, and is still not for anybody.
        scene.lab.postgres().kill9(Site::Gra)?;
        scene.lab.postgres().start_again(Site::Gra).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure!(!scene.lab.postgres().is_in_recovery(Site::Gra).await?, "the old primary is a standby");
        ensure!(scene.pointsman.runs().await?.len() == 1, "something else was opened meanwhile");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

#[tokio::test]
async fn what_does_not_arrive_is_not_left_behind_and_the_living_primary_is_given_back() {
    let edits = vec![Edit::new("drain_timeout: 20s", "drain_timeout: 2s")];
    play(setup(edits), async |scene| {
        let rules = scene.lab.postgres().ask(Site::Gra, undone::HBA).await?;
        // The checker and the shops go on writing, and nothing of it arrives any more.
        scene.lab.postgres().replication.stall();
        let run = ask(scene).await?;
        let end = scene.finished().await?;
        ensure!(end["outcome"] == "undone", "the run ended otherwise: {end}");
        let (code, says) = scene.pointsman.cli_any(&["watch", &run]).await?;
        ensure!(code == Some(12), "`watch` left with {code:?}: {says}");
        undone::as_before(scene, &rules).await?;

        // An alert never starts such a move: its playbook waits for none, and a dead primary is no planned move.
        scene.kill_primary().await?;
        let run = ask(scene).await?;
        let refused = |records: &[Record]| {
            records
                .iter()
                .filter(|record| record.kind == "finished" && record.run() == Some(run.as_str()))
                .count()
                == 1
        };
        let records =
            scene.pointsman.wait_for("the second run to end", Duration::from_secs(30), refused).await?;
        let end = records.iter().rfind(|record| record.kind == "finished").context("no end")?;
        ensure!(end.body["outcome"] == "refused" && end.body.to_string().contains("PM2191"), "{}", end.body);
        Ok(())
    })
    .await;
}
