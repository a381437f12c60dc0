//! What many, late and short alerts make: one run, or none.

use super::scene::{LABELS, Setup, play};
use anyhow::{Result, ensure};
use lab::pointsman::{Options, Record};
use lab::{Alertmanager, Pointsman};
use std::time::Duration;

async fn count(pointsman: &Pointsman, kind: &str) -> Result<usize> {
    Ok(pointsman.records(kind).await?.len())
}

fn of(kind: &str, at_least: usize) -> impl Fn(&[Record]) -> bool {
    move |records| records.iter().filter(|record| record.kind == kind).count() >= at_least
}

/// By its own count, and nothing that it sent was refused.
async fn has_delivered(alertmanager: &Alertmanager) -> Result<()> {
    let metrics = reqwest::get(format!("{}/metrics", alertmanager.url())).await?.text().await?;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains("webhook"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let (sent, failed) =
        (value("alertmanager_notifications_total"), value("alertmanager_notifications_failed_total"));
    ensure!(
        sent > Some(0.0) && failed == Some(0.0),
        "{}: sent {sent:?}, failed {failed:?}",
        alertmanager.url()
    );
    Ok(())
}

#[tokio::test]
async fn two_alertmanagers_repeats_an_end_and_a_late_copy_are_one_run() {
    let options = Options { alertmanagers: 2, ..Options::default() };
    let setup = Setup { options, repeat: Duration::from_secs(1), ..Setup::default() };
    play(setup, async |scene| {
        let wait = Duration::from_secs(20);
        scene.kill_primary().await?;
        let since = std::time::SystemTime::now();
        for alertmanager in scene.lab.alertmanagers() {
            alertmanager.fire(&LABELS, since).await?;
        }
        scene.succeeded().await?;
        let before = count(&scene.pointsman, "delivered").await?;
        ensure!(before >= 2, "only {before} deliveries");
        scene.pointsman.wait_for("repeats", wait, of("delivered", before + 3)).await?;
        for alertmanager in scene.lab.alertmanagers() {
            has_delivered(alertmanager).await?;
            alertmanager.resolve(&LABELS, since).await?;
        }
        scene.pointsman.wait_for("the end of the alert", wait, of("occurrence_closed", 1)).await?;
        // The other Alertmanager's word may still be on its way.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = count(&scene.pointsman, "delivered").await?;
        scene.lab.alertmanagers()[1].fire(&LABELS, since).await?;
        scene.pointsman.wait_for("the late copy", wait, of("delivered", before + 1)).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        ensure!(count(&scene.pointsman, "opened").await? == 1, "there is more than one run");
        let sources: Vec<_> = scene.pointsman.records("occurrence_opened").await?;
        ensure!(sources.len() == 1, "{} occurrences: {:?}", sources.len(), sources[1].says);
        ensure!(scene.promotions().await? == (1, 1), "{:?}", scene.promotions().await?);
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

#[tokio::test]
async fn a_blip_shorter_than_the_confirmation_opens_no_run_and_the_record_says_why() {
    let hold = Duration::from_secs(8);
    let options = Options { confirmed_for: hold, ..Options::default() };
    let setup = Setup { options, restart_after: Some(Duration::from_secs(3)), ..Setup::default() };
    play(setup, async |scene| {
        scene.kill_primary().await?;
        let since = scene.fire().await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        scene.lab.alertmanagers()[0].resolve(&LABELS, since).await?;
        let records =
            scene.pointsman.wait_for("a reason", Duration::from_secs(20), of("not_started", 1)).await?;
        // Long after the confirmation would have been complete, there is still nothing.
        tokio::time::sleep(hold).await;
        ensure!(count(&scene.pointsman, "opened").await? == 0, "a run was opened");
        ensure!(count(&scene.pointsman, "held").await? == 1, "the confirmation was not recorded once");
        let reasons: Vec<_> = records.iter().filter(|record| record.kind == "not_started").collect();
        ensure!(reasons.len() == 1, "{} reasons", reasons.len());
        let says = &reasons[0].says;
        ensure!(
            says.contains("shop-failover: ") && says.contains("confirmed for 8.0 s"),
            "the reason is: {says}"
        );
        scene.nothing_changed().await?;
        scene.verifies().await
    })
    .await;
}
