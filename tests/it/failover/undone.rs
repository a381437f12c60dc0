//! The way back with real servers: a drain that never ends and a playbook that says undo, a person's abort, and a death
//! in the middle of it.

use super::scene::{Scene, Setup, play};
use anyhow::{Context, Result, ensure};
use lab::Site;
use lab::net::wait_until;
use lab::pointsman::{Edit, Options, Record};
use std::time::Duration;

pub const HBA: &str = "select pg_read_file(current_setting('hba_file'))";

/// A living primary whose shop is dead, and a standby that gets nothing more: the drain must time out.
fn setup(on_failure: &str) -> Setup {
    let with = "with: { target: \"${to.db}\", old: \"${from.db}\"";
    let edits = vec![
        Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]"),
        Edit::new(
            format!("{with} }}"),
            format!("{with}, drain_timeout: 2s }}\n    on_failure: {on_failure}"),
        ),
    ];
    let options = Options { edits, ..Options::default() };
    Setup { options, ..Setup::default() }
}

/// The file of rules as it was before.
async fn begin(scene: &mut Scene) -> Result<String> {
    let before = scene.lab.postgres().ask(Site::Gra, HBA).await?;
    scene.lab.apps_mut().at_mut(Site::Gra).stop();
    // The checker goes on writing, and nothing of it arrives any more.
    scene.lab.postgres().replication.stall();
    scene.fire().await?;
    Ok(before)
}

/// Nothing was promoted, and the old primary takes writes again, under the rules that it had.
pub async fn as_before(scene: &Scene, rules: &str) -> Result<()> {
    ensure!(scene.lab.postgres().ask(Site::Gra, HBA).await? == rules, "another pg_hba than before");
    ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "sbg was promoted");
    ensure!(scene.promotions().await?.1 == 0, "a promotion was applied");
    let writes = || async {
        let stretches = scene.checker.stretches();
        Ok(stretches.iter().filter(|s| s.node == Site::Gra).count() >= 2)
    };
    wait_until("writes in gra after the fence was taken back", Duration::from_secs(15), writes).await?;
    scene.lab.postgres().replication.resume();
    scene.lab.postgres().wait_streaming(Site::Gra).await?;
    scene.checker.assert_never_two_writers()?;
    scene.verifies().await
}

#[tokio::test]
async fn an_abort_takes_the_fence_back_across_a_death_in_the_middle() {
    play(setup("pause"), async |scene| {
        let rules = begin(scene).await?;
        let parked = |records: &[Record]| records.iter().any(|r| r.kind == "parked");
        scene.pointsman.wait_for("the drain to time out", Duration::from_secs(40), parked).await?;
        let run = scene.pointsman.records("opened").await?[0].run().context("a run without id")?.to_owned();
        let (code, says) = scene.pointsman.cli_any(&["watch", &run]).await?;
        ensure!(code == Some(11), "`watch` left with {code:?}: {says}");
        let words = ["abort", &run, "--reason", "the shop of gra is mended"];
        // Hung, the old primary keeps the way back in its middle.
        scene.lab.postgres().sigstop_postmaster(Site::Gra)?;
        scene.pointsman.cli(&words).await?;
        let begun = |records: &[Record]| {
            let turned = records.iter().skip_while(|record| record.kind != "undoing");
            turned.filter(|record| record.says.starts_with("taking back")).count() > 0
        };
        scene.pointsman.wait_for("the way back to begin", Duration::from_secs(20), begun).await?;
        scene.pointsman.kill9();
        scene.lab.postgres().sigcont(Site::Gra)?;
        scene.pointsman.start_again().await?;
        let end = scene.finished().await?;
        ensure!(end["outcome"] == "undone", "the run ended otherwise: {end}");
        ensure!(scene.pointsman.records("taken").await?.len() == 1, "it was over before the kill");
        let told = scene.pointsman.records("told").await?;
        ensure!(told.len() == 1 && told[0].says.contains("the shop of gra is mended"), "{told:?}");
        let (code, says) = scene.pointsman.cli_any(&["watch", &run]).await?;
        ensure!(code == Some(12), "`watch` left with {code:?}: {says}");
        as_before(scene, &rules).await
    })
    .await;
}

#[tokio::test]
async fn a_drain_that_times_out_gives_the_old_primary_back() {
    play(setup("undo"), async |scene| {
        let rules = begin(scene).await?;
        let end = scene.finished().await?;
        ensure!(end["outcome"] == "undone", "the run ended otherwise: {end}");
        let undo = scene.pointsman.records("intended").await?;
        let undo: Vec<_> = undo.iter().filter(|r| r.body["call"]["undo"] == true).collect();
        ensure!(undo.len() == 1 && undo[0].action() == Some("postgres.unfence"), "{} undos", undo.len());
        let run = scene.pointsman.records("opened").await?[0].run().unwrap_or_default().to_owned();
        let run = scene.pointsman.run(&run).await?;
        ensure!(run["outcome"] == "undone" && run["by_hand"].as_array().is_some_and(Vec::is_empty), "{run}");
        as_before(scene, &rules).await
    })
    .await;
}
