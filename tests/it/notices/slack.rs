//! In Slack, against a fake that checks what it gets: questions with buttons, who may press them, and that a button which is
//! left over decides nothing.

use super::scene::Keys;
use crate::limits::yard::{Plot, Yard};
use crate::people::desk::{approve, asked, decide, person_token, plot, still_pending, waiting};
use lab::notices::{Form, Message, Press, Sent, Slack, TEAM};
use std::time::Duration;

pub const BY_SLACK: &str = "approval: { need: 1, from: [oncall], expires: 10m, via: [web, cli, slack] }";
const TWO: &str = "approval: { need: 2, from: [oncall], expires: 10m, via: [web, cli, slack] }";

pub fn people() -> String {
    let mut text = plot("").config.to_owned();
    for (person, user) in [("bo", "U0BO"), ("eve", "U0EVE"), ("zoe", "U0ZOE")] {
        let line = format!("[people.{person}]\nslack = {{ team = \"{TEAM}\", user = \"{user}\" }}\n");
        text = text.replace(&format!("[people.{person}]\n"), &line);
    }
    text
}

async fn yard(slack: &Slack, keys: &Keys, approval: &str, more: &str) -> Yard {
    let config = people() + &keys.slack(slack, more);
    Yard::new(Plot { config: &config, ..plot(approval) }).await
}

pub fn questions(slack: &Slack) -> Vec<Message> {
    slack.messages().into_iter().filter(|message| message.ask().is_some()).collect()
}

pub async fn question(yard: &Yard, slack: &Slack) -> Message {
    yard.until("a question", 1, 20, async || questions(slack).len()).await;
    questions(slack).pop().unwrap()
}

fn door(yard: &Yard) -> String {
    format!("{}/slack/interactions", yard.server.url)
}

/// Presses, and is answered within the three seconds that Slack waits.
async fn press(yard: &Yard, press: &Press) -> u16 {
    let (status, took) = press.send(&door(yard)).await.unwrap();
    assert!(took < Duration::from_secs(3), "{took:?}");
    status
}

/// Presses, and sees a form.
async fn form(yard: &Yard, slack: &Slack, pressed: &Press) -> Form {
    let before = slack.forms().len();
    assert_eq!(press(yard, pressed).await, 200);
    yard.until("a form", before + 1, 20, async || slack.forms().len()).await;
    let form = slack.forms().pop().unwrap();
    assert_eq!(form.user, pressed.user);
    form
}

async fn send_in(yard: &Yard, form: &Form, site: &str, reason: &str) -> Sent {
    let sent = form.send(site, reason, &door(yard)).await.unwrap();
    assert!(sent.took < Duration::from_secs(3), "{:?}", sent.took);
    sent
}

/// From the press to the reason; the form is put away.
async fn decided_by(yard: &Yard, slack: &Slack, message: &Message, action: &'static str, user: &str) {
    let form = form(yard, slack, &Press::of(message, action, user)).await;
    let sent = send_in(yard, &form, "sbg", "the site is down").await;
    assert!(sent.status == 200 && sent.body.is_null(), "{sent:?}");
}

#[tokio::test]
async fn a_yes_in_slack_moves_the_service_and_takes_the_buttons_away() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, BY_SLACK, "").await;
    let mut body = yard.body("s0");
    body["alerts"][0]["labels"]["note"] = serde_json::json!("<!channel> <https://evil.example|here> & @here");
    yard.deliver(&body).await;
    waiting(&yard, 1).await;
    let message = question(&yard, &slack).await;
    let words = message.words();
    for part in ["approve run gra → sbg?", "Why: Alert SiteDown", "Does: move it", "May be lost:", "Until:"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("<!") && !words.contains("https://evil") && !words.contains("<http"), "{words}");
    let ask = message.ask().unwrap();
    assert!(ask.len() == 32 && ask.chars().all(|c| c.is_ascii_hexdigit()), "an id that says nothing: {ask}");
    let yes = Press::of(&message, "approve", "U0BO");
    // A second finger: two forms, which both can be sent in.
    let (first, second) = (form(&yard, &slack, &yes).await, form(&yard, &slack, &yes).await);
    assert!(
        first.words().contains("Where will traffic go?") && first.words().contains("Reason"),
        "{}",
        first.words()
    );
    assert!(first.view["private_metadata"].as_str().unwrap().contains(&ask));
    // A press alone decides nothing, nor does a form that is not understood; it says what is wrong, and stays.
    for (site, reason, block) in [("gra", "r", "where"), ("", "r", "where"), ("sbg", " ", "why")] {
        let sent = send_in(&yard, &first, site, reason).await;
        assert!(
            sent.body["response_action"] == "errors" && sent.body["errors"][block].is_string(),
            "{sent:?}"
        );
    }
    assert!(yard.records("decided").await.is_empty());
    for form in [&first, &second] {
        assert_eq!(send_in(&yard, form, "sbg", "the site is down, I looked").await.status, 200);
    }
    yard.until_finished(1).await;
    let decided = yard.records("decided").await;
    assert_eq!(decided.len(), 1, "{decided:?}");
    let by = &decided[0]["body"]["by"];
    assert!(by["name"] == "bo" && by["via"] == "slack" && by["person"] == true, "{by}");
    assert_eq!(decided[0]["body"]["reason"], "the site is down, I looked");
    yard.until("no buttons", 1, 20, async || usize::from(questions(&slack).is_empty())).await;
    let after = slack.messages().into_iter().find(|m| m.ts == message.ts).unwrap();
    // In the words of the decision, or of the answer to the second finger.
    assert!(
        ["bo approved", "approved by bo"].iter().any(|says| after.words().contains(says)),
        "{}",
        after.words()
    );
    yard.until("an answer to the second", 1, 20, async || slack.whispers().len()).await;
    let (who, says) = slack.whispers().remove(0);
    assert!(who == "U0BO" && says.contains("Nothing was decided"), "{says}");
    // The rest of the run is a thread below its first message.
    yard.until("the end", 1, 20, async || {
        slack.messages().iter().filter(|m| m.words().contains("done and verified")).count()
    })
    .await;
    let (first, last) = (slack.messages().remove(0), slack.messages().pop().unwrap());
    assert_eq!(last.thread.as_deref(), Some(first.ts.as_str()));
    assert!(slack.desk.wrong().is_empty(), "{:?}", slack.desk.wrong());
    yard.verified();
}

