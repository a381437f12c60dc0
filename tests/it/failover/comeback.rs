//! The old primary comes back after the failover: it is seen, fenced again, and watched until it is a standby.

use super::scene::{MACHINE, Scene, Setup, play};
use anyhow::{Result, ensure};
use lab::Site;
use lab::net::wait_until;
use lab::pointsman::Record;
use std::time::Duration;

/// The promise: seen, and shut, within this.
const DETECTED: Duration = Duration::from_secs(10);

fn watch(records: &[Record], state: &str) -> usize {
    records.iter().filter(|r| r.kind == "fence_watch" && r.body["state"] == state).count()
}

async fn watched(scene: &Scene, state: &str, at_least: usize, limit: Duration) -> Result<Vec<Record>> {
    let asked = |records: &[Record]| watch(records, state) >= at_least;
    scene.pointsman.wait_for(&format!("the fence watch to say {state}"), limit, asked).await
}

/// Somebody takes the mask away and starts the old server by hand; how long both took writes.
async fn comes_back(scene: &Scene) -> Result<Duration> {
    let before = scene.checker.stretches().len();
    scene.lab.hosts().ssh(MACHINE, "unfence").await?;
    let back = || async {
        let seen = scene.checker.stretches();
        Ok(seen.len() > before && seen[before..].iter().any(|s| s.node == Site::Gra))
    };
    wait_until("the old primary to take writes", Duration::from_secs(20), back).await?;
    let quiet = || async {
        let last = |all: &[lab::checker::Stretch]| {
            all.iter().filter(|s| s.node == Site::Gra).map(|s| s.writes).sum::<usize>()
        };
        let now = last(&scene.checker.stretches());
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(last(&scene.checker.stretches()) == now)
    };
    wait_until("the old primary to take no more writes", Duration::from_secs(30), quiet).await?;
    let all = scene.checker.stretches();
    let returned = || all[before..].iter().filter(|s| s.node == Site::Gra);
    let (Some(first), Some(last)) =
        (returned().map(|s| s.first.sent).min(), returned().map(|s| s.last.acked).max())
    else {
        anyhow::bail!("no write of the old primary is on record");
    };
    Ok(last - first)
}

#[tokio::test]
async fn an_old_primary_that_comes_back_is_fenced_again_within_ten_seconds() {
    play(Setup::default(), async |scene| {
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        scene.one_writer()?;
        let status = scene.pointsman.get("/api/v1/status").await?;
        let line = &status["fence_watches"][0];
        ensure!(line["target"] == "pg-gra" && line["state"] == "watching", "status shows {line}");
        ensure!(line["rung"] == "stopped", "status shows {line}");
        // Limits of automation stand against the service by now, and none of them holds a fence back.
        let limits = status["held_back"].to_string();
        ensure!(limits.contains("PM5411") && limits.contains("PM5412"), "held back by {limits}");

        let both = comes_back(scene).await?;
        println!("two primaries took writes for {:.1} s", both.as_secs_f64());
        ensure!(both < DETECTED, "both took writes for {both:?}");
        let records = watched(scene, "watching", 2, Duration::from_secs(20)).await?;
        ensure!(watch(&records, "seen_writable") == 1, "told {} times", watch(&records, "seen_writable"));
        let says = &records.iter().rfind(|r| r.kind == "fence_watch").expect("one").says;
        ensure!(says.contains("fenced again (lockout) by run"), "{says}");
        let refence = records.iter().rfind(|r| r.kind == "opened").expect("a run");
        ensure!(
            refence.body["opened"]["kind"] == "refence" || refence.body["kind"] == "refence",
            "{}",
            refence.body
        );
        let limits = scene.pointsman.get("/api/v1/status").await?["held_back"].to_string();
        let named = format!("run {} ended", refence.run().unwrap_or_default());
        ensure!(limits.contains(&named), "the cooldown does not begin anew: {limits}");
        // It runs, locked: nobody but Pointsman gets in, and what it took is not replicated anywhere.
        ensure!(scene.lab.postgres().runs(Site::Gra), "it was stopped, not locked");
        let metrics = reqwest::get(format!("{}/metrics", scene.pointsman.url())).await?.text().await?;
        for line in ["old_primary_returned_total 1", "old_primary_fenced_again_total{end=\"fenced\"} 1"] {
            ensure!(metrics.contains(line), "no {line} in {metrics}");
        }
        // The next start of the server goes on watching; a person ends it.
        scene.pointsman.kill9();
        scene.pointsman.start_again().await?;
        let seen = || async {
            let status = scene.pointsman.get("/api/v1/status").await?;
            Ok(status["fence_watches"][0]["seen"].as_str().is_some_and(|s| s.contains("clients are refused")))
        };
        wait_until("the watch to go on after a restart", Duration::from_secs(20), seen).await?;
        let shown = scene.pointsman.cli(&["status"]).await?;
        ensure!(shown.contains("pg-gra") && shown.contains("watching"), "{shown}");
        let said = scene.pointsman.cli(&["close-watch", "pg-gra", "--reason", "rebuilt"]).await?;
        ensure!(said.contains("closed"), "{said}");
        let status = scene.pointsman.get("/api/v1/status").await?;
        ensure!(status["fence_watches"] == serde_json::json!([]), "{}", status["fence_watches"]);
        scene.verifies().await
    })
    .await;
}

