//! Readiness on the lab's real servers: on a quiet day everything is seen to work, nothing is changed by looking, and what
//! breaks is found before it is needed.

use super::scene::{MACHINE, Setup, play};
use anyhow::{Result, ensure};
use lab::{Loss, Site};

#[tokio::test]
async fn a_quiet_day_is_ready_and_what_breaks_is_found_before_it_is_needed() {
    play(Setup::default(), async |scene| {
        let dns = scene.lab.dns();
        let serials = async || {
            Ok::<_, anyhow::Error>((dns.serial(dns.primary).await?, dns.serial(dns.secondary).await?))
        };
        let (before, records) = (serials().await?, scene.pointsman.journal().await?.len());
        let (code, said) = scene.pointsman.cli_any(&["ready", "--all"]).await?;
        ensure!(code == Some(0), "a quiet day is not ready ({code:?}): {said}");
        for words in [
            "1 of 1 playbook would work now",
            "takes updates of these names by the key pointsman",
            "may promote it",
            "it streams from pg-gra",
            "may fence it by SQL up to lockout",
            "fenced answers on pg-gra-host",
            "is let in at pg-sbg",
            "it can be told: 3 of 3 vantages say up",
            "it can be asked at http://",
            "room for the journal: ",
        ] {
            ensure!(said.contains(words), "nothing says {words:?}: {said}");
        }
        ensure!(serials().await? == before, "a look at the zone changed it");
        ensure!(
            scene.pointsman.journal().await?.len() == records,
            "a look that a person asks for is on record"
        );
        scene.nothing_changed().await?;

        // The machine of the primary cannot be reached any more, the zone's primary is down, and so is who is asked about alerts.
        scene.lab.hosts_mut().lose(MACHINE, Loss::Refused).await?;
        scene.lab.dns_mut().stop_primary();
        scene.lab.alertmanagers_mut()[0].kill9();
        // Whoever asks again within ten seconds gets the same answer.
        let (code, said) = scene.pointsman.cli_any(&["ready", "shop-failover"]).await?;
        ensure!(code == Some(0) && said.contains(" s ago"), "{code:?}: {said}");
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let (code, said) = scene.pointsman.cli_any(&["ready", "shop-failover"]).await?;
        ensure!(code == Some(21) && said.contains("NOT READY"), "{code:?}: {said}");
        for code in ["PM4201", "PM4101", "PM5807"] {
            ensure!(said.contains(code), "{code} is not found: {said}");
        }
        ensure!(said.contains("do:"), "nobody says what to do: {said}");
        still_served(scene).await
    })
    .await;
}

/// The run as a test of its playbook: it says what was seen, and passes.
pub async fn tried_again(scene: &super::scene::Scene, run: &str, seen: &str) -> Result<()> {
    let (playbook, config) = (scene.pointsman.playbook_file(), scene.pointsman.config_file());
    let names = [playbook.display().to_string(), config.display().to_string()];
    let words = ["report", run, "--as-test", "--playbook", &names[0], "--config", &names[1]];
    let text = scene.pointsman.cli(&words).await?;
    ensure!(text.contains(seen) && text.contains("outcome: succeeded"), "the test of the run: {text}");
    let file = playbook.with_extension("test.yaml");
    std::fs::write(&file, &text)?;
    let file = file.display().to_string();
    let (code, said) = scene.pointsman.cli_any(&["test", &file, "--no-matrix", "--journal"]).await?;
    ensure!(code == Some(0), "the run cannot be told again ({code:?}): {text}\n{said}");
    Ok(())
}

async fn still_served(scene: &super::scene::Scene) -> Result<()> {
    ensure!(!scene.lab.postgres().is_in_recovery(Site::Gra).await?, "gra is no primary any more");
    ensure!(scene.pointsman.records("intended").await?.is_empty(), "something was intended");
    scene.verifies().await
}
