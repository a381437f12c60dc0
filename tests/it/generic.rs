//! `/hooks/generic/NAME` at the real server: each way to prove who sends, duplicates and odd orders, bodies that are hostile or not
//! understood, and the script for Nagios and Icinga.

use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::{Server, pointsman, token};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::{TempDir, tempdir};

const SECRET: &str = "as long as a secret should be";
const MAPPING: &str = "fingerprint = \"body.id\"\nstatus = \"body.state\"\nfiring = [\"down\"]\nresolved = [\"up\"]\n\
    ignored = [\"hello\"]\nlabels = { service = \"body.service\" }\nstarts_at = \"body.since\"\nends_at = \"body.until\"\n";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/generic");
    std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap()
}

/// `$SECRET` stands for a file with the secret.
fn secret_in(folder: &Path, config: &str) -> String {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET).unwrap();
    config.replace("$SECRET", &format!("{{ file = {file:?} }}"))
}

async fn served(config: &str) -> (Server, [TempDir; 3]) {
    let folders = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let file = folders[0].path().join("pointsman.toml");
    std::fs::write(&file, secret_in(folders[0].path(), config)).unwrap();
    let more = ["--config", file.to_str().unwrap()];
    (Server::start(folders[1].path(), folders[2].path(), &more).await, folders)
}

