//! The way back with real servers: a drain that never ends, and a playbook that says undo.

use super::scene::{Setup, play};
use anyhow::ensure;
use lab::Site;
use lab::net::wait_until;
use lab::pointsman::{Edit, Options};
use std::time::Duration;

#[tokio::test]
async fn a_drain_that_times_out_gives_the_old_primary_back() {
    let edits = vec![
        Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]"),
        Edit::new(
            "with: { target: \"${to.db}\", old: \"${from.db}\" }",
            "with: { target: \"${to.db}\", old: \"${from.db}\", drain_timeout: 2s }\n    on_failure: undo",
        ),
    ];
    let options = Options { edits, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        let hba = "select pg_read_file(current_setting('hba_file'))";
        let before = scene.lab.postgres().ask(Site::Gra, hba).await?;
        scene.lab.apps_mut().at_mut(Site::Gra).stop();
        // The checker goes on writing, and nothing of it arrives any more.
        scene.lab.postgres().replication.stall();
        scene.fire().await?;
        let end = scene.finished().await?;
        ensure!(end["outcome"] == "undone", "the run ended otherwise: {end}");
        ensure!(scene.lab.postgres().ask(Site::Gra, hba).await? == before, "another pg_hba than before");
        ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "sbg was promoted");
        ensure!(scene.promotions().await?.1 == 0, "a promotion was applied");
        let writes = || async {
            let stretches = scene.checker.stretches();
            Ok(stretches.iter().filter(|s| s.node == Site::Gra).count() >= 2)
        };
        wait_until("writes in gra after the fence was taken back", Duration::from_secs(15), writes).await?;
        let undo = scene.pointsman.records("intended").await?;
        let undo: Vec<_> = undo.iter().filter(|r| r.body["call"]["undo"] == true).collect();
        ensure!(undo.len() == 1 && undo[0].action() == Some("postgres.unfence"), "{} undos", undo.len());
        let run = scene.pointsman.records("opened").await?[0].run().unwrap_or_default().to_owned();
        let run = scene.pointsman.run(&run).await?;
        ensure!(run["outcome"] == "undone" && run["by_hand"].as_array().is_some_and(Vec::is_empty), "{run}");
        scene.lab.postgres().replication.resume();
        scene.lab.postgres().wait_streaming(Site::Gra).await?;
        scene.checker.assert_never_two_writers()?;
        scene.verifies().await
    })
    .await;
}
