//! The primary lives, and only Pointsman cannot see it: nothing may be changed.

use super::scene::{Scene, Setup, play};
use anyhow::{Result, ensure};
use lab::pointsman::{Edit, Options, Record};
use std::time::Duration;

/// Cuts the one road, lets the alert come, and gives the reasons for which the run is held.
async fn held_while_cut_off(scene: &Scene) -> Result<String> {
    scene.lab.postgres().pointsman.cut();
    scene.fire().await?;
    let held = |records: &[Record]| records.iter().any(|record| record.kind == "held");
    scene.pointsman.wait_for("the run to be held", Duration::from_secs(40), held).await?;
    // It looks again, and refuses again.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let records = scene.pointsman.records("held").await?;
    ensure!(
        scene.lab.postgres().ask(lab::Site::Gra, "select count(*) from pg_stat_replication").await? == "1"
    );
    scene.nothing_changed().await?;
    scene.one_writer()?;
    scene.verifies().await?;
    Ok(records.iter().map(|record| record.says.as_str()).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn a_primary_that_others_see_is_not_touched() {
    let options = Options { gra_through_proxy: true, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        let says = held_while_cut_off(scene).await?;
        ensure!(says.contains("3 of 3 vantages say up"), "held for another reason: {says}");
        Ok(())
    })
    .await;
}

/// Even without a guard that looks at the origin: the standby still streams from it.
#[tokio::test]
async fn a_primary_that_the_standby_streams_from_is_not_touched() {
    let guard = "  - name: origin is down, seen from outside\n    quorum:\n      probes: [gra-app, gra-db]\n      \
                 vantages: [local, blackbox-par, blackbox-sbg]\n      down: majority          # of the configured \
                 vantages, not of those that answer\n";
    let edits = vec![
        Edit::new(guard, ""),
        Edit::new("still_firing: { or: \"origin is down, seen from outside\" }", "still_firing: {}"),
    ];
    let options = Options { gra_through_proxy: true, edits, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        let says = held_while_cut_off(scene).await?;
        ensure!(says.contains("stream"), "held for another reason: {says}");
        Ok(())
    })
    .await;
}
