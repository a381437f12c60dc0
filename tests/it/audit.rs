//! The audit log at the real server: asked, followed, reported on, taken away as evidence, and gone on with elsewhere.

mod frequent;

use crate::limits::yard::{Plot, Yard};
use crate::people::chromium::Chromium;
use crate::people::desk;
use crate::serve::rig::{BINARY, pointsman};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// As a person at the server's machine.
async fn cli(yard: &Yard, words: &[&str]) -> Output {
    let (url, token) = (yard.server.url.clone(), yard.server.admin.clone());
    let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    let folder = yard.folder().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut command = Command::new(BINARY);
        command.args(&words).current_dir(folder);
        command.env("POINTSMAN_SERVER", url).env("POINTSMAN_TOKEN", token).env("LC_ALL", "C.UTF-8");
        command.output().unwrap()
    })
    .await
    .unwrap()
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn found(yard: &Yard, filter: &str) -> Vec<Value> {
    let (status, page) = yard.server.get(&format!("/api/v1/audit?limit=1000&q={}", query(filter))).await;
    assert_eq!(status, 200, "{filter}: {page}");
    page["records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_grammar_answers_over_the_api_and_the_command_line() {
    let yard = Yard::new(Plot { services: 2, ..Plot::default() }).await;
    yard.fire("s0").await;
    yard.until_finished(1).await;
    yard.fire("s1").await;
    yard.until_finished(2).await;
    let all = yard.journal().await;
    let count = |f: &dyn Fn(&Value) -> bool| all.iter().filter(|r| f(r)).count();
    let ended = count(&|r| r["kind"] == "ended");
    assert_eq!(found(&yard, "action:ended result:applied").await.len(), ended);
    assert_eq!(found(&yard, "service:s0 action:finished").await.len(), 1);
    assert_eq!(found(&yard, "-action:observed").await.len(), count(&|r| r["kind"] != "observed"));
    assert_eq!(found(&yard, "object:\"move it\" target:box1 action:intended").await.len(), 1);
    assert_eq!(found(&yard, "since:1h").await.len(), all.len());
    assert_eq!(found(&yard, "until:1h").await.len(), 0);
    assert!(!found(&yard, "sitedown action:occurrence_opened").await.is_empty(), "labels are searched");

    let (status, problem) = yard.server.get("/api/v1/audit?q=playbok:x").await;
    assert_eq!((status, &problem["code"]), (400, &json!("PM2701")), "{problem}");
    assert!(problem["failed"].as_str().unwrap().contains("playbook: run: service:"), "{problem}");
    let out = cli(&yard, &["audit", "playbok:x"]).await;
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));

    let run =
        found(&yard, "service:s1 action:opened").await[0]["columns"]["run"].as_str().unwrap().to_owned();
    let out = cli(&yard, &["audit", &format!("run:{run} -action:observed"), "-o", "jsonl"]).await;
    let lines = String::from_utf8(out.stdout).unwrap();
    let kinds: Vec<Value> =
        lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["kind"].clone()).collect();
    assert!(kinds.contains(&json!("finished")) && !kinds.contains(&json!("observed")), "{kinds:?}");
    let out = cli(&yard, &["audit", "-action:observed", "--limit", "3"]).await;
    assert!(
        said(&out).contains("there are older ones: pointsman audit '-action:observed' --before"),
        "{}",
        said(&out)
    );
    let intended = found(&yard, &format!("run:{run} action:intended")).await[0]["position"].to_string();
    let out = cli(&yard, &["audit", "show", &intended]).await;
    let text = said(&out);
    assert!(
        text.contains("calls of this step") && text.contains("applied") && text.contains("target"),
        "{text}"
    );
    let planned = found(&yard, &format!("run:{run} action:planned")).await[0]["position"].to_string();
    let text = said(&cli(&yard, &["audit", "show", &planned]).await);
    assert!(text.contains("guards of this plan") && text.contains("origin is sick"), "{text}");
}

