//! Playbooks that change while the real server runs: good ones are taken, broken ones leave the last good form in force,
//! also over a restart, and a folder that went away takes nothing with it.

use crate::limits::yard::{Plot, Yard};
use pointsman::kernel::domain::Role;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

async fn status(yard: &Yard) -> Value {
    yard.server.get("/api/v1/status").await.1
}

async fn playbook(yard: &Yard, name: &str) -> Value {
    let all = status(yard).await["playbooks"].as_array().unwrap().clone();
    all.into_iter().find(|p| p["name"] == name).unwrap_or(Value::Null)
}

/// Until the server says so of this playbook; looks of the folder are two seconds apart.
async fn until(yard: &Yard, name: &str, found: impl Fn(&Value) -> bool) {
    let what = format!("playbook {name}");
    yard.until(&what, 1, 20, async || usize::from(found(&playbook(yard, name).await))).await;
}

fn screen(yard: &Yard) -> String {
    let out = Command::new(crate::serve::rig::BINARY)
        .arg("status")
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token(Role::Viewer.as_str()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

async fn plan(yard: &Yard) -> (u16, Value) {
    yard.server.post("/api/v1/plans", json!({ "playbook": "move-s0" })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_leaves_the_last_good_form_in_force_also_after_a_restart() {
    let yard = Yard::new(Plot::default()).await;
    let good = yard.playbook("s0");
    let first = playbook(&yard, "move-s0").await["digest"].clone();
    assert!(first.is_string() && yard.metric("pointsman_playbooks{state=\"active\"} 1").await);

    yard.write_playbook("s0", &good.replace("service: s0\n", "servise: s0\n"));
    until(&yard, "move-s0", |p| p["refused"].is_string()).await;
    let shown = playbook(&yard, "move-s0").await;
    assert_eq!((&shown["digest"], &shown["active"]), (&first, &json!(true)), "{shown}");
    assert!(shown["problems"].to_string().contains("servise"), "{shown}");
    let says = status(&yard).await["says"].clone();
    assert!(says.as_str().unwrap().contains("1 in a form before that of its file"), "{says}");
    assert!(yard.metric("pointsman_playbooks{state=\"last_good\"} 1").await);
    let text = screen(&yard);
    assert!(text.contains("LAST GOOD") && text.contains("is refused"), "{text}");
    assert_eq!(plan(&yard).await.1["playbook_digest"], first);
    let last = yard.records("loaded").await.pop().unwrap();
    assert_eq!((&last["body"]["stays"], &last["body"]["active"]), (&first, &json!(false)), "{last}");
    assert!(last["says"].as_str().unwrap().contains("stays active"), "{last}");

    let records = yard.records("loaded").await.len();
    let yard = yard.restart().await;
    let shown = playbook(&yard, "move-s0").await;
    assert_eq!((&shown["digest"], shown["refused"].is_string()), (&first, true), "{shown}");
    assert_eq!(yard.records("loaded").await.len(), records, "nothing is new");
    yard.fire("s0").await;
    yard.until_finished(1).await;
    assert!(yard.moved("s0"), "an alert starts the last good form");

    yard.write_playbook("s0", &good.replace("per_day: 3", "per_day: 4"));
    until(&yard, "move-s0", |p| p["refused"].is_null() && p["digest"] != first).await;
    let last = yard.records("loaded").await.pop().unwrap();
    assert_eq!(last["body"]["active"], true, "{last}");
    assert!(status(&yard).await["says"].as_str().unwrap().starts_with("quiet"));
    yard.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_and_go_and_a_folder_that_went_away_takes_nothing_with_it() {
    let yard = Yard::new(Plot { services: 2, ..Plot::default() }).await;
    let (file, folder) = (yard.playbook_file("s0"), yard.folder().join("playbooks"));
    let good = yard.playbook("s0");
    // A second file of the same name is refused; the first stays as it was.
    let twin = folder.join("a-twin.yaml");
    std::fs::write(&twin, good.replace("per_day: 3", "per_day: 9")).unwrap();
    let refused = async || {
        let all = status(&yard).await["playbooks"].clone();
        all.as_array().unwrap().iter().filter(|p| p["active"] == false).count()
    };
    yard.until("a refused twin", 1, 20, refused).await;
    let plans = plan(&yard).await;
    assert_eq!(plans.0, 200, "{}", plans.1);
    std::fs::remove_file(&twin).unwrap();

    // Gone: on record, and nothing starts it.
    std::fs::remove_file(&file).unwrap();
    until(&yard, "move-s0", Value::is_null).await;
    assert_eq!(plan(&yard).await.0, 404);
    let last = yard.records("loaded").await.pop().unwrap();
    assert!(last["body"]["problems"].to_string().contains("PM1263"), "{last}");
    std::fs::write(&file, &good).unwrap();
    until(&yard, "move-s0", |p| p["active"] == true).await;

    let aside = yard.folder().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    let away = "pointsman_playbooks_last_reload_successful 0";
    yard.until("the folder is away", 1, 20, async || usize::from(yard.metric(away).await)).await;
    let shown = status(&yard).await;
    assert!(shown["playbooks_trouble"]["says"].as_str().unwrap().contains("PM1264"), "{shown}");
    assert_eq!((plan(&yard).await.0, shown["playbooks"].as_array().unwrap().len()), (200, 2), "{shown}");
    assert!(screen(&yard).contains("PM1264"));
    std::fs::create_dir(&folder).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(plan(&yard).await.0, 200, "empty, as one that is not mounted");
    yard.server.hang_up();
    until(&yard, "move-s0", Value::is_null).await;
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    until(&yard, "move-s1", |p| p["active"] == true).await;
    assert!(status(&yard).await["playbooks_trouble"].is_null());
    yard.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_half_confirmed_is_decided_anew_by_the_new_form() {
    let yard = Yard::new(Plot::default()).await;
    let old = "  - alertmanager: { alertname: SiteDown, service: s0 }\n";
    let held = yard.playbook("s0").replace(old, &format!("{old}    confirmed_for: 12s\n"));
    assert_eq!(yard.check(&held), "", "{held}");
    yard.write_playbook("s0", &held);
    let first = playbook(&yard, "move-s0").await["digest"].clone();
    yard.server.hang_up();
    until(&yard, "move-s0", |p| p["digest"] != first).await;
    yard.fire("s0").await;
    yard.until_held("s0", "PM5403", 1).await;
    // Before the twelve seconds are over, people say that this alert is not meant.
    yard.write_playbook("s0", &held.replace("alertname: SiteDown", "alertname: RegionDown"));
    yard.server.hang_up();
    let ended = async || yard.records("not_started").await.len();
    yard.until("an alert that is not wanted any more", 1, 20, ended).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(yard.records("opened").await.is_empty() && !yard.moved("s0"));
    let why = yard.records("not_started").await.pop().unwrap();
    assert!(why["body"]["why"].to_string().contains("PM1261"), "{why}");
}