#[tokio::test]
async fn what_is_not_slacks_or_not_theirs_decides_nothing() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, BY_SLACK, "").await;
    let (id, _) = asked(&yard).await;
    let message = question(&yard, &slack).await;
    let yes = Press::of(&message, "approve", "U0BO");
    let wrong = |change: fn(&mut Press)| {
        let mut press = yes.clone();
        change(&mut press);
        press
    };
    for (what, bad) in [
        ("another secret", wrong(|p| p.secret = "another0secret".into())),
        ("old", wrong(|p| p.ahead = -301)),
        ("from the future", wrong(|p| p.ahead = 305)),
        ("another workspace", wrong(|p| p.team = "T0EVIL".into())),
        ("a guest", wrong(|p| p.users_team = "T0EVIL".into())),
        ("another app", wrong(|p| p.app = "A0EVIL".into())),
    ] {
        assert_eq!(press(&yard, &bad).await, 401, "{what}");
    }
    // Signed by Slack, and still nobody who may: unknown here, only a viewer, a made-up id.
    for (bad, says) in [
        (wrong(|p| p.user = "U0NOBODY".into()), "nobody in Pointsman"),
        (wrong(|p| p.user = "U0ZOE".into()), "does not have the role"),
        (wrong(|p| p.ask = "0".repeat(32)), "not known here"),
    ] {
        let before = slack.whispers().len();
        assert_eq!(press(&yard, &bad).await, 200);
        yard.until("an answer", before + 1, 20, async || slack.whispers().len()).await;
        assert!(slack.whispers().pop().unwrap().1.contains(says), "{:?}", slack.whispers());
    }
    assert!(slack.forms().is_empty(), "who may not decide is asked for no reason");
    // A form of bo's that somebody else sends in, and one that carries another question.
    let mine = form(&yard, &slack, &yes).await;
    let mut theirs = mine.clone();
    theirs.user = "U0ZOE".into();
    let mut other = mine.clone();
    other.view["private_metadata"] = serde_json::json!(format!("approve {} 1.1", "0".repeat(32)));
    for (bad, says) in [(theirs, "does not have the role"), (other, "not known here")] {
        let before = slack.whispers().len();
        assert_eq!(send_in(&yard, &bad, "sbg", "r").await.status, 200);
        yard.until("an answer", before + 1, 20, async || slack.whispers().len()).await;
        assert!(slack.whispers().pop().unwrap().1.contains(says), "{:?}", slack.whispers());
    }
    let client = reqwest::Client::new();
    let url = format!("{}/slack/interactions", yard.server.url);
    for body in ["", "payload={}", "ssl_check=0"] {
        assert_eq!(client.post(&url).body(body).send().await.unwrap().status().as_u16(), 401, "{body}");
    }
    assert_eq!(client.post(&url).body("ssl_check=1&token=x").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 200);
    still_pending(&yard, &id).await;
    assert_eq!(questions(&slack).len(), 1, "and the question stands as it stood");
}

#[tokio::test]
async fn two_people_by_two_ways_and_a_message_that_follows() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, TWO, "").await;
    let (id, digest) = asked(&yard).await;
    let message = question(&yard, &slack).await;
    decided_by(&yard, &slack, &message, "approve", "U0BO").await;
    let now = async || slack.messages().into_iter().find(|m| m.ts == message.ts).unwrap();
    yard.until("the first yes", 1, 20, async || usize::from(now().await.words().contains("bo approved")))
        .await;
    assert!(now().await.ask().is_some(), "one more is needed: the buttons stay");
    assert!(!yard.moved("s0"));
    // The other one decides elsewhere; the message hears of it, also across a death.
    let yard = yard.restart().await;
    let eve = person_token(&yard, "eve");
    assert_eq!(decide(&yard, &eve, &id, approve(&digest)).await.0, 200);
    yard.until("no buttons", 1, 20, async || usize::from(now().await.ask().is_none())).await;
    assert!(now().await.words().contains("eve approved"));
    yard.until_finished(1).await;
}