/// What alerts and people may send: it comes back as text, wherever it is shown.
#[tokio::test]
async fn what_wants_to_be_code_comes_back_as_text() {
    let yard = Yard::new(Plot::default()).await;
    let evil =
        ["=HYPERLINK(\"http://x\")", "<script>alert(1)</script>", "'; DROP TABLE entry; --", "\u{1b}[2Jgone"];
    for (n, text) in evil.iter().enumerate() {
        let mut body = yard.body("s9");
        body["alerts"][0]["labels"]["alertname"] = json!(text);
        body["alerts"][0]["labels"]["n"] = json!(format!("evil{n}"));
        yard.deliver(&body).await;
        let freeze = json!({ "service": "s0", "reason": text, "for": "1h" });
        assert_eq!(yard.server.post("/api/v1/freeze", freeze).await.0, 200);
        assert_eq!(yard.server.post("/api/v1/thaw", json!({ "service": "s0", "reason": text })).await.0, 200);
    }
    yard.until("alerts", evil.len(), 10, async || yard.records("occurrence_opened").await.len()).await;
    for text in evil {
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\u{1b}', ""));
        let hits = found(&yard, &format!("action:frozen {quoted}")).await;
        assert_eq!(hits.len(), 1, "{text}");
        assert_eq!(hits[0]["body"]["reason"], text);
        assert_eq!(found(&yard, &format!("object:{quoted}")).await.len(), 0);
    }
    let out = cli(&yard, &["audit", "action:frozen", "-o", "csv"]).await;
    let csv = String::from_utf8(out.stdout).unwrap();
    assert!(csv.starts_with("position,time,stream,action,actor,via,"), "{csv}");
    assert!(!csv.contains('\u{1b}') && csv.contains("<script>"), "{csv}");
    let out = cli(&yard, &["audit", "action:frozen"]).await;
    assert!(!out.stdout.contains(&0x1b), "{}", said(&out));
    assert_eq!(found(&yard, "action:thawed").await.len(), evil.len(), "the tables are still there");
}

/// The same where a browser reads it: the list of approvals, a plan, and the report for an attachment or a ticket.
#[tokio::test]
async fn what_wants_to_be_code_is_text_in_pages_and_reports() {
    const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    let yard = Yard::new(desk::plot(desk::ONE)).await;
    let text = yard.playbook("s0").replace("origin is sick", EVIL);
    yard.write_playbook("s0", &text);
    let yard = yard.restart().await;
    let mut body = yard.body("s0");
    (body["alerts"][0]["labels"]["note"], body["alerts"][0]["annotations"]) =
        (json!(EVIL), json!({ "summary": EVIL }));
    yard.deliver(&body).await;
    let (run, digest) = desk::waiting(&yard, 1).await;
    let harmless = |what: &str, html: &str| {
        assert!(html.to_lowercase().starts_with("<!doctype html>"), "{what}: {html}");
        assert!(!html.contains("<script") && !html.contains("<img"), "{what}: {html}");
    };
    let mut browser = desk::Browser::signed_in(&yard, "bo").await;
    let list = browser.get("/approvals").await;
    harmless("the list", &list.html);
    let page = browser.get(&format!("/approvals/{run}")).await;
    harmless("the plan", &page.html);
    assert!(page.html.contains("alert(2)"), "the guard's name is shown: {}", page.html);
    let token = desk::person_token(&yard, "bo");
    let yes = json!({ "command": "approve", "digest": digest, "reason": EVIL });
    let (status, answer) = desk::decide(&yard, &token, &run, yes).await;
    assert_eq!(status, 200, "{answer}");
    yard.until_finished(1).await;
    harmless("the plan, decided", &browser.get(&format!("/approvals/{run}")).await.html);
    let report = said(&cli(&yard, &["report", &run, "-o", "html"]).await);
    harmless("the report", &report);
    let escaped = report.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count();
    assert!(escaped >= 2, "the guard's name and the reason are in it, as text: {report}");
    let markdown = said(&cli(&yard, &["report", &run]).await);
    assert!(markdown.contains("alert(1)") && !markdown.contains("<script"), "{markdown}");
}