#[tokio::test]
async fn a_problem_moves_its_service_once_however_often_it_is_told() {
    let config = format!("[sources.watch]\n[sources.watch.mapping]\n{MAPPING}");
    let plot = Plot { trigger: "generic: { service: $S }", config: &config, services: 2, ..Plot::default() };
    let yard = Yard::new(plot).await;
    let bearer = yard.server.bearer().unwrap();
    let tell = async |body: Value| {
        let headers = [("authorization", bearer.as_str())];
        let (status, answer) =
            yard.server.deliver_to("/hooks/generic/watch", body.to_string(), &headers).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let since = now() - 60;
    let down = json!({ "id": "7", "state": "down", "service": "s0", "since": since, "until": null });
    let up = |id: &str, service: &str, until: u64| json!({ "id": id, "state": "up", "service": service, "since": since, "until": until });
    // The end of another problem arrives before its beginning, twice.
    for _ in 0..2 {
        tell(up("8", "s1", since + 5)).await;
    }
    tell(json!({ "id": "8", "state": "down", "service": "s1", "since": since, "until": null })).await;
    assert_eq!(tell(json!({ "id": "9", "state": "hello" })).await["alerts"], 0);
    for _ in 0..3 {
        assert_eq!(tell(down.clone()).await["alerts"], 1);
    }
    yard.until_finished(1).await;
    assert!(yard.moved("s0") && !yard.moved("s1"));
    tell(up("7", "s0", now())).await;
    // A late copy of what is over, and then the next outage of the same thing.
    tell(down.clone()).await;
    let again = json!({ "id": "7", "state": "down", "service": "s0", "since": now() + 1, "until": null });
    tell(again).await;
    yard.until("openings", 3, 20, async || yard.records("occurrence_opened").await.len()).await;
    let opened = yard.records("occurrence_opened").await;
    let names: Vec<&str> = opened.iter().map(|r| r["body"]["occurrence"].as_str().unwrap()).collect();
    assert_eq!(names, ["watch/8/1", "watch/7/1", "watch/7/2"], "each once, and s1 was over before");
    assert!(opened.iter().all(|r| r["body"]["kind"] == "generic"));
    assert_eq!(yard.records("opened").await.len(), 1, "one run");
    yard.verified();
}

#[tokio::test]
async fn each_scheme_proves_its_own_source_and_no_other() {
    let config = "[sources.plain]\npreset = \"newrelic\"\nsigning_secret = $SECRET\n\
        [sources.grafana]\npreset = \"grafana\"\nsigning_secret = $SECRET\n\
        [sources.pd]\npreset = \"pagerduty\"\nsigning_secret = $SECRET\n\
        [sources.events]\npreset = \"newrelic\"\nsigning_secret = $SECRET\ncloudevents = true\n";
    let (server, folders) = served(config).await;
    let at = now();
    let (new_relic, grafana, pager) =
        (fixture("newrelic-activated"), fixture("grafana-mixed"), fixture("pagerduty-triggered"));
    let ours = |at: u64, body: &str| {
        format!("t={at},v1={}", hex::encode(mac(SECRET.as_bytes(), &format!("{at}.{body}"))))
    };
    let by_time = |at: u64, body: &str| hex::encode(mac(SECRET.as_bytes(), &format!("{at}:{body}")));
    let good = format!("v1={}", hex::encode(mac(SECRET.as_bytes(), &pager)));
    let deliver = async |path: &str, body: &str, headers: &[(&str, String)]| {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        server.deliver_to(path, body.to_owned(), &headers).await
    };
    let (sig, gsig, gtime, psig) = (
        "x-pointsman-signature",
        "x-grafana-alerting-signature",
        "x-grafana-alerting-timestamp",
        "x-pagerduty-signature",
    );
    let refused = [
        ("/hooks/generic/plain", &new_relic, vec![(sig, ours(at, &grafana))], "not good"),
        ("/hooks/generic/plain", &new_relic, vec![(sig, ours(at - 400, &new_relic))], "compare the clocks"),
        ("/hooks/generic/grafana", &grafana, vec![(gsig, by_time(at, &grafana))], "not written as"),
        (
            "/hooks/generic/grafana",
            &grafana,
            vec![(gsig, by_time(at - 400, &grafana)), (gtime, (at - 400).to_string())],
            "compare the clocks",
        ),
        (
            "/hooks/generic/grafana",
            &grafana,
            vec![(gsig, by_time(at, &grafana)), (gtime, (at + 1).to_string())],
            "not good",
        ),
        ("/hooks/generic/pd", &new_relic, vec![(psig, good.clone())], "not good"),
        ("/hooks/generic/pd", &pager, vec![], "no token"),
        ("/hooks/generic/nobody", &pager, vec![], "no token"),
        // The secret of a source with a hook of its own opens no other.
        ("/hooks/zabbix", &new_relic, vec![(sig, ours(at, &new_relic))], "no source of the configuration"),
    ];
    for (path, body, headers, says) in refused {
        let (status, problem) = deliver(path, body, &headers).await;
        assert_eq!((status, problem["code"].as_str()), (401, Some("PM4003")), "{path}: {problem}");
        assert!(problem["failed"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    assert!(!server.kinds().await.contains(&"delivered".to_owned()), "nothing was kept");
    let taken = [
        ("/hooks/generic/plain", &new_relic, vec![(sig, ours(at, &new_relic))], 1),
        ("/hooks/generic/grafana", &grafana, vec![(gsig, by_time(at, &grafana)), (gtime, at.to_string())], 2),
        ("/hooks/generic/pd", &pager, vec![(psig, format!("v1={},{good}", "00".repeat(32)))], 1),
    ];
    for (path, body, headers, alerts) in taken {
        let (status, answer) = deliver(path, body, &headers).await;
        assert_eq!((status, &answer["alerts"]), (200, &json!(alerts)), "{path}: {answer}");
    }
    // An event: its attributes are signed in its body, and not in its headers.
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/nr", "type": "issue",
        "data": serde_json::from_str::<Value>(&new_relic).unwrap() })
    .to_string();
    let media = |media: &str| ("content-type", media.to_owned());
    let structured = [media("application/cloudevents+json"), (sig, ours(at, &event))];
    assert_eq!(deliver("/hooks/generic/events", &event, &structured).await.0, 200);
    let attributes = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/nr"), ("ce-type", "issue")]
        .map(|(k, v)| (k, v.to_owned()));
    let mut binary = attributes.to_vec();
    binary.push((sig, ours(at, &new_relic)));
    let (status, problem) = deliver("/hooks/generic/events", &new_relic, &binary).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["failed"].as_str().unwrap().contains("PM1309"), "{problem}");
    *binary.last_mut().unwrap() = ("authorization", server.bearer().unwrap());
    assert_eq!(deliver("/hooks/generic/events", &new_relic, &binary).await.0, 200);

    // Another source's name; and one that there is not, told to those who may deliver.
    let source = token(&server.data, "source");
    let basic =
        |user: &str| ("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{source}"))));
    assert_eq!(deliver("/hooks/generic/pd", &pager, &[basic("grafana")]).await.0, 403);
    assert_eq!(deliver("/hooks/generic/pd", &pager, &[basic("pd")]).await.0, 200);
    assert_eq!(deliver("/hooks/generic/nobody", &pager, &[basic("nobody")]).await.0, 404);
    // While the secret is away nobody is refused for good.
    std::fs::remove_file(folders[0].path().join("secret")).unwrap();
    let (status, problem) = deliver("/hooks/generic/plain", &new_relic, &[(sig, ours(at, &new_relic))]).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("PM1101")), "{problem}");
    server.stop().await;
}

