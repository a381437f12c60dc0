//! The shelf of playbooks at the real server: what is in force, every form that ever was, and one that people take out of
//! use for a while.

use crate::limits::yard::{Plot, Yard};
use pointsman::kernel::domain::Role;
use serde_json::{Value, json};
use std::process::Command;

/// As a person would. The world answers from the other threads meanwhile.
fn say(yard: &Yard, role: Role, words: &[&str]) -> (i32, String, String) {
    let out = Command::new(crate::serve::rig::BINARY)
        .args(words)
        .env("POINTSMAN_SERVER", &yard.server.url)
        .env("POINTSMAN_TOKEN", yard.token(role.as_str()))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
}

async fn run(yard: &Yard) -> (u16, Value) {
    yard.server.post("/api/v1/runs", json!({ "playbook": "move-s0", "reason": "by hand" })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_playbook_starts_nothing_and_what_waited_is_looked_at_again_when_it_is_enabled() {
    let yard = Yard::new(Plot { services: 2, ..Plot::default() }).await;
    let disable = ["playbook", "disable", "move-s0", "--reason", "the switch is on the bench", "--for", "2h"];
    assert_eq!(say(&yard, Role::Operator, &disable).0, 4, "it takes an incident lead");
    assert_eq!(say(&yard, Role::IncidentLead, &["playbook", "enable", "move-s0", "--reason", "r"]).0, 6);
    assert_eq!(
        say(&yard, Role::IncidentLead, &["playbook", "disable", "x", "--reason", "r", "--for", "1h"]).0,
        5
    );
    let long = ["playbook", "disable", "move-s0", "--reason", "r", "--for", "9000h"];
    assert_eq!(say(&yard, Role::IncidentLead, &long).0, 6, "it is no switch to be forgotten");
    let (code, out, err) = say(&yard, Role::IncidentLead, &disable);
    assert!(code == 0 && out.contains("playbook move-s0 is disabled by"), "{out}{err}");

    yard.fire("s0").await;
    yard.until_held("s0", "PM5420", 1).await;
    let (status, problem) = run(&yard).await;
    assert_eq!((status, problem["failed"].to_string().contains("on the bench")), (409, true), "{problem}");
    assert!(
        yard.records("not_opened").await[0].to_string().contains("PM5420"),
        "a no to a person is on record"
    );
    yard.fire("s1").await;
    yard.until_finished(1).await;
    assert!(yard.moved("s1") && !yard.moved("s0"), "another playbook is in use");
    assert!(yard.metric("pointsman_playbooks_disabled 1").await);
    let (_, list, _) = say(&yard, Role::Viewer, &["playbook", "list"]);
    assert!(list.contains("DISABLED") && list.contains("on the bench"), "{list}");
    let (_, shown, _) = say(&yard, Role::Viewer, &["status"]);
    assert!(shown.contains("(1 disabled)") && shown.contains("on the bench"), "{shown}");
    let (_, why) = yard.server.get("/api/v1/why?of=s0").await;
    assert!(
        why["now"].to_string().contains("PM5420") && why["records"].to_string().contains("on the bench"),
        "{why}"
    );

    let yard = yard.restart().await;
    assert!(say(&yard, Role::Viewer, &["playbook", "list"]).1.contains("DISABLED"));
    let asked = yard.world.asked.load(std::sync::atomic::Ordering::SeqCst);
    let (code, out, err) =
        say(&yard, Role::IncidentLead, &["playbook", "enable", "move-s0", "--reason", "tested"]);
    assert!(code == 0 && out.contains("is enabled"), "{out}{err}");
    yard.until_finished(2).await;
    assert!(yard.moved("s0"));
    assert!(yard.world.asked.load(std::sync::atomic::Ordering::SeqCst) > asked, "the source is asked first");
    let (_, history, _) = say(&yard, Role::Viewer, &["playbook", "history", "move-s0"]);
    let at = |words: &str| history.find(words).unwrap_or_else(|| panic!("no {words:?}: {history}"));
    assert!(at("is active") < at("is disabled by") && at("is disabled by") < at("is enabled again by"));
    yard.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_end_comes_by_itself_and_meanwhile_another_playbook_starts_in_its_place() {
    let yard = Yard::new(Plot::default()).await;
    let other = yard.playbook("s0").replace("playbook: move-s0", "playbook: other-s0");
    yard.write_playbook("z-other", &other);
    yard.server.hang_up();
    let active = async || {
        let (_, list) = yard.server.get("/api/v1/playbooks").await;
        list["playbooks"].as_array().unwrap().iter().filter(|p| p["active"] == true).count()
    };
    yard.until("two playbooks", 2, 20, active).await;
    let off = json!({ "reason": "for a moment", "for": "4s" });
    assert_eq!(yard.server.post("/api/v1/playbooks/move-s0/disable", off).await.0, 200);
    yard.fire("s0").await;
    yard.until_finished(1).await;
    assert_eq!(yard.records("opened").await[0]["body"]["playbook"], "other-s0");
    yard.until("its end on record", 1, 20, async || yard.records("enabled").await.len()).await;
    let end = yard.records("enabled").await.pop().unwrap();
    assert!(
        end["body"]["by"].is_null() && end["says"].as_str().unwrap().contains("its time is over"),
        "{end}"
    );
    let (_, list) = yard.server.get("/api/v1/playbooks").await;
    assert!(list["playbooks"][0]["disabled"].is_null(), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_kept_and_their_difference_is_shown() {
    let yard = Yard::new(Plot::default()).await;
    let good = yard.playbook("s0");
    let first = yard.server.get("/api/v1/playbooks/move-s0").await.1;
    assert_eq!(first["text"], good.as_str());
    let look = |words: &[&str]| say(&yard, Role::Viewer, words);
    assert_eq!(look(&["playbook", "diff", "move-s0"]).0, 0, "there was no other form");
    let form = async |not: &Value| {
        let shown = yard.server.get("/api/v1/playbooks/move-s0").await.1;
        usize::from(shown["digest"] != *not || shown["refused"].is_string())
    };
    yard.write_playbook("s0", &good.replace("per_day: 3", "per_day: 4"));
    yard.until("a new form", 1, 20, async || form(&first["digest"]).await).await;
    let (code, out, err) = look(&["playbook", "diff", "move-s0"]);
    assert!(code == 20 && out.contains("-limits: { cooldown: 1h, per_day: 3 }"), "{out}{err}");
    assert!(out.contains("+limits: { cooldown: 1h, per_day: 4 }"), "{out}");
    let start = &first["digest"].as_str().unwrap()[..7];
    let (code, out, err) = look(&["playbook", "show", "move-s0", "--form", start]);
    assert!(code == 0 && out == good && err.contains("of the past"), "{out}{err}");
    // What is refused is shown against what is in force.
    let now = yard.server.get("/api/v1/playbooks/move-s0").await.1;
    yard.write_playbook("s0", &good.replace("service: s0", "servise: s0"));
    yard.until("a refused form", 1, 20, async || form(&now["digest"]).await).await;
    let (code, out, err) = look(&["playbook", "diff", "move-s0"]);
    assert!(code == 20 && out.contains("+servise: s0") && out.contains("-limits"), "{out}{err}");
    let (_, history, _) = look(&["playbook", "history", "move-s0"]);
    assert!(history.contains("is refused (") && history.contains("servise"), "{history}");
    let (_, list, _) = look(&["playbook", "list"]);
    assert!(list.contains("LAST GOOD"), "{list}");
    // A file here, before it is sent.
    let here = yard.playbook_file("s0");
    let (code, out, _) = look(&["playbook", "diff", "move-s0", "--file", here.to_str().unwrap()]);
    assert!(code == 20 && out.contains("+servise: s0"), "{out}");
    // Whatever else is kept by digest is no form of a playbook.
    yard.fire("s0").await;
    let body = yard.records("delivered").await[0]["body"]["digest"].as_str().unwrap().to_owned();
    let (status, problem) = yard.server.get(&format!("/api/v1/playbooks/move-s0?form={body}")).await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("PM4002")), "{problem}");
    assert_eq!(look(&["playbook", "show", "no-such"]).0, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playbook_that_stops_being_ready_is_told_of_and_one_that_was_never_looked_at_is_not_ready() {
    let yard = Yard::new(Plot { config: "[ready]\nevery = \"1s\"\n", ..Plot::default() }).await;
    let (code, out, err) = say(&yard, Role::Viewer, &["ready", "--last"]);
    // The first look of the schedule may have been a moment ago.
    assert!(code == 0 || (code == 21 && out.contains("NOT LOOKED AT")), "{code}: {out}{err}");
    let told = async |ready: bool| {
        let all = yard.records("readiness").await;
        all.iter().filter(|r| r["body"]["ready"] == ready).count()
    };
    let metric = async || usize::from(yard.metric("pointsman_playbooks_ready{state=\"ready\"} 1").await);
    yard.until("ready by the metric", 1, 20, metric).await;
    assert_eq!(say(&yard, Role::Viewer, &["ready"]).0, 0);
    let (_, looked) = yard.server.get("/api/v1/ready").await;
    let findings = looked["playbooks"][0]["findings"].as_array().unwrap();
    let disk = findings.iter().find(|f| f["about"] == "the data directory").unwrap();
    assert!(disk["says"].as_str().unwrap().contains(" free at ") && disk["at"].is_number(), "{disk}");
    assert_eq!(told(true).await, 0, "as it should be from the beginning is no news");

    yard.world.sick.store(true, std::sync::atomic::Ordering::SeqCst);
    yard.until("not ready on record", 1, 20, async || told(false).await).await;
    let record = yard.records("readiness").await.pop().unwrap();
    assert!(record["says"].as_str().unwrap().contains("NOT READY: origin is sick"), "{record}");
    let (code, out, err) = say(&yard, Role::Viewer, &["ready", "move-s0"]);
    assert!(code == 21 && out.contains("NOT READY") && out.contains("do: "), "{out}{err}");
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert_eq!(status["playbooks"][0]["ready"], false, "{status}");
    let metric = async || usize::from(yard.metric("pointsman_playbooks_ready{state=\"not_ready\"} 1").await);
    yard.until("the metric", 1, 10, metric).await;
    let (again, records) = (yard.records("readiness").await.len(), yard.journal().await.len());
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(yard.journal().await.len(), records, "only what is new is on record");

    yard.world.sick.store(false, std::sync::atomic::Ordering::SeqCst);
    yard.until("ready again", again + 1, 20, async || yard.records("readiness").await.len()).await;
    assert!(yard.records("opened").await.is_empty() && !yard.moved("s0"), "a look changes nothing");
    // A playbook that is out of use is nobody's worry; one that changed was not looked at in its new form.
    let off = json!({ "reason": "on the bench", "for": "1h" });
    assert_eq!(yard.server.post("/api/v1/playbooks/move-s0/disable", off).await.0, 200);
    let (code, out, _) = say(&yard, Role::Viewer, &["ready", "--last"]);
    assert!(code == 0 && out.contains("DISABLED"), "{out}");
    yard.verified();
}

/// A look costs every target a question: however many ask, it is asked once in ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_whether_it_is_ready_shares_one_look() {
    let yard = Yard::new(Plot { config: "[ready]\nevery = \"1h\"\n", ..Plot::default() }).await;
    let asked = || yard.world.asked.load(std::sync::atomic::Ordering::SeqCst);
    let look = async || yard.server.post("/api/v1/ready", json!({ "playbook": "move-s0" })).await.1;
    let before = asked();
    let first = look().await;
    let once = asked() - before;
    assert!(once > 0 && first["playbooks"][0]["at"].is_number(), "{first}");
    let (a, b, c) = tokio::join!(look(), look(), look());
    assert_eq!(asked(), before + once, "it was looked at again");
    for again in [a, b, c] {
        assert_eq!(again["playbooks"], first["playbooks"], "another answer");
    }
}

#[test]
fn what_init_writes_passes_its_check_and_its_crash_matrix_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let flags = "--shape dns --service blog --from lyon --to lille --site paris --domain blog.example.org --from-address 192.0.2.1 \
                 --to-address 192.0.2.2";
    let run = |words: &[&str]| {
        let out = Command::new(crate::serve::rig::BINARY).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        (out.status.code().unwrap(), text)
    };
    let at = |name: &str| dir.join(name).display().to_string();
    let words: Vec<&str> =
        ["init", dir.to_str().unwrap()].into_iter().chain(flags.split_whitespace()).collect();
    let (code, said) = run(&words[..words.len() - 2]);
    assert!(code == 2 && said.contains("--to-address") && !dir.exists(), "nobody can be asked here: {said}");
    let (code, said) = run(&words);
    assert!(code == 0 && said.contains("pointsman serve"), "{said}");
    let (config, books) = (at("pointsman.toml"), at("playbooks"));
    let (code, said) = run(&["check", "--config", &config, &books]);
    assert!(code == 0 && said.contains("1 playbook checked: 0 errors"), "{said}");
    let (code, said) = run(&["test", "--config", &config, &books]);
    assert_eq!(code, 0, "{said}");
    let before = std::fs::read(&config).unwrap();
    let (code, said) = run(&words);
    assert!(code == 6 && said.contains("PM0015") && std::fs::read(&config).unwrap() == before, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scorecard_sets_what_it_would_have_done_against_what_people_did() {
    // It observes; by hand, another playbook of the same service moves it.
    let yard = Yard::new(Plot { mode: "observe", ..Plot::default() }).await;
    let by_hand = yard
        .playbook("s0")
        .replace("playbook: move-s0", "playbook: by-hand")
        .replace("mode: observe", "mode: auto");
    let by_hand =
        by_hand.replace("  - alertmanager: { alertname: SiteDown, service: s0 }", "  - when: \"false\"");
    yard.write_playbook("z-by-hand", &by_hand);
    yard.server.hang_up();
    let active = async || {
        let (_, list) = yard.server.get("/api/v1/playbooks").await;
        list["playbooks"].as_array().unwrap().iter().filter(|p| p["active"] == true).count()
    };
    yard.until("two playbooks", 2, 20, active).await;
    let decided = async || yard.records("not_started").await.len();
    let card = async || yard.server.get("/api/v1/playbooks/move-s0/scorecard").await.1;

    // It would have acted, and people did.
    let first = yard.fire("s0").await;
    yard.until("the first alert", 1, 20, decided).await;
    let (status, opened) =
        yard.server.post("/api/v1/runs", json!({ "playbook": "by-hand", "reason": "seen" })).await;
    assert_eq!(status, 201, "{opened}");
    yard.until_finished(1).await;
    yard.resolve(first).await;
    // It would have acted, nobody did, and it went away.
    yard.move_back("s0");
    let second = yard.fire("s0").await;
    yard.until("the second alert", 2, 20, decided).await;
    assert_eq!(card().await["alerts"][1]["score"], "open", "people may still act");
    yard.resolve(second).await;
    // It would have held back, and nobody did anything either.
    yard.world.sick.store(true, std::sync::atomic::Ordering::SeqCst);
    let third = yard.fire("s0").await;
    yard.until("the third alert", 3, 20, decided).await;
    yard.resolve(third).await;
    let over = async || yard.records("occurrence_closed").await.len();
    yard.until("all over", 3, 20, over).await;

    let card = card().await;
    let scores: Vec<&str> =
        card["alerts"].as_array().unwrap().iter().map(|a| a["score"].as_str().unwrap()).collect();
    assert_eq!(scores, ["agrees", "needless", "agrees"], "{card}");
    assert_eq!(
        (&card["alerts"][0]["run"], &card["alerts"][0]["outcome"]),
        (&opened["run"], &json!("succeeded")),
        "{card}"
    );
    assert!(card["alerts"][2]["why"].to_string().contains("origin is sick"), "{card}");
    let (code, out, err) = say(&yard, Role::Viewer, &["playbook", "scorecard", "move-s0"]);
    assert!(
        code == 0 && out.contains("agreed with people in 2 of 3") && out.contains("NEEDLESS"),
        "{out}{err}"
    );
    assert_eq!(say(&yard, Role::Viewer, &["playbook", "scorecard", "no-such"]).0, 5);
}