/// The report where people read it: on a phone nothing leaves the screen, on a screen and on paper no word is broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_read_on_a_phone_on_a_screen_and_on_paper() {
    let yard = Yard::new(Plot::default()).await;
    yard.fire("s0").await;
    yard.until_finished(1).await;
    let run = found(&yard, "action:finished").await[0]["columns"]["run"].as_str().unwrap().to_owned();
    let page = yard.folder().join("report.html");
    std::fs::write(&page, cli(&yard, &["report", &run, "-o", "html"]).await.stdout).unwrap();
    let url = format!("file://{}", page.display());
    tokio::task::spawn_blocking(move || looked_at(&url)).await.unwrap();
}

fn looked_at(url: &str) {
    let mut browser = Chromium::start();
    let wide = "document.documentElement.scrollWidth";
    for (width, scheme) in [(320, "dark"), (320, "light"), (1000, "light")] {
        browser.become_phone(width, scheme);
        browser.open(url);
        browser.picture(&format!("report-{width}-{scheme}"));
        assert!(
            browser.ask(wide).as_u64().unwrap() <= u64::from(width),
            "{width} {scheme}: it leaves the screen"
        );
        let background = browser.ask("getComputedStyle(document.body).backgroundColor");
        assert_eq!(background == "rgb(24, 24, 24)", scheme == "dark", "{background}");
    }
    // One line of the names of columns and of what was done; a card of each row where there is no room.
    let lines =
        "[...document.querySelectorAll('thead th')].every(th => th.clientHeight > 0 && th.clientHeight < 40)";
    assert_eq!(browser.ask(lines), true, "names of columns are broken");
    let action =
        "[...document.querySelectorAll('td[data-of=Action]')].map(td => getComputedStyle(td).display)";
    assert_eq!(browser.ask(&format!("{action}[0]")), "table-cell");
    browser.become_phone(320, "light");
    browser.open(url);
    assert_eq!(browser.ask(&format!("{action}[0]")), "grid");
    let named = "getComputedStyle(document.querySelector('td[data-of=Action]'), '::before').content";
    assert_eq!(browser.ask(named), "\"Action\"");
    // Paper is as narrow as a small screen, and is no card.
    let media =
        json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.call("Emulation.setEmulatedMedia", media);
    assert_eq!(browser.ask(&format!("{action}[0]")), "table-cell");
    assert_eq!(browser.ask("getComputedStyle(document.body).color"), "rgb(0, 0, 0)", "ink");
}

