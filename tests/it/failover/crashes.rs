//! Pointsman is killed in the middle, and started again: it goes on, and nothing is done twice.

use super::gate::Gate;
use super::scene::{Setup, play};
use anyhow::{Context, Result, ensure};
use lab::pointsman::{Edit, Options, Record};
use lab::{Pointsman, Site};
use std::time::Duration;

/// Waits for the record at which Pointsman has to die, and kills it there.
pub async fn kill_at(pointsman: &mut Pointsman, at: fn(&Record) -> bool) -> Result<()> {
    kill_after(pointsman, 1, at).await
}

/// As [`kill_at`], of the records from that position on.
pub async fn kill_after(pointsman: &mut Pointsman, from: u64, at: fn(&Record) -> bool) -> Result<()> {
    let mut follower = pointsman.client.follow(from).await?;
    let found = async {
        while let Some(record) = follower.next().await? {
            if at(&record) {
                return Ok(());
            }
        }
        anyhow::bail!("the journal's events ended before that point")
    };
    let found = tokio::time::timeout(Duration::from_secs(60), found).await;
    found.context("the point to die at never came")??;
    pointsman.kill9();
    Ok(())
}

async fn survives(at: fn(&Record) -> bool) {
    let gate = Gate::start().await.unwrap();
    let look =
        gate.named_in("\nverify:\n  - action: http.expect\n    with: { url: \"GATE\", status: 200 }\n ");
    let edits = vec![Edit::new("\nverify: ", look)];
    let setup = Setup { options: Options { edits, ..Options::default() }, ..Setup::default() };
    play(setup, async |scene| {
        let gone = scene.kill_primary().await?;
        gate.close();
        scene.fire().await?;
        kill_at(&mut scene.pointsman, at).await?;
        gate.open();
        scene.pointsman.start_again().await?;
        let end = scene.succeeded().await?;
        let taken = scene.pointsman.records("taken").await?;
        ensure!(taken.len() == 1, "taken over {} times: was it finished before the kill?", taken.len());
        let (intents, applied) = scene.promotions().await?;
        // Killed between intent and signal, it asks once more; the server promotes once, as its timeline shows.
        ensure!(intents <= 2 && applied <= 1, "{intents} intents to promote, {applied} applied");
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");
        scene.serves_after(gone).await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.loss_is_as_told(&end).await?;
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

pub fn is_call(record: &Record, kind: &str, item: &str) -> bool {
    record.kind == kind && record.says.starts_with(item)
}

#[tokio::test]
async fn killed_right_after_the_run_opened() {
    survives(|record| record.kind == "opened").await;
}

#[tokio::test]
async fn killed_after_the_intent_to_fence() {
    survives(|record| is_call(record, "intended", "fence old primary")).await;
}

#[tokio::test]
async fn killed_after_the_fence_ended() {
    survives(|record| is_call(record, "ended", "fence old primary")).await;
}

#[tokio::test]
async fn killed_after_the_promotion_ended() {
    survives(|record| is_call(record, "ended", "promote standby")).await;
}

#[tokio::test]
async fn killed_after_the_application_was_pointed_at_the_new_site() {
    survives(|record| is_call(record, "ended", "point the app")).await;
}
