//! What a failover leaves at its targets keeps a restored old journal, and a stranger, from doing it again.

use super::scene::{MACHINE, Setup, ZONE, play};
use anyhow::{Context, Result, ensure};
use lab::Site;
use lab::pointsman::{Options, Record};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The data directory as it was before the failover, as a backup would bring it back: with its own head file.
#[tokio::test]
async fn a_restored_old_journal_is_frozen_before_its_first_change() {
    let options = Options { mode: "auto", ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        let (data, backup) = (scene.pointsman.data_dir(), scene.lab.dir().join("backup"));
        scene.pointsman.stop();
        copy(&data, &backup)?;
        scene.pointsman.start_again().await?;
        scene.kill_primary().await?;
        scene.fire().await?;
        scene.succeeded().await?;
        let dns = scene.lab.dns();
        let claim = dns.values(dns.secondary, &format!("_pointsman.{ZONE}"), "TXT").await?.concat();
        ensure!(claim.contains("service=shop epoch=1 "), "the zone is claimed by {claim:?}");
        let rows = "select count(*) from pointsman_marker where run like 'pointsman=1 owner=%'";
        let client =
            scene.lab.postgres().client_to(Site::Sbg, lab::Role::Shop, lab::postgres::DATABASE).await?;
        let count: i64 = client.query_one(rows, &[]).await?.get(0);
        ensure!(count == 1, "{count} claims in the database");

        // The name is moved back by hand, the journal is lost and an old backup takes its place: it knows of no run.
        scene.pointsman.kill9();
        std::fs::remove_dir_all(&data)?;
        copy(&backup, &data)?;
        let name = format!("update delete {ZONE}. A\nupdate add {ZONE}. 60 A {}", Site::Gra.app(0));
        dns.nsupdate(&name).await?;
        scene.pointsman.start_again().await?;
        ensure!(scene.pointsman.records("opened").await?.is_empty(), "the backup knows of a run");
        let body = json!({ "playbook": lab::pointsman::PLAYBOOK, "reason": "the alert still fires" });
        let _opened = scene.pointsman.post("/api/v1/runs", &body).await;
        let frozen = |records: &[Record]| records.iter().any(|r| r.kind == "frozen");
        let wait = Duration::from_secs(60);
        let records = scene.pointsman.wait_for("the instance to freeze", wait, frozen).await?;
        let told = records.iter().find(|r| r.kind == "frozen").context("just seen")?;
        ensure!(told.says.contains("PM5504"), "{}", told.says);
        ensure!(!records.iter().any(|r| r.kind == "intended"), "it changed something first");
        let status = scene.pointsman.get("/api/v1/status").await?;
        ensure!(status["says"].as_str().is_some_and(|s| s.starts_with("FROZEN")), "{}", status["says"]);
        // A restart does not thaw it; a person does, and what comes then counts on from there.
        scene.pointsman.kill9();
        scene.pointsman.start_again().await?;
        let status = scene.pointsman.get("/api/v1/status").await?;
        ensure!(!status["frozen"].is_null(), "a restart thawed it: {status}");
        let lead = scene.pointsman.client_as("incident-lead", "ina").await?;
        lead.post("/api/v1/thaw", &json!({ "reason": "sbg serves; the backup is understood" })).await?;
        let plan =
            scene.pointsman.post("/api/v1/plans", &json!({ "playbook": lab::pointsman::PLAYBOOK })).await?;
        ensure!(!plan["blockers"].to_string().contains("PM5504"), "{}", plan["blockers"]);
        ensure!(
            scene.lab.hosts().ssh(MACHINE, "status").await?.stdout.contains("stopped"),
            "the old primary runs"
        );
        scene.verifies().await
    })
    .await;
}
