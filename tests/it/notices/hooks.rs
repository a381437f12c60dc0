//! By signed webhook: what a program gets, while it is away, while we are killed, and when it dislikes one notice.

use super::scene::Keys;
use crate::limits::yard::{Plot, Yard};
use crate::people::desk::{ONE, approve, asked, decide, person_token, plot};
use crate::serve::rig::pointsman;
use lab::notices::{Got, Mood, Receiver};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

fn positions(got: &[Got]) -> Vec<u64> {
    got.iter().map(|got| got.body["data"]["position"].as_u64().unwrap()).collect()
}

/// The records that a webhook without further words is told of.
async fn told(yard: &Yard) -> Vec<u64> {
    let runs =
        ["opened", "taken", "undoing", "asked", "decided", "passed", "told", "held", "parked", "finished"];
    let more = ["fence_watch", "commit_window"];
    let all = yard.journal().await;
    let wanted = all.iter().filter(|r| {
        let (kind, stream) = (r["kind"].as_str().unwrap(), r["stream"].as_str().unwrap());
        let run = stream.starts_with("run:") && (runs.contains(&kind) || more.contains(&kind));
        run || (stream == "instance" && kind == "started")
            || (stream.starts_with("service:") && kind == "held")
    });
    wanted.map(|r| r["position"].as_u64().unwrap()).collect()
}

async fn until_all_told(yard: &Yard, receiver: &Receiver) {
    let wanted = told(yard).await;
    let missing = async || {
        let got = positions(&receiver.desk.taken());
        wanted.iter().filter(|position| got.contains(position)).count()
    };
    yard.until("notices told", wanted.len(), 60, missing).await;
}

