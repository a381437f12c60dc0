//! Bad input and failing disks: a clear error each, nothing lost, nothing half done.

use super::rig::{BINARY, ONE_ALERT, Server, pointsman, token};
use lab::faults::{fill, root_or_skip, small_disk};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[tokio::test]
async fn bodies_that_are_none_are_refused_with_the_reason_and_leave_nothing() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let before = server.kinds().await;
    let (status, problem) = server.deliver("{\"alerts\": [", server.bearer()).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("PM4005")), "{problem}");
    let (status, problem) = server.deliver("[1, 2]", server.bearer()).await;
    assert_eq!(status, 400, "{problem}");
    let (status, problem) =
        server.deliver("{\"version\": \"4\", \"alerts\": \"many\"}", server.bearer()).await;
    assert_eq!(status, 400, "{problem}");
    assert!(
        !problem["failed"].as_str().unwrap().is_empty() && !problem["remedy"].as_str().unwrap().is_empty()
    );
    let (status, problem) = server.deliver(vec![b' '; 9 << 20], server.bearer()).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("PM4006")), "{problem}");
    assert_eq!(server.kinds().await, before, "nothing was kept");
}

#[tokio::test]
async fn tokens_open_only_their_own_doors() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let viewer = token(data.path(), "viewer");
    for (auth, wanted) in [
        (None, 401),
        (Some("Bearer pm_wrong".to_owned()), 401),
        (Some("Basic !!!".to_owned()), 401),
        (Some(format!("Bearer {viewer}")), 403),
    ] {
        let (status, problem) = server.deliver(ONE_ALERT, auth.clone()).await;
        assert_eq!(status, wanted, "{auth:?} {problem}");
        assert!(!problem.to_string().contains(&viewer), "the token is not told again");
    }
    let reply =
        reqwest::Client::new().get(format!("{}/api/v1/status", server.url)).bearer_auth(&server.source);
    assert_eq!(reply.send().await.unwrap().status().as_u16(), 403, "a source may not look");
    assert!(!server.log().contains(&server.source) && !server.log().contains(&viewer), "no token in the log");
}

#[tokio::test]
async fn playbooks_with_problems_are_inactive_loudly_and_the_rest_serves() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    std::fs::write(playbooks.path().join("broken.yaml"), "playbook: [oh\n").unwrap();
    std::fs::write(playbooks.path().join("binary.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let unknown = include_str!("../../../playbooks/postgres-two-sites.yaml");
    std::fs::write(playbooks.path().join("unknown.yaml"), unknown).unwrap();
    let server = Server::start(data.path(), playbooks.path(), &[]).await;
    let (_, status) = server.get("/api/v1/status").await;
    let all = status["playbooks"].as_array().unwrap();
    assert_eq!(all.len(), 3, "{status}");
    for playbook in all {
        assert_eq!(playbook["active"], false, "{playbook}");
        assert!(!playbook["problems"].as_array().unwrap().is_empty(), "{playbook}");
    }
    let text = status.to_string();
    assert!(text.contains("pg-gra"), "an unknown target is named: {text}");
    let (ready, why) = server.get("/readyz").await;
    assert_eq!(ready, 503, "{why}");
    let (status, _) = server.deliver(ONE_ALERT, server.bearer()).await;
    assert_eq!(status, 200, "alerts are kept all the same");
    let why = server.until_kind("not_started").await;
    assert!(why["says"].as_str().unwrap().contains("it has problems"), "{why}");
}

#[test]
fn check_names_every_problem_with_its_place_and_leaves_with_3() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("x.yaml");
    std::fs::write(&file, "playbook: x\nservise: shop\nmode: maybe\n").unwrap();
    let out = pointsman(&["check", file.to_str().unwrap()]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(3), "{text}");
    assert!(text.contains("x.yaml:2:1") && text.contains("x.yaml:3:"), "{text}");
    assert!(text.contains("service"), "did you mean: {text}");
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_with_6() {
    let (data, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let _server = Server::start(data.path(), playbooks.path(), &[]).await;
    let out = pointsman(&["serve", "--data", data.path().to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(6), "{text}");
    assert!(text.contains("PM2001"), "{text}");
}

#[tokio::test]
async fn a_read_only_data_directory_is_refused_before_anything_starts() {
    if !root_or_skip("a read-only data directory") {
        return;
    }
    let data = tempdir().unwrap();
    let mounted = data.path().join("ro");
    std::fs::create_dir(&mounted).unwrap();
    let mount = |words: &[&str]| Command::new("mount").args(words).arg(&mounted).status().unwrap().success();
    assert!(mount(&["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"]));
    let out = pointsman(&["serve", "--data", mounted.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("PM2002") && text.contains("--data"), "{text}");
}

#[tokio::test]
async fn a_full_disk_answers_503_loses_nothing_and_recovers_alone() {
    if !root_or_skip("a full disk") {
        return;
    }
    let (outer, playbooks) = (tempdir().unwrap(), tempdir().unwrap());
    let data = outer.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let disk = small_disk(&data, "4m").await.unwrap();
    let server = Server::start(&data, playbooks.path(), &[]).await;
    assert_eq!(server.deliver(ONE_ALERT, server.bearer()).await.0, 200);
    let ballast = fill(&disk).unwrap();
    let refused = until_status(&server, 503).await;
    assert_eq!(refused["code"], "PM4001", "{refused}");
    assert_eq!(server.get("/readyz").await.0, 503, "not ready while the disk is full");
    std::fs::remove_file(ballast).unwrap();
    until_status(&server, 200).await;
    assert_eq!(server.get("/readyz").await.0, 200);
    let delivered = server.kinds().await.iter().filter(|k| *k == "delivered").count();
    assert!(delivered >= 2, "what was acknowledged is there");
    verified(&data);
}

async fn until_status(server: &Server, wanted: u16) -> serde_json::Value {
    let until = Instant::now() + Duration::from_secs(20);
    let mut n = 0;
    loop {
        n += 1;
        let body = ONE_ALERT.replace("OneDown", &format!("OneDown{n}"));
        let (status, answer) = server.deliver(body, server.bearer()).await;
        assert!([200, 503].contains(&status), "{status} {answer}");
        if status == wanted {
            return answer;
        }
        assert!(Instant::now() < until, "never {wanted}: {}", server.log());
    }
}

pub fn verified(data: &Path) {
    let out =
        Command::new(BINARY).args(["audit", "verify", "--data", data.to_str().unwrap()]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
