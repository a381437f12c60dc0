//! Socket Mode: no door of ours is open, and a person decides in Slack all the same; while connections come, go and are lost.

use super::scene::Keys;
use super::slack::{BY_SLACK, people, question, questions};
use crate::limits::yard::{Plot, Yard};
use crate::people::desk::{asked, plot, still_pending};
use lab::notices::{APP_TOKEN, Press, Slack};
use std::time::Duration;

async fn connected(yard: &Yard, slack: &Slack, count: usize) {
    yard.until("connections", count, 40, async || slack.lines()).await;
}

#[tokio::test]
async fn a_person_decides_over_our_own_connection_whatever_happens_to_it() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap().with_sockets().await.unwrap());
    let config = people() + &keys.slack_by_socket(&slack, "");
    let yard = Yard::new(Plot { config: &config, ..plot(BY_SLACK) }).await;
    connected(&yard, &slack, 1).await;
    let (id, _) = asked(&yard).await;
    let message = question(&yard, &slack).await;
    // By HTTP nothing is taken: there is no secret to check it with.
    let yes = Press::of(&message, "approve", "U0BO");
    let (status, _) = yes.send(&format!("{}/slack/interactions", yard.server.url)).await.unwrap();
    assert_eq!(status, 401);
    // Of another workspace, of a guest: acknowledged, and nothing comes of it.
    for change in [|p: &mut Press| p.team = "T0EVIL".into(), |p: &mut Press| p.users_team = "T0EVIL".into()] {
        let mut bad = yes.clone();
        change(&mut bad);
        assert!(slack.ask_by_socket(bad.payload(), true).await.unwrap().body.is_null());
    }
    assert!(slack.forms().is_empty());
    still_pending(&yard, &id).await;
    // Slack says that it will close: another one takes its place, and meanwhile both bring what comes.
    slack.warn("warning").unwrap();
    connected(&yard, &slack, 2).await;
    assert!(slack.ask_by_socket(yes.payload(), false).await.unwrap().took < Duration::from_secs(3));
    yard.until("a form by the old one", 1, 20, async || slack.forms().len()).await;
    slack.close(false).unwrap();
    // What is wrong in the form is said in the acknowledgement.
    let form = slack.forms().pop().unwrap();
    let wrong = slack.ask_by_socket(form.payload("gra", "the site is down"), true).await.unwrap();
    assert_eq!(wrong.body["response_action"], "errors", "{wrong:?}");
    // Lost without a word: it connects anew.
    slack.close(true).unwrap();
    connected(&yard, &slack, 1).await;
    let good = slack.ask_by_socket(form.payload("sbg", "the site is down"), true).await.unwrap();
    assert!(good.body.is_null(), "{good:?}");
    yard.until_finished(1).await;
    let decided = yard.records("decided").await;
    assert!(decided.len() == 1 && decided[0]["body"]["by"]["via"] == "slack", "{decided:?}");
    assert_eq!(decided[0]["body"]["reason"], "the site is down");
    yard.until("no buttons", 1, 20, async || usize::from(questions(&slack).is_empty())).await;
    assert!(slack.opened() <= 6, "{} addresses asked for", slack.opened());
    assert!(slack.desk.wrong().is_empty(), "{:?}", slack.desk.wrong());
    let log = yard.server.log();
    assert!(!log.contains(APP_TOKEN) && !log.contains("ticket-"), "credentials in the log");
    yard.verified();
}

#[tokio::test]
async fn without_a_connection_status_says_so_and_notices_still_arrive() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let config = people() + &keys.slack_by_socket(&slack, "");
    let yard = Yard::new(Plot { config: &config, ..plot(BY_SLACK) }).await;
    asked(&yard).await;
    question(&yard, &slack).await;
    let state = async || yard.server.get("/api/v1/status").await.1["channels"]["chat by socket"].clone();
    yard.until("a finding", 1, 20, async || usize::from(state().await["failing_since"].is_i64())).await;
    assert!(state().await["says"].to_string().contains("link_disabled"), "{}", state().await);
    let out = std::process::Command::new(crate::serve::rig::BINARY)
        .args(["status", "--server", &yard.server.url])
        .env("POINTSMAN_TOKEN", &yard.server.admin)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(shown.contains("CHANNEL chat by socket: clicks do not arrive since"), "{shown}");
}
