//! Pointsman in a network of its own, and the road to the old region breaks: the primary goes on serving whoever reaches
//! it. Whatever Pointsman is told meanwhile, nothing is changed.

use super::scene::{FINISHED, Scene, Setup, play};
use anyhow::{Context, Result, ensure};
use lab::net::wait_until;
use lab::pointsman::{Edit, Options, Record};
use lab::{Site, faults};
use serde_json::json;
use std::time::Duration;

async fn cut_off(scene: &Scene) -> Result<()> {
    scene.pointsman.apart.as_ref().context("it has no network of its own")?.cut(Site::Gra).await
}

/// Others see the primary: held, and `why` tells by which values.
#[tokio::test]
async fn cut_off_alone_it_holds_and_says_why() {
    if !faults::root_or_skip("cut_off_alone_it_holds_and_says_why") {
        return;
    }
    let options = Options { apart: true, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        cut_off(scene).await?;
        scene.fire().await?;
        let held = |records: &[Record]| records.iter().any(|record| record.kind == "held");
        scene.pointsman.wait_for("the run to be held", Duration::from_secs(40), held).await?;
        let says = scene.pointsman.cli(&["why", "shop"]).await?;
        ensure!(says.contains("vantages say up"), "`why` says: {says}");
        scene.nothing_changed().await?;
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

/// The worst case: every vantage says that the shop of the region is down, and rightly; its database serves others, and
/// no way to fence it passes the broken road.
#[tokio::test]
async fn cut_off_from_a_primary_that_serves_others_it_promotes_nothing() {
    if !faults::root_or_skip("cut_off_from_a_primary_that_serves_others_it_promotes_nothing") {
        return;
    }
    let edits = vec![Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]")];
    let options = Options { apart: true, edits, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        cut_off(scene).await?;
        scene.lab.apps_mut().at_mut(Site::Gra).stop();
        scene.fire().await?;
        let asked = || async {
            let runs = scene.pointsman.runs().await?;
            let id = runs.first().and_then(|run| run["run"].as_str()).context("no run yet")?;
            Ok(scene.pointsman.run(id).await?["unfenced_offer"] == json!(["pg-gra"]))
        };
        wait_until("people to be asked about the fence", FINISHED, asked).await?;
        let writes = || {
            let stretches = scene.checker.stretches();
            stretches.iter().filter(|s| s.node == Site::Gra).map(|s| s.writes).sum::<usize>()
        };
        let before = writes();
        tokio::time::sleep(Duration::from_secs(3)).await;
        ensure!(writes() > before + 20, "the primary serves nobody: {before} writes, then {}", writes());
        ensure!(scene.pointsman.records("intended").await?.is_empty(), "something was changed");
        ensure!(!scene.lab.postgres().is_in_recovery(Site::Gra).await?, "gra is no primary any more");
        ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "sbg was promoted");
        let runs = scene.pointsman.runs().await?;
        let run = runs[0]["run"].as_str().context("a run without id")?;
        let says = scene.pointsman.cli(&["why", run]).await?;
        ensure!(says.contains("PM3102"), "`why` says: {says}");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}