#[tokio::test]
async fn while_nobody_listens_and_we_are_killed_nothing_is_lost_nor_out_of_order() {
    let (keys, receiver) = (Keys::new(), Receiver::start().await.unwrap());
    let config = keys.hook(&receiver, "");
    let yard = Yard::new(Plot { services: 3, config: &config, ..Plot::default() }).await;
    until_all_told(&yard, &receiver).await;
    receiver.desk.close();
    for service in ["s0", "s1"] {
        yard.fire(service).await;
    }
    yard.until_finished(2).await;
    let before = positions(&receiver.desk.taken()).len();
    let yard = yard.restart().await;
    assert_eq!(positions(&receiver.desk.taken()).len(), before, "nobody listened");
    receiver.come_back().await.unwrap();
    until_all_told(&yard, &receiver).await;
    // Killed right after, before anything of that is kept for sure.
    yard.fire("s2").await;
    yard.until_finished(3).await;
    let yard = yard.restart().await;
    until_all_told(&yard, &receiver).await;
    let taken = receiver.desk.taken();
    let mut ids: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    taken.iter().for_each(|got| ids.entry(got.id.clone()).or_default().push(&got.body));
    for (id, bodies) in &ids {
        assert!(
            bodies.iter().all(|body| *body == bodies[0]),
            "{id}: the same notice in other words: {bodies:#?}"
        );
        assert_eq!(bodies[0]["data"]["id"], id.as_str());
    }
    // In order for each run; what came twice is looked at where it came first.
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = vec![];
    for got in &taken {
        let (data, position) = (&got.body["data"], got.body["data"]["position"].as_u64().unwrap());
        if !seen.contains(&position) {
            seen.push(position);
            let before = last.insert(data["run"].to_string(), position);
            assert!(before.is_none_or(|before| before < position || data["run"].is_null()), "{data}");
        }
    }
    assert_eq!(seen.len(), ids.len());
    assert!(receiver.desk.wrong().is_empty(), "{:?}", receiver.desk.wrong());
    // Once it is kept how far it got, a death repeats nothing.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let count = receiver.desk.got().len();
    let yard = yard.restart().await;
    until_all_told(&yard, &receiver).await;
    assert_eq!(receiver.desk.got().len(), count + 1, "only that it started");
    yard.verified();
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_said_and_others_get_through() {
    let (keys, receiver) = (Keys::new(), Receiver::start().await.unwrap());
    receiver.desk.mood(Mood::Dislikes("move-s1".into()));
    let config = keys.hook(&receiver, "notices = [\"progress\", \"ended\"]");
    let yard = Yard::new(Plot { services: 2, config: &config, ..Plot::default() }).await;
    yard.fire("s1").await;
    yard.fire("s0").await;
    yard.until_finished(2).await;
    let of = |service: &str| {
        let taken = receiver.desk.taken();
        taken.iter().filter(|got| got.body["data"]["service"] == service).count()
    };
    yard.until("notices of s0", 2, 20, async || of("s0")).await;
    let given_up = "pointsman_notices_total{channel=\"hook\",end=\"given_up\"} 2";
    yard.until("given up", 1, 20, async || usize::from(yard.metric(given_up).await)).await;
    assert_eq!(of("s1"), 0);
    let log = yard.server.log();
    assert!(log.contains("GIVEN UP") && log.contains("it answered 400"), "{log}");
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(status["channels"]["hook"]["skipped"] == 2, "{}", status["channels"]);
    // Its being refused stops nothing: the next one of the same service is taken.
    receiver.desk.mood(Mood::Well);
    yard.move_back("s1");
    yard.verified();
}

#[tokio::test]
async fn an_overloaded_receiver_is_left_alone_for_as_long_as_it_says() {
    let (keys, receiver) = (Keys::new(), Receiver::start().await.unwrap());
    receiver.desk.mood(Mood::Busy(3));
    let config = keys.hook(&receiver, "");
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    yard.until("a try", 1, 10, async || receiver.desk.got().len()).await;
    yard.fire("s0").await;
    yard.until_finished(1).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(receiver.desk.got().len(), 1, "one try, and silence as it was asked for");
    receiver.desk.mood(Mood::Well);
    until_all_told(&yard, &receiver).await;
}

/// How long runs take, from their first record to their last.
async fn took(config: &str) -> Vec<i64> {
    let yard = Yard::new(Plot { services: 6, config, ..Plot::default() }).await;
    for n in 0..6 {
        yard.fire(&format!("s{n}")).await;
        yard.until_finished(n + 1).await;
    }
    let (opened, finished) = (yard.records("opened").await, yard.records("finished").await);
    let mut spans: Vec<i64> = opened
        .iter()
        .map(|first| {
            let last = finished.iter().find(|last| last["stream"] == first["stream"]).unwrap();
            last["at"].as_i64().unwrap() - first["at"].as_i64().unwrap()
        })
        .collect();
    spans.sort_unstable();
    spans
}

#[tokio::test]
async fn dead_channels_delay_no_run() {
    let (keys, slow) = (Keys::new(), Receiver::start().await.unwrap());
    slow.desk.mood(Mood::Slow(Duration::from_secs(60)));
    // Nobody listens there as long as they are ours.
    let ports = lab::net::PortBlock::reserve().unwrap();
    let secret = keys.file("gone", lab::notices::SECRET);
    let config = format!(
        "{}[channel.gone]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{}/x\"\nsecret = {secret}\n\
         [channel.mail]\nkind = \"email\"\nsmtp = \"127.0.0.1:{}\"\ntls = \"none\"\nfrom = \"a@b.test\"\nto = [\"c@d.test\"]\n\
         [channel.unread]\nkind = \"pagerduty\"\napi = \"http://127.0.0.1:{}\"\nrouting_key = {{ file = \"/nonexistent\" }}\n",
        keys.hook(&slow, ""),
        ports.spare(0),
        ports.spare(1),
        ports.spare(2),
    );
    // In turns, so that whatever else this machine does falls on both.
    let (mut without, mut with) = (vec![], vec![]);
    for _ in 0..2 {
        without.extend(took("").await);
        with.extend(took(&config).await);
    }
    without.sort_unstable();
    with.sort_unstable();
    let (plain, dead) = (without[without.len() / 2], with[with.len() / 2]);
    println!("median of a run: {plain} us without channels, {dead} us with four dead ones");
    assert!(dead < plain * 3 / 2 + 300_000, "without {without:?}, with {with:?}");
}

#[tokio::test]
async fn an_approval_in_words_and_the_test_of_a_channel() {
    let (keys, receiver) = (Keys::new(), Receiver::start().await.unwrap());
    let config = keys.hook(&receiver, "notices = [\"asked\", \"decided\", \"ended\"]");
    let people = plot(ONE).config.to_owned() + &config;
    let yard = Yard::new(Plot { config: &people, ..plot(ONE) }).await;
    let (id, digest) = asked(&yard).await;
    let bo = person_token(&yard, "bo");
    assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200);
    yard.until_finished(1).await;
    yard.until("notices", 3, 20, async || receiver.desk.taken().len()).await;
    let said: Vec<String> = receiver.desk.taken().iter().map(|got| in_words(&got.body, &id)).collect();
    insta::assert_snapshot!(said.join("\n"));
    let server = ["--server", &yard.server.url];
    let admin = yard.server.admin.clone();
    let notify = |channel: &str| {
        let mut command = std::process::Command::new(crate::serve::rig::BINARY);
        command.args(["notify", "test", channel]).args(server).env("POINTSMAN_TOKEN", &admin);
        command.output().unwrap()
    };
    let tested = notify("hook");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let last = receiver.desk.taken().pop().unwrap();
    assert!(last.body["data"]["title"].to_string().contains("a test of channel hook"), "{last:?}");
    receiver.desk.mood(Mood::Answers(403));
    let failed = notify("hook");
    let words = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && words.contains("PM4020") && words.contains("403"), "{words}");
    let none = notify("nobody");
    assert_eq!(none.status.code(), Some(5), "{}", String::from_utf8_lossy(&none.stderr));
    assert!(pointsman(&["explain", "PM4020"]).status.success());
}

/// As a person reads it, without what differs from run to run.
fn in_words(body: &Value, run: &str) -> String {
    let data = &body["data"];
    let lines = data["lines"].as_array().unwrap().iter().chain(data["next"].as_array().unwrap());
    let lines: Vec<String> = lines.map(|line| format!("  {}", line.as_str().unwrap())).collect();
    let text = format!("{} [{}]\n{}\n", data["title"].as_str().unwrap(), data["pull"], lines.join("\n"));
    let text = text.replace(run, "RUN");
    let times = regex::Regex::new(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC").unwrap();
    let hosts = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let plans = regex::Regex::new(r"plan [0-9a-f]{7}").unwrap();
    let spans = regex::Regex::new(r"\d+(\.\d+)? (µs|ms|s)\b").unwrap();
    let text = times.replace_all(&text, "TIME");
    let text = hosts.replace_all(&text, "HOST");
    let text = plans.replace_all(&text, "plan DIGEST");
    // The alert of the fixture began at a fixed time.
    let detect = regex::Regex::new("detect [^,]+,").unwrap();
    let text = detect.replace_all(&text, "detect SPAN,");
    spans.replace_all(&text, "SPAN").into_owned()
}
