//! Pointsman is killed in the middle, and started again: it goes on, and nothing is done twice.

use super::scene::{Scene, Setup, now_micros, play};
use anyhow::{Context, Result, ensure};
use lab::Site;
use lab::pointsman::Record;
use std::time::Duration;

/// Waits for the record at which Pointsman has to die, and kills it there. Gives its position.
async fn kill_at(scene: &mut Scene, at: fn(&Record) -> bool) -> Result<u64> {
    let mut follower = scene.pointsman.client.follow(1).await?;
    let found = async {
        while let Some(record) = follower.next().await? {
            if at(&record) {
                return Ok(record.position);
            }
        }
        anyhow::bail!("the journal's events ended before that point")
    };
    let found = tokio::time::timeout(Duration::from_secs(60), found).await;
    let position = found.context("the point to die at never came")??;
    scene.pointsman.kill9();
    Ok(position)
}

async fn survives(at: fn(&Record) -> bool) {
    play(Setup::default(), async |scene| {
        let gone = scene.kill_primary().await?;
        scene.fire().await?;
        let position = kill_at(scene, at).await?;
        scene.pointsman.start_again().await?;
        let journal = scene.pointsman.journal().await?;
        ensure!(
            !journal.iter().any(|record| record.kind == "finished" && record.position <= position + 3),
            "the run was over before the kill: nothing was tested"
        );
        let end = scene.succeeded().await?;
        let taken = scene.pointsman.records("taken").await?;
        ensure!(!taken.is_empty(), "nobody took the run over: it was finished before the kill");
        let (intents, applied) = scene.promotions().await?;
        ensure!(intents == 1 && applied <= 1, "{intents} intents to promote, {applied} applied");
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");
        scene.serves_after(gone).await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.loss_is_as_told(&end).await?;
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

fn is_call(record: &Record, kind: &str, item: &str) -> bool {
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