#[tokio::test]
async fn a_message_that_was_posted_twice_decides_once_and_loses_its_buttons() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, BY_SLACK, "notices = [\"asked\"]").await;
    slack.lose_replies(1);
    asked(&yard).await;
    // Nobody heard that it was posted, so that it is posted again, with the same id.
    yard.until("two messages", 2, 20, async || questions(&slack).len()).await;
    let two = questions(&slack);
    assert_eq!(two[0].ask(), two[1].ask());
    yard.until("a known message", 1, 20, async || {
        usize::from(yard.metric("pointsman_notices_total{channel=\"chat\",end=\"told\"} ").await)
    })
    .await;
    decided_by(&yard, &slack, &two[0], "reject", "U0EVE").await;
    yard.until("no buttons", 1, 20, async || usize::from(questions(&slack).is_empty())).await;
    let decided = yard.records("decided").await;
    assert!(decided.len() == 1 && decided[0]["body"]["yes"] == false, "{decided:?}");
    assert!(!yard.moved("s0"));
}

#[tokio::test]
async fn without_the_playbooks_word_there_are_no_buttons_and_errors_lose_nothing() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    slack.error(Some("not_in_channel"));
    let yard = yard(&slack, &keys, "approval: { need: 1, from: [oncall], expires: 10m }", "").await;
    let (id, digest) = asked(&yard).await;
    yard.until("an error", 1, 20, async || {
        let (_, status) = yard.server.get("/api/v1/status").await;
        usize::from(status["channels"]["chat"]["says"].to_string().contains("not_in_channel"))
    })
    .await;
    let out = crate::serve::rig::BINARY;
    let shown = std::process::Command::new(out)
        .args(["status", "--server", &yard.server.url])
        .env("POINTSMAN_TOKEN", &yard.server.admin)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("CHANNEL chat: notices do not arrive since"), "{shown}");
    slack.error(None);
    yard.until("the question", 1, 40, async || {
        slack.messages().iter().filter(|m| m.words().contains("approve run gra")).count()
    })
    .await;
    assert!(questions(&slack).is_empty());
    let bo = person_token(&yard, "bo");
    assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200);
    yard.until_finished(1).await;
    yard.until("the outcome", 1, 20, async || {
        slack.messages().iter().filter(|m| m.updates > 0 && m.words().contains("bo approved")).count()
    })
    .await;
    let log = yard.server.log();
    assert!(!log.contains("xoxb-lab") && !log.contains("lab0signing"), "credentials in the log");
}

#[tokio::test]
async fn slack_alone_is_no_way_to_approve() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, BY_SLACK, "").await;
    let alone = yard.playbook("s0").replace("via: [web, cli, slack]", "via: [slack]");
    let says = yard.check(&alone);
    assert!(says.contains("PM1257") && says.contains("while Slack is down"), "{says}");
}

#[tokio::test]
async fn a_form_that_is_not_opened_and_one_that_was_open_too_long_decide_nothing() {
    let (keys, slack) = (Keys::new(), Slack::start().await.unwrap());
    let yard = yard(&slack, &keys, BY_SLACK, "").await;
    let (id, digest) = asked(&yard).await;
    let message = question(&yard, &slack).await;
    // Slack opens no form: the person is told where else to go.
    slack.open_no_forms(true);
    assert_eq!(press(&yard, &Press::of(&message, "approve", "U0BO")).await, 200);
    yard.until("an answer", 1, 20, async || slack.whispers().len()).await;
    let (who, says) = slack.whispers().remove(0);
    assert!(
        who == "U0BO" && says.contains("did not open the form") && says.contains("approval page"),
        "{says}"
    );
    slack.open_no_forms(false);
    // While the form is open, somebody else does it by hand and has a new plan made: another one than the form's.
    let form = form(&yard, &slack, &Press::of(&message, "approve", "U0BO")).await;
    std::fs::write(yard.folder().join("s0"), "").unwrap();
    let replan = serde_json::json!({ "command": "replan", "digest": digest, "reason": "done by hand" });
    assert_eq!(decide(&yard, &person_token(&yard, "eve"), &id, replan).await.0, 200);
    let (_, newer) = waiting(&yard, 2).await;
    assert_ne!(newer, digest);
    let mut no = form.clone();
    no.view["private_metadata"] =
        serde_json::json!(form.view["private_metadata"].as_str().unwrap().replace("approve", "reject"));
    for (form, count) in [(&form, 2), (&no, 3)] {
        assert_eq!(send_in(&yard, form, "sbg", "I read it").await.status, 200);
        yard.until("an answer", count, 20, async || slack.whispers().len()).await;
        let says = slack.whispers().pop().unwrap().1;
        assert!(says.contains("Nothing was decided: the plan changed"), "{says}");
    }
    assert!(yard.records("decided").await.is_empty() && yard.records("intended").await.is_empty());
    assert!(slack.desk.wrong().is_empty(), "{:?}", slack.desk.wrong());
}
