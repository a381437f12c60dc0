//! A link of one's own: it reaches the right people, across a death and a mail server that is away; robots get nowhere with it;
//! it gives one word about one plan; and codes to sign in with come the same two ways.

use super::desk::{Browser, Shown, asked, person_token, plot, run, still_pending, waiting};
use super::desk::{approve, decide};
use crate::canary;
use crate::limits::yard::{Plot, Yard};
use crate::notices::scene::Keys;
use lab::notices::{Letter, Mail, Slack, TEAM};
use serde_json::json;

pub const BY_LINK: &str = "approval: { need: 1, from: [oncall], expires: 10m, via: [web, cli, link] }";

/// Bo by Slack and mail, eve by mail; zoe may only look, sal is not asked.
fn people() -> String {
    let mut text = plot("").config.to_owned();
    for person in ["bo", "eve", "zoe", "sal"] {
        let slack = if person == "bo" {
            format!("slack = {{ team = \"{TEAM}\", user = \"U0BO\" }}\n")
        } else {
            String::new()
        };
        let more = format!("[people.{person}]\n{slack}email = \"{person}@example.test\"\n");
        text = text.replace(&format!("[people.{person}]\n"), &more);
    }
    text
}

pub async fn yard(mail: &Mail, slack: &Slack, keys: &Keys, approval: &str) -> Yard {
    let mail = keys.mail(mail) + "notices = [\"ended\"]\n";
    let config = format!(
        "{}{mail}{}[web]\nurl = \"http://127.0.0.1:1\"\n",
        people(),
        keys.slack(slack, "notices = [\"ended\"]")
    );
    Yard::new(Plot { config: &config, ..plot(approval) }).await
}

/// The path behind the one link in a text.
fn path(text: &str) -> String {
    let text = text.replace("=\n", "").replace("=3D", "=");
    let rest = text.split("http://127.0.0.1:1").nth(1).unwrap_or_else(|| panic!("no link: {text}"));
    let path: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_".contains(*c)).collect();
    canary::plant(path.trim_start_matches("/links/"));
    path
}

fn to(mail: &Mail, person: &str) -> Vec<Letter> {
    let mut letters = mail.letters().unwrap();
    letters.retain(|letter| letter.headers["to"].contains(&format!("{person}@example.test")));
    letters
}

/// What one was sent by mail, once that many came.
pub async fn mailed(yard: &Yard, mail: &Mail, person: &str, count: usize) -> String {
    yard.until("links by mail", count, 40, async || to(mail, person).len()).await;
    path(&to(mail, person).pop().unwrap().text)
}

async fn say(browser: &mut Browser, at: &str, digest: &str, decision: &str, answer: &str) -> Shown {
    let fields = [("digest", digest), ("decision", decision), ("answer", answer), ("reason", "it is down")];
    browser.post(at, &fields).await
}