#[tokio::test]
async fn standard_webhooks_are_good_for_five_minutes() {
    let config = format!(
        "[sources.shop]\nsigning_secret = $SECRET\nsignature = \"standard-webhooks\"\n[sources.shop.mapping]\n{MAPPING}"
    );
    let (server, folders) = served(&config).await;
    let key = b"thirty-two bytes, more or less..";
    std::fs::write(folders[0].path().join("secret"), format!("whsec_{}\n", STANDARD.encode(key))).unwrap();
    let body =
        json!({ "id": "1", "state": "down", "service": "x", "since": now(), "until": null }).to_string();
    let tell = async |id: &str, at: u64| {
        let signature = format!("v1,{}", STANDARD.encode(mac(key, &format!("msg_1.{at}.{body}"))));
        let at = at.to_string();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        server.deliver_to("/hooks/generic/shop", body.clone(), &headers).await
    };
    assert_eq!(tell("msg_1", now()).await.0, 200);
    assert_eq!(tell("msg_1", now()).await.0, 200, "told again, as the sender may");
    for (id, at) in [("msg_2", now()), ("msg_1", now() - 400), ("msg_1", now() + 400)] {
        assert_eq!(tell(id, at).await.0, 401, "{id}");
    }
    server.until_kind("occurrence_opened").await;
    assert_eq!(server.kinds().await.iter().filter(|kind| *kind == "occurrence_opened").count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_understood_is_kept_and_what_is_hostile_is_not() {
    let config = format!("[sources.watch]\n[sources.watch.mapping]\n{MAPPING}");
    let (server, folders) = served(&config).await;
    let bearer = server.bearer().unwrap();
    let tell = async |body: Vec<u8>| {
        server.deliver_to("/hooks/generic/watch", body, &[("authorization", bearer.as_str())]).await
    };
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for body in [&b"{"[..], b"", b"\xff", b"id=1", deep.as_bytes()] {
        let (status, problem) = tell(body.to_vec()).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("PM4005")), "{problem}");
        assert!(problem["failed"].as_str().unwrap().contains("PM1302"), "{problem}");
    }
    let (status, problem) = tell(vec![b' '; 3 << 20]).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("PM4006")), "{problem}");
    assert!(problem["failed"].as_str().unwrap().contains("2 MiB"), "{problem}");
    assert!(!server.kinds().await.contains(&"delivered".to_owned()), "nothing was kept");

    let strange = json!({ "id": "1", "state": "down", "since": 5 }).to_string();
    let (status, problem) = tell(strange.clone().into_bytes()).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("PM4005")), "{problem}");
    assert!(
        problem["failed"].as_str().unwrap().contains("labels.service: there is no \"service\" in body"),
        "{problem}"
    );
    let kept = server.until_kind("delivered").await;
    assert!(
        problem["state"].as_str().unwrap().contains(&format!("record {}", kept["position"])),
        "{problem}"
    );
    assert!(kept["says"].as_str().unwrap().contains("CANNOT BE UNDERSTOOD"), "{kept}");
    // Whoever corrects the mapping tries it on the very bytes.
    let body = folders[0].path().join("body.json");
    std::fs::write(&body, &strange).unwrap();
    let file = folders[0].path().join("pointsman.toml");
    let try_it = || {
        let playbooks = folders[2].path().to_str().unwrap();
        let words =
            ["match", "--config", file.to_str().unwrap(), "--playbooks", playbooks, "--source", "watch"];
        let out = pointsman(&[&words[..], &[body.to_str().unwrap()]].concat());
        (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    std::fs::write(folders[2].path().join("p.yaml"), PLAYBOOK).unwrap();
    let (code, said) = try_it();
    assert!(code == Some(3) && said.contains("labels.service"), "{said}");
    let mended = std::fs::read_to_string(&file)
        .unwrap()
        .replace("\"body.service\"", "\"has(body.service) ? body.service : 'shop'\"");
    std::fs::write(&file, mended).unwrap();
    let (code, said) = try_it();
    assert_eq!(code, Some(0), "{said}");
    server.stop().await;
}

const PLAYBOOK: &str = "playbook: p\nservice: s\nkind: other\nmode: observe\n\
    sites: { gra: { at: 1 }, sbg: { at: 2 } }\nfrom: gra\nto: sbg\n\
    triggers:\n  - generic: { service: shop }\n    when: alert.source == \"watch\"\n\
    steps:\n  - name: look\n    manual: Look.\n";

#[test]
fn the_script_has_no_known_mistake_of_shells() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nagios/pointsman-notify");
    let out =
        Command::new("shellcheck").arg(script).output().expect("shellcheck is installed by scripts/install");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

/// The script runs as Nagios runs it, and Pointsman believes what it signs.
#[tokio::test]
async fn the_script_for_nagios_and_icinga_delivers() {
    let (server, folders) = served("[sources.nagios]\npreset = \"nagios\"\nsigning_secret = $SECRET\n").await;
    let conf = folders[0].path().join("notify.conf");
    let secret = folders[0].path().join("secret");
    let hook = format!(
        "POINTSMAN_HOOK={}/hooks/generic/nagios\nPOINTSMAN_SECRET_FILE={}\n",
        server.url,
        secret.display()
    );
    std::fs::write(&conf, hook).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nagios/pointsman-notify");
    let since = (now() - 30).to_string();
    let notify = async |words: &[&str]| {
        let (conf, words) = (conf.clone(), words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let run = move || {
            Command::new("sh").arg(script).args(words).env("POINTSMAN_NOTIFY", conf).output().unwrap()
        };
        let out = tokio::task::spawn_blocking(run).await.unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let problem = ["PROBLEM", "CRITICAL", "HARD", &since, "db \"1\"\\", "Größe & $(id)"];
    let (code, said) = notify(&problem).await;
    assert!(code == Some(1) && said.contains("macro"), "{said}");
    let problem = ["PROBLEM", "CRITICAL", "HARD", &since, "db \"1\"\\", "Größe & `id` %s"];
    for _ in 0..2 {
        assert_eq!(notify(&problem).await, (Some(0), String::new()));
    }
    let opened = server.until_kind("occurrence_opened").await;
    assert_eq!(opened["body"]["labels"]["host"], "db \"1\"\\", "{opened}");
    assert_eq!(opened["body"]["labels"]["service"], "Größe & `id` %s", "{opened}");
    let until = now().to_string();
    let recovery = ["RECOVERY", "OK", "HARD", &until, "db \"1\"\\", "Größe & `id` %s"];
    assert_eq!(notify(&recovery).await.0, Some(0));
    server.until_kind("occurrence_closed").await;
    // A name with a line of its own, no time, and a secret that is not Pointsman's.
    for bad in [["PROBLEM", "CRITICAL", "HARD", &since, "a\nb"], ["PROBLEM", "CRITICAL", "HARD", "", "a"]] {
        assert_eq!(notify(&bad).await.0, Some(1), "{bad:?}");
    }
    let delivered = server.kinds().await.iter().filter(|kind| *kind == "delivered").count();
    let other = folders[0].path().join("other");
    std::fs::write(&other, "x".repeat(100)).unwrap();
    let text =
        std::fs::read_to_string(&conf).unwrap().replace(secret.to_str().unwrap(), other.to_str().unwrap());
    std::fs::write(&conf, text).unwrap();
    let (code, said) = notify(&problem).await;
    assert!(code == Some(1) && said.contains("did not take it"), "{said}");
    assert_eq!(server.kinds().await.iter().filter(|kind| *kind == "delivered").count(), delivered);
    // A secret longer than a block of SHA-256 is signed with, too.
    std::fs::write(&secret, "x".repeat(100)).unwrap();
    assert_eq!(notify(&recovery).await, (Some(0), String::new()));
    server.stop().await;
}