/// Pointsman was down for an hour (its wall clock jumps, and is wrong by that much for everybody else), the old host went
/// through a reboot, and then somebody takes the mask away: the watch is still there, and it acts.
#[tokio::test]
async fn an_hour_later_the_old_host_comes_up_masked_and_unmasked_is_fenced_again() {
    play(Setup::default(), async |scene| {
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        scene.one_writer()?;
        scene.pointsman.stop();
        let before = scene.lab.postgres().supervisor_log(Site::Gra)?.len();
        scene.lab.postgres_mut().reboot(Site::Gra)?;
        scene.pointsman.set_clock_ahead(Duration::from_secs(3600))?;
        scene.pointsman.start_again().await?;
        let refused = || async {
            let lines = scene.lab.postgres().supervisor_log(Site::Gra)?;
            Ok(lines[before..].iter().any(|line| line.text == "refused: masked"))
        };
        wait_until("the rebooted host to refuse its server", Duration::from_secs(10), refused).await?;
        ensure!(!scene.lab.postgres().runs(Site::Gra), "the old primary runs");
        let status = scene.pointsman.get("/api/v1/status").await?;
        let line = &status["fence_watches"][0];
        ensure!(line["target"] == "pg-gra" && line["state"] == "watching", "status shows {line}");

        let both = comes_back(scene).await?;
        println!("two primaries took writes for {:.1} s", both.as_secs_f64());
        ensure!(both < DETECTED, "both took writes for {both:?}");
        let records = watched(scene, "watching", 2, Duration::from_secs(20)).await?;
        let says = &records.iter().rfind(|r| r.kind == "fence_watch").expect("one").says;
        ensure!(says.contains("fenced again (lockout) by run"), "{says}");
        // The record of the first run and that of the second are an hour apart.
        let opened = scene.pointsman.records("opened").await?;
        let apart = opened.last().map_or(0, |last| last.at - opened[0].at);
        ensure!(apart > 3_600_000_000, "the runs are {apart} µs apart");
        // Clocks that differ hold back what alerts start, and say so; they do not hold back a fence.
        let shown = scene.pointsman.cli(&["status"]).await?;
        ensure!(shown.contains("PM5506") && shown.contains("pg-gra"), "{shown}");
        scene.verifies().await
    })
    .await;
}

#[tokio::test]
async fn the_watch_ends_when_the_old_primary_is_a_standby_of_the_new_timeline() {
    play(Setup::default(), async |scene| {
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        scene.one_writer()?;
        scene.lab.postgres().unmask(Site::Gra)?;
        scene.lab.postgres().rejoin(Site::Gra).await?;
        watched(scene, "seen_as_standby", 1, Duration::from_secs(30)).await?;
        let status = scene.pointsman.get("/api/v1/status").await?;
        ensure!(status["fence_watches"] == serde_json::json!([]), "{}", status["fence_watches"]);
        let opened = scene.pointsman.records("opened").await?.len();
        ensure!(opened == 1, "{opened} runs: a standby needs no fence");
        scene.verifies().await
    })
    .await;
}

/// As an operator would, by hand.
async fn name_to(lab: &lab::Lab, site: Site) -> Result<()> {
    let (name, address) = (super::scene::ZONE, site.app(0));
    lab.dns().nsupdate(&format!("update delete {name}. A\nupdate add {name}. 60 A {address}")).await
}

#[tokio::test]
async fn a_name_that_drifts_back_within_the_commit_window_is_reported() {
    play(Setup::default(), async |scene| {
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        let lab = &scene.lab;
        name_to(lab, Site::Gra).await?;
        let is = |state: &'static str| {
            move |records: &[Record]| {
                records.iter().any(|r| r.kind == "commit_window" && r.body["state"] == state)
            }
        };
        let wait = Duration::from_secs(40);
        let records = scene.pointsman.wait_for("the drift to be told", wait, is("drifted")).await?;
        let told = records.iter().find(|r| r.kind == "commit_window").expect("just seen");
        ensure!(told.says.contains("swap DNS") && told.says.contains("PM5503"), "{}", told.says);
        let shown = scene.pointsman.cli(&["status"]).await?;
        ensure!(shown.contains("DRIFTED"), "{shown}");
        let intents = scene.pointsman.records("intended").await?.len();
        name_to(lab, Site::Sbg).await?;
        scene.pointsman.wait_for("it to be told back", wait, is("back")).await?;
        ensure!(scene.pointsman.records("intended").await?.len() == intents, "it acted on a drift");
        scene.verifies().await
    })
    .await;
}