#[tokio::test]
async fn a_filtered_follower_misses_nothing_and_repeats_nothing() {
    let yard = Yard::new(Plot { services: 1, ..Plot::default() }).await;
    let head = yard.journal().await.len();
    let url = format!("{}/api/v1/events?from={}&q={}", yard.server.url, head + 1, query("action:frozen"));
    let mut response = reqwest::Client::new().get(url).bearer_auth(&yard.server.admin).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let writing = async {
        for n in 0..40 {
            let freeze = json!({ "service": "s0", "reason": format!("number {n}"), "for": "1h" });
            assert_eq!(yard.server.post("/api/v1/freeze", freeze).await.0, 200);
            assert_eq!(
                yard.server.post("/api/v1/thaw", json!({ "service": "s0", "reason": "x" })).await.0,
                200
            );
        }
    };
    let reading = async {
        let (mut text, mut seen) = (String::new(), vec![]);
        while seen.len() < 40 {
            text.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
            while let Some((event, rest)) = text.split_once("\n\n") {
                if let Some(data) = event.lines().find_map(|l| l.strip_prefix("data: ")) {
                    let record: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(record["kind"], "frozen");
                    seen.push(record["body"]["reason"].as_str().unwrap().to_owned());
                }
                text = rest.to_owned();
            }
        }
        seen
    };
    let both = tokio::time::timeout(Duration::from_secs(30), futures_util::future::join(writing, reading));
    let (_, seen) = both.await.unwrap();
    let wanted: Vec<String> = (0..40).map(|n| format!("number {n}")).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn a_run_is_reported_and_its_bundle_proves_it_anywhere() {
    let yard = Yard::new(Plot { services: 2, ..Plot::default() }).await;
    yard.fire("s0").await;
    yard.fire("s1").await;
    yard.until_finished(2).await;
    let run =
        found(&yard, "service:s0 action:finished").await[0]["columns"]["run"].as_str().unwrap().to_owned();
    let text = said(&cli(&yard, &["report", &run]).await);
    for wanted in [
        "# Run ",
        "| outcome | succeeded |",
        "## Changes",
        "move it",
        "origin is sick",
        "nothing is left to do by hand",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let page = said(&cli(&yard, &["report", &run, "-o", "html"]).await);
    assert!(
        page.starts_with("<!doctype html>")
            && page.contains("<h2>Timeline</h2>")
            && !page.contains("<script")
    );
    let document: Value =
        serde_json::from_str(&said(&cli(&yard, &["report", &run, "-o", "json"]).await)).unwrap();
    assert_eq!(
        (&document["schema"], &document["outcome"]),
        (&json!("pointsman.report/v1"), &json!("succeeded"))
    );

    let out = cli(&yard, &["audit", "export", "--run", &run, "--to", "b.json"]).await;
    assert!(out.status.success(), "{}", said(&out));
    let file = yard.folder().join("b.json");
    let key = yard.folder().join("data/checkpoint.pub");
    let verify = |file: &Path| {
        pointsman(&["audit", "verify", "--bundle", file.to_str().unwrap(), "--key", key.to_str().unwrap()])
    };
    let out = verify(&file);
    assert!(
        out.status.success() && said(&out).starts_with(&format!("verified: run {run}:")),
        "{}",
        said(&out)
    );
    let good: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let bodies = good["bodies"].as_object().unwrap();
    assert!(
        !bodies.values().any(|body| body.to_string().contains("move-s1")),
        "other runs are not given away"
    );
    assert!(!good["deliveries"].as_object().unwrap().is_empty(), "the delivery that caused it is inside");
    let out = cli(&yard, &["audit", "export", "--run", &run, "--to", "b.json"]).await;
    assert_eq!(out.status.code(), Some(1), "a file is never written over: {}", said(&out));

    // Each part changed by itself, with a manifest that fits again.
    let own = |link: &&Value| link["stream"] == format!("run:{run}") && link["kind"] == "ended";
    let some = good["links"].as_array().unwrap().iter().find(own).unwrap()["position"].to_string();
    let spoilers: [(&str, Spoil<'_>); 7] = [
        ("a body", Box::new(|b| b["bodies"][&some] = json!("{}"))),
        ("a body left out", Box::new(|b| drop(b["bodies"].as_object_mut().unwrap().remove(&some)))),
        ("a link", Box::new(|b| b["links"][2]["at"] = json!(7))),
        ("a link left out", Box::new(|b| drop(b["links"].as_array_mut().unwrap().remove(2)))),
        ("the report", Box::new(|b| b["report"] = json!("all was well"))),
        ("the checkpoint", Box::new(|b| b["checkpoint"]["position"] = json!(1))),
        ("the deliveries", Box::new(|b| b["deliveries"] = json!({}))),
    ];
    for (what, spoil) in spoilers {
        let mut bundle = good.clone();
        spoil(&mut bundle);
        refit(&mut bundle);
        let file = yard.folder().join("spoiled.json");
        std::fs::write(&file, bundle.to_string()).unwrap();
        let out = verify(&file);
        assert_eq!(out.status.code(), Some(22), "{what}: {}", said(&out));
        assert!(said(&out).contains("PM2708") && !said(&out).contains("manifest"), "{what}: {}", said(&out));
    }
    let mut bundle = good.clone();
    bundle["report"] = json!("all was well");
    std::fs::write(yard.folder().join("spoiled.json"), bundle.to_string()).unwrap();
    assert!(
        said(&verify(&yard.folder().join("spoiled.json")))
            .contains("\"report\" is not the one of its manifest")
    );
    // Words change from version to version; the records do not.
    let older = yard.folder().join("older.json");
    let mut bundle = good.clone();
    (bundle["version"], bundle["report"]) = (json!("0.0.1"), json!("# Run, in the words of another version"));
    std::fs::write(&older, bundle.to_string()).unwrap();
    assert_eq!(verify(&older).status.code(), Some(22), "the manifest holds the report of any version");
    refit(&mut bundle);
    std::fs::write(&older, bundle.to_string()).unwrap();
    let out = verify(&older);
    assert!(
        out.status.success() && said(&out).contains("not compared with the records: \"0.0.1\" wrote it"),
        "{}",
        said(&out)
    );
    bundle["bodies"][&some] = json!("{}");
    refit(&mut bundle);
    std::fs::write(&older, bundle.to_string()).unwrap();
    assert_eq!(verify(&older).status.code(), Some(22), "its records are held all the same");
    yard.verified();
}

type Spoil<'a> = Box<dyn Fn(&mut Value) + 'a>;

/// The manifest as somebody who knows the format would make it.
fn refit(bundle: &mut Value) {
    use pointsman::kernel::domain::Digest;
    for part in ["bodies", "links", "deliveries", "checkpoint"] {
        bundle["manifest"][part] = json!(Digest::of_json(&bundle[part]));
    }
    for part in ["report", "playbook_text", "key"] {
        bundle["manifest"][part] = json!(Digest::of(bundle[part].as_str().unwrap().as_bytes()));
    }
}

#[tokio::test]
async fn a_run_goes_on_from_its_bundle_when_the_disk_is_dead() {
    let yard = Yard::new(Plot::default()).await;
    yard.world.sick.store(true, Ordering::SeqCst);
    let alert = yard.fire("s0").await;
    yard.until("the held run", 1, 20, async || found(&yard, "action:held run:*").await.len()).await;
    let run = found(&yard, "action:opened").await[0]["columns"]["run"].as_str().unwrap().to_owned();
    let out = cli(&yard, &["audit", "export", "--run", &run, "--to", "b.json"]).await;
    assert!(out.status.success(), "{}", said(&out));
    let (bundle, new) = (yard.folder().join("b.json"), yard.folder().join("new"));
    let resume = |to: &Path| {
        pointsman(&["resume", "--data", to.to_str().unwrap(), "--from-bundle", bundle.to_str().unwrap()])
    };
    let out = resume(&yard.folder().join("data"));
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("PM2711"), "{}", said(&out));
    let out = resume(&new);
    assert!(out.status.success() && said(&out).contains("FROZEN"), "{}", said(&out));
    let out = pointsman(&["audit", "verify", "--data", new.to_str().unwrap()]);
    assert!(out.status.success(), "{}", said(&out));

    let yard = yard.restart_with("new").await;
    yard.world.sick.store(false, Ordering::SeqCst);
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(status["frozen"].to_string().contains("PM2712"), "{status}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!yard.moved("s0"), "nothing goes on before a person has looked");
    // The alert comes again, as Alertmanager repeats it, and belongs to the run that is open.
    yard.deliver(&alert).await;
    let (code, answer) = yard.server.post("/api/v1/thaw", json!({ "reason": "targets compared" })).await;
    assert_eq!(code, 200, "{answer}");
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    assert_eq!(found(&yard, &format!("run:{run} action:taken")).await.len(), 1);
    assert_eq!(found(&yard, "action:opened").await.len(), 1, "one run, not two");
}

/// What `audit export` gives at the moment when that record is the journal's last.
async fn export_at(data: &Path, run: &str, position: u64, to: &Path) {
    use pointsman::audit::make_bundle;
    use pointsman::kernel::journal::Head;
    use pointsman::store::{CheckpointFiles, Checkpoints, SqliteStore};
    let store = SqliteStore::open(data).await.unwrap().store;
    let (last, hash) = store.stamped(position, 1).await.unwrap().remove(0);
    let head = Head { position, hash, at: last.at };
    let signer = Checkpoints::open(data, &CheckpointFiles::default()).unwrap();
    let made = make_bundle(&store, &run.into(), head, signer.sign(head), &signer.public()).await.unwrap();
    std::fs::write(to, serde_json::to_vec(&made).unwrap()).unwrap();
    store.close().await;
}

/// The disk died while a call was on its way: the bundle ends with its intent, and nobody knows whether it happened.
#[tokio::test]
async fn a_call_on_its_way_at_the_export_is_looked_at_before_anything_is_called_again() {
    for happened in [true, false] {
        let yard = Yard::new(Plot::default()).await;
        yard.fire("s0").await;
        yard.until_finished(1).await;
        let intended = found(&yard, "action:intended").await.remove(0);
        let run = intended["columns"]["run"].as_str().unwrap().to_owned();
        let file = |name: &str| yard.folder().join(name).to_str().unwrap().to_owned();
        let out = cli(&yard, &["db", "backup", "--data", &file("data"), "--to", &file("copy")]).await;
        assert!(out.status.success(), "{}", said(&out));
        let (copy, bundle) = (yard.folder().join("copy"), yard.folder().join("b.json"));
        export_at(&copy, &run, intended["position"].as_u64().unwrap(), &bundle).await;
        let out = cli(&yard, &["resume", "--data", &file("new"), "--from-bundle", &file("b.json")]).await;
        assert!(out.status.success(), "{}", said(&out));
        if !happened {
            yard.move_back("s0");
        }
        let yard = yard.restart_with("new").await;
        let (code, answer) = yard.server.post("/api/v1/thaw", json!({ "reason": "targets compared" })).await;
        assert_eq!(code, 200, "{answer}");
        yard.until_finished(1).await;
        assert!(yard.moved("s0"));
        let own: Vec<Value> =
            yard.journal().await.into_iter().filter(|r| r["stream"] == format!("run:{run}")).collect();
        let taken = own.iter().position(|r| r["kind"] == "taken").unwrap();
        let (before, after) = own.split_at(taken);
        assert_eq!(before.last().unwrap()["kind"], "intended", "the call was on its way");
        let calls: Vec<usize> = (0..after.len()).filter(|n| after[*n]["kind"] == "intended").collect();
        assert_eq!(calls.len(), usize::from(!happened), "what happened is not called again");
        let looked = after.iter().position(|r| r["kind"] == "observed" && r["body"]["why"] == "classify");
        assert!(calls.first().is_none_or(|call| looked.unwrap() < *call), "{looked:?}, {calls:?}");
        assert_eq!(own.last().unwrap()["body"]["outcome"], "succeeded");
        yard.verified_in("new");
    }
}

#[tokio::test]
async fn an_alert_of_the_past_is_asked_again_and_nothing_is_written() {
    let yard = Yard::new(Plot::default()).await;
    yard.fire("s0").await;
    yard.until_finished(1).await;
    yard.move_back("s0");
    let before = yard.journal().await.len();
    let (status, replay) = yard.server.post("/api/v1/replays", json!({ "of": "SiteDown" })).await;
    assert_eq!(status, 200, "{replay}");
    assert_eq!(
        (&replay["verdicts"][0]["matched"], &replay["plan"]["service"]),
        (&json!(true), &json!("s0")),
        "{replay}"
    );
    let out = cli(&yard, &["why", "SiteDown", "--replay"]).await;
    assert!(
        said(&out).contains("asked again") && said(&out).contains("changed and recorded nothing"),
        "{}",
        said(&out)
    );
    assert!(!yard.moved("s0"));
    assert_eq!(yard.journal().await.len(), before);
    assert_eq!(yard.server.post("/api/v1/replays", json!({ "of": "nothing" })).await.0, 404);
}