/// Every form on the page, as robots fill them in: nothing, the same word everywhere, what stands in the fields.
async fn robot_fills_in(robot: &mut Browser, bo: &str, eve: &str, digest: &str) {
    let page = robot.get(bo).await;
    for heading in ["Type the name of the site", "You decide as bo", "Does", "May be lost"] {
        assert!(page.html.contains(heading), "{heading}: {}", page.html);
    }
    assert!(page.html.len() < 30_000 && !page.html.contains("<script"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
    for decision in ["approve", "reject", "pass", ""] {
        for answer in ["", "test", "on"] {
            let shown = say(robot, eve, &page.field("digest"), decision, answer).await;
            assert!([422, 429].contains(&shown.status), "{} {}", shown.status, shown.html);
        }
    }
    assert_eq!(say(robot, eve, digest, "approve", "sbg").await.status, 429, "and not faster");
    // A link that was tampered with, one that was cut off, and one that nobody was sent.
    for bad in [bo.to_lowercase(), bo[..bo.len() - 1].to_owned(), format!("{bo}A"), "/links/x".to_owned()] {
        let (got, said) = (robot.get(&bad).await, say(robot, &bad, digest, "approve", "sbg").await);
        assert!(
            got.status == 404 && said.status == 404 && got.html.contains("PM4019"),
            "{bad}: {}",
            got.html
        );
    }
}

/// By the first of these links, which are bo's, bo's by Slack, and eve's; and then nobody by any of them.
async fn person_decides(yard: &Yard, links: [&String; 3], digest: &str) {
    let [bo, _, eve] = links;
    let mut person = Browser::new(yard);
    let shown = say(&mut person, bo, &"0".repeat(64), "approve", "sbg").await;
    assert!(shown.status == 409 && shown.html.contains("another plan"), "{}", shown.html);
    let shown = say(&mut person, bo, digest, "approve", " SBG ").await;
    assert_eq!(shown.status, 303, "{}", shown.html);
    let by = yard.records("decided").await[0]["body"]["by"].clone();
    assert!(by["name"] == "bo" && by["via"] == "link" && by["person"] == true, "{by}");
    // Replayed, by the other way, and by who comes second.
    for at in links {
        let shown = say(&mut Browser::new(yard), at, digest, "reject", "sbg").await;
        let good = shown.status == 409 && shown.html.contains("lready approved by bo");
        // Eve's is still closed for a minute to whoever guessed.
        assert!(good || (at == eve && shown.status == 429), "{} {}", shown.status, shown.html);
        let page = Browser::new(yard).get(at).await;
        assert!(page.html.contains("Already approved by bo") && !page.html.contains("name=\"decision\""));
    }
    yard.until_finished(1).await;
    assert!(yard.moved("s0") && yard.records("decided").await.len() == 1);
    yard.verified();
}

#[tokio::test]
async fn robots_with_somebodys_link_decide_nothing_and_do_not_use_it_up() {
    let (keys, mail, slack) = (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let yard = yard(&mail, &slack, &keys, BY_LINK).await;
    let (id, digest) = asked(&yard).await;
    let bo = mailed(&yard, &mail, "bo", 1).await;
    let eve = mailed(&yard, &mail, "eve", 1).await;
    yard.until("a link by Slack", 1, 20, async || slack.sent_to("U0BO").len()).await;
    let by_slack = path(&slack.sent_to("U0BO")[0].words());
    assert!(bo != eve && by_slack != bo);
    assert!(to(&mail, "zoe").is_empty() && to(&mail, "sal").is_empty(), "they are not asked");
    let looks = yard.world.looks.load(std::sync::atomic::Ordering::SeqCst);
    let mut robot = Browser::new(&yard);
    for at in [&bo, &eve, &by_slack] {
        for _ in 0..100 {
            assert_eq!((robot.get(at).await.status, robot.head(at).await.status), (200, 200));
        }
    }
    robot_fills_in(&mut robot, &bo, &eve, &digest).await;
    still_pending(&yard, &id).await;
    assert_eq!(yard.world.looks.load(std::sync::atomic::Ordering::SeqCst), looks, "nobody made it look");
    person_decides(&yard, [&bo, &by_slack, &eve], &digest).await;
    assert!(slack.desk.wrong().is_empty(), "{:?}", slack.desk.wrong());
}

#[tokio::test]
async fn a_link_arrives_across_a_death_is_good_for_one_word_and_dies_with_its_plan() {
    let (keys, mut mail, slack) =
        (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let two = BY_LINK.replace("need: 1", "need: 2");
    mail.kill();
    let yard = yard(&mail, &slack, &keys, &two).await;
    let (id, digest) = asked(&yard).await;
    yard.until("a failure", 1, 20, async || {
        let (_, status) = yard.server.get("/api/v1/status").await;
        usize::from(status["channels"]["links to people"]["failing_since"].is_i64())
    })
    .await;
    let yard = yard.restart().await;
    mail.come_back().await.unwrap();
    let eve = mailed(&yard, &mail, "eve", 1).await;
    let mut browser = Browser::new(&yard);
    // Handed on by link: the link is used, and eve can still sign in.
    assert_eq!(say(&mut browser, &eve, &digest, "pass", "sbg").await.status, 303);
    let again = say(&mut browser, &eve, &digest, "approve", "sbg").await;
    assert!(again.status == 409 && again.html.contains("used this link already"), "{}", again.html);
    let no = say(&mut browser, &eve, &digest, "reject", "sbg").await;
    assert_eq!(no.status, 409, "{}", no.html);
    assert_eq!(decide(&yard, &person_token(&yard, "eve"), &id, approve(&digest)).await.0, 200);
    assert_eq!(run(&yard, &id).await["asked"]["yes"], json!(["eve"]));
    // A new plan: the link to the old one is over, and a new one comes.
    let bo = mailed(&yard, &mail, "bo", 1).await;
    let before = to(&mail, "bo").len();
    let replan = json!({ "command": "replan", "digest": digest, "reason": "look again" });
    assert_eq!(decide(&yard, &person_token(&yard, "bo"), &id, replan).await.0, 200);
    waiting(&yard, 2).await;
    let newer = mailed(&yard, &mail, "bo", before + 1).await;
    assert_ne!(newer, bo);
    let page = browser.get(&newer).await;
    assert_eq!(say(&mut browser, &newer, &page.field("digest"), "reject", "sbg").await.status, 303);
    let late = browser.get(&bo).await;
    assert!(
        late.html.contains("Already rejected by bo") && !late.html.contains("name=\"decision\""),
        "{}",
        late.html
    );
    yard.until_finished(1).await;
    assert!(!yard.moved("s0"));
    yard.verified();
}

#[tokio::test]
async fn a_link_that_came_too_late_is_over_and_the_next_one_is_good() {
    let (keys, mail, slack) = (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let short = BY_LINK.replace("expires: 10m", "expires: 6s");
    let yard = yard(&mail, &slack, &keys, &short).await;
    let (_, digest) = asked(&yard).await;
    let old = mailed(&yard, &mail, "eve", 1).await;
    let new = mailed(&yard, &mail, "eve", 2).await;
    let mut browser = Browser::new(&yard);
    let page = browser.get(&old).await;
    assert!(
        page.html.contains("This link is over since") && !page.html.contains("name=\"decision\""),
        "{}",
        page.html
    );
    let late = say(&mut browser, &old, &digest, "approve", "sbg").await;
    assert!(late.status == 409 && late.html.contains("over since"), "{}", late.html);
    assert!(yard.records("decided").await.is_empty());
    let page = browser.get(&new).await;
    assert_eq!(say(&mut browser, &new, &page.field("digest"), "approve", "sbg").await.status, 303);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
}

#[tokio::test]
async fn without_the_playbooks_word_nobody_is_sent_a_link_and_check_says_what_is_missing() {
    let (keys, mail, slack) = (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let yard = yard(&mail, &slack, &keys, "approval: { need: 1, from: [oncall], expires: 10m }").await;
    asked(&yard).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(mail.letters().unwrap().is_empty() && slack.sent_to("U0BO").is_empty());
    let alone = yard.playbook("s0").replace("expires: 10m }", "expires: 10m, via: [link, slack] }");
    let says = yard.check(&alone);
    assert!(says.contains("PM1257") && says.contains("while mail and Slack are down"), "{says}");
}

#[tokio::test]
async fn a_code_comes_to_the_persons_own_slack_or_mailbox_and_nobody_learns_who_is_known() {
    let (keys, mail, slack) = (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let yard = yard(&mail, &slack, &keys, BY_LINK).await;
    let mut browser = Browser::new(&yard);
    let page = browser.get("/sign-in").await;
    assert!(page.html.contains("Send a code to my Slack") && page.html.contains("Send a code by e-mail"));
    let want = async |person: &str, by: &str| {
        Browser::new(&yard).post("/sign-in/code", &[("person", person), ("by", by), ("next", "")]).await
    };
    let known = want("bo", "slack").await;
    let unknown = want("nobody", "slack").await;
    let elsewhere = want("eve", "slack").await;
    assert_eq!((known.status, unknown.status, elsewhere.status), (200, 200, 200));
    let name = regex::Regex::new(r"If \S+ is known").unwrap();
    let alike = |shown: &Shown| name.replace(&shown.html, "If X is known").into_owned();
    assert_eq!(alike(&known), alike(&unknown), "both are answered alike");
    assert_ne!(alike(&known), known.html);
    yard.until("a code", 1, 20, async || slack.sent_to("U0BO").len()).await;
    let code = |text: &str| {
        let rest = text.split("Code: ").nth(1).unwrap_or_else(|| panic!("no code: {text}"));
        let code: String = rest.chars().take(14).collect();
        canary::plant(&code);
        code
    };
    let first = code(&slack.sent_to("U0BO")[0].words());
    assert_eq!(browser.sign_in(&first).await.status, 303);
    assert!(browser.get("/approvals").await.html.contains("You are bo"));
    assert_eq!(Browser::new(&yard).sign_in(&first).await.status, 403, "once");
    want("eve", "email").await;
    yard.until("a code by mail", 1, 20, async || to(&mail, "eve").len()).await;
    let second = code(&to(&mail, "eve")[0].text);
    let mut eve = Browser::new(&yard);
    assert_eq!(eve.sign_in(&second).await.status, 303);
    let signed = yard.records("signed_in").await;
    assert!(signed.len() == 2 && signed[1]["body"]["person"] == "eve", "{signed:?}");
    assert_eq!(slack.sent_to("U0BO").len(), 1, "nobody else was sent anything");
    assert_eq!(want("bo", "pigeon").await.status, 422);
    // Neither a mailbox is filled, nor can one ask for ever.
    let mut last = 0;
    for _ in 0..12 {
        last = want("bo", "slack").await.status;
    }
    assert_eq!(last, 429);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(slack.sent_to("U0BO").len() <= 5, "{}", slack.sent_to("U0BO").len());
    assert!(slack.desk.wrong().is_empty(), "{:?}", slack.desk.wrong());
}
