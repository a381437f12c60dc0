//! A primary that serves others and that nobody of ours can reach: neither SQL nor SSH fences it. Its provider switches the
//! machine off, and only when that is really so a standby is promoted.

use super::scene::{FINISHED, MACHINE, Scene, Setup, now_micros, play};
use crate::canary;
use anyhow::{Result, ensure};
use lab::net::wait_until;
use lab::pointsman::{Edit, Options};
use lab::providers::Droplet;
use lab::{Loss, Site};
use std::time::Duration;

const BY_HAND: &str = "      - manual: Power off ${from.db} in the provider's console, then confirm.\n";
const BY_PROVIDER: &str = "      - action: digitalocean.droplet\n        with: { target: vm-gra }\n";

fn setup(droplet: &Droplet, token: &std::path::Path) -> Setup {
    let targets = format!(
        "\n[targets.vm-gra]\nkind = \"digitalocean_droplet\"\nsite = \"gra\"\napi = \"http://{}\"\ndroplet = {}\n\
         token = {{ file = {token:?} }}\n",
        droplet.http, droplet.id
    );
    let edits =
        vec![Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]"), Edit::new(BY_HAND, BY_PROVIDER)];
    let options = Options { gra_through_proxy: true, edits, targets, ..Options::default() };
    Setup { options, ..Setup::default() }
}

/// Whoever reaches the primary goes on writing to it.
async fn still_serves(scene: &Scene) -> Result<()> {
    let writes = || {
        let stretches = scene.checker.stretches();
        stretches
            .iter()
            .filter(|stretch| stretch.node == Site::Gra)
            .map(|stretch| stretch.writes)
            .sum::<usize>()
    };
    let before = writes();
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(writes() > before, "the primary serves nobody");
    Ok(())
}

/// The provider at work: it was asked, takes its time, and then the machine is gone with all that ran on it.
async fn provider_works(scene: &Scene, droplet: &Droplet) -> Result<()> {
    let asked = || async { Ok(droplet.asked().as_deref() == Some("power_off")) };
    wait_until("the provider to be asked", FINISHED, asked).await?;
    // Taken is not done: as long as the machine runs nothing is promoted.
    still_serves(scene).await?;
    ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "promoted beside a machine that runs");
    scene.lab.postgres().kill9(Site::Gra)?;
    droplet.carried_out();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_out_of_reach_is_switched_off_by_its_provider() {
    let droplet = Droplet::start().await.unwrap();
    droplet.by_hand();
    canary::plant(droplet.token);
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, droplet.token).unwrap();
    play(setup(&droplet, &token), async |scene| {
        scene.lab.hosts_mut().lose(MACHINE, Loss::Silent).await?;
        scene.lab.postgres().pointsman.stall();
        scene.lab.apps_mut().at_mut(Site::Gra).stop();
        let (gone, scene) = (now_micros(), &*scene);
        scene.fire().await?;
        let (end, ()) = tokio::try_join!(scene.succeeded(), provider_works(scene, &droplet))?;
        scene.serves_after(gone).await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.loss_is_as_told(&end).await?;
        ensure!(scene.promotions().await? == (1, 1), "promoted {:?} times", scene.promotions().await?);
        // The provider is the only one that was asked, once, and before the promotion.
        let journal = scene.pointsman.journal().await?;
        let acts: Vec<&str> = journal.iter().filter_map(|record| record.action()).take(2).collect();
        ensure!(acts == ["digitalocean.droplet", "postgres.promote"], "it began with {acts:?}");
        let fences = ["postgres.fence", "digitalocean.droplet"];
        let count = journal.iter().filter(|r| r.action().is_some_and(|kind| fences.contains(&kind))).count();
        ensure!(count == 1, "fenced {count} times");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}
