//! Two Pointsmen that know nothing of each other: two processes, two journals, one pair.

use super::scene::{Setup, ZONE, play};
use anyhow::{Context, ensure};
use lab::net::wait_until;
use lab::pointsman::{Options, PLAYBOOK, Record};
use lab::{Pointsman, Site};
use serde_json::json;
use std::time::Duration;

/// The first has moved the service; the name was moved back by hand. The second hears of the same outage, and would move it
/// again: what the first left at the zone and in the database refuses, and people are told.
#[tokio::test]
async fn what_one_pointsman_has_moved_is_refused_to_another() {
    play(Setup::default(), async |scene| {
        let second = Options { name: "second", ..Options::default() };
        let second = Pointsman::start(&scene.lab, &second).await?;
        scene.lab.start_alertmanagers(&second.alerting()).await?;
        second.wait_probes_known(Duration::from_secs(60)).await?;
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        let name = format!("update delete {ZONE}. A\nupdate add {ZONE}. 60 A {}", Site::Gra.app(0));
        scene.lab.dns().nsupdate(&name).await?;
        let moved = || async { Ok(scene.name_is_at(Site::Gra).await.is_ok()) };
        wait_until("the name to be back at both servers", Duration::from_secs(10), moved).await?;
        let since = std::time::SystemTime::now();
        scene.lab.alertmanagers()[1].fire(&super::scene::LABELS, since).await?;
        let held = |records: &[Record]| records.iter().any(|record| record.kind == "held");
        let records = second.wait_for("the second to be held", Duration::from_secs(40), held).await?;
        let says = &records.iter().find(|r| r.kind == "held").context("just seen")?.says;
        ensure!(says.contains("claimed by another Pointsman"), "held for another reason: {says}");
        ensure!(!records.iter().any(|r| r.kind == "intended"), "the second changed something");
        let opened = records.iter().find_map(|r| (r.kind == "opened").then(|| r.run())?);
        let why = second.cli(&["why", opened.context("no run")?]).await?;
        ensure!(why.contains("PM5505"), "`why` of the second says: {why}");
        let plan = second.post("/api/v1/plans", &json!({ "playbook": PLAYBOOK })).await?;
        ensure!(plan["blockers"].to_string().contains("PM5505"), "{}", plan["blockers"]);
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");
        scene.one_writer()?;
        scene.verifies().await?;
        let says = second.verify().await?;
        ensure!(says.contains("verified"), "{says}");
        Ok(())
    })
    .await;
}
