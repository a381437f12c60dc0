//! `command.run` and `file.render` over a real sshd with a forced command.

use crate::remote::{Remote, is_nothing, is_unknown, why};
use lab::hosts::Loss;
use lab::{Lab, PostgresOptions, Site};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

struct Machines {
    lab: Lab,
    remote: Remote,
    app: String,
}

impl Machines {
    async fn new() -> Machines {
        let options = PostgresOptions { restart_after: None, ..PostgresOptions::default() };
        let lab = Lab::builder().postgres_with(options).apps().hosts().start().await.expect("machines");
        let (hosts, app) = (lab.hosts(), lab.apps().at(Site::Sbg).host.clone());
        let one = |target: &str, ssh: &str, rest: &str| {
            format!(
                "[targets.{target}]\nkind = \"host\"\nssh = {ssh:?}\nssh_config = {:?}\n{rest}\n",
                hosts.ssh_config()
            )
        };
        let empty = lab.dir().join("nobody-known");
        std::fs::write(&empty, "").unwrap();
        let stranger = lab.dir().join("stranger");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&stranger)
            .status();
        assert!(made.unwrap().success());
        let plain = |target: &str, key: &std::path::Path| {
            format!(
                "[targets.{target}]\nkind = \"host\"\nssh = \"root@{}\"\nkey = {key:?}\nknown_hosts = {:?}\n\
                 ssh_config = \"/dev/null\"\n",
                hosts.address(&app),
                hosts.known_hosts(),
            )
        };
        let config = [
            one("app", &app, ""),
            one("db", "pg-gra-host", ""),
            one("unknown-host-key", &app, &format!("known_hosts = {empty:?}")),
            one("no-such-name", "no-such-machine.invalid", ""),
            plain("plain", &hosts.identity()),
            plain("unknown-key", &stranger),
        ]
        .concat();
        Machines { remote: Remote::new(&config), lab, app }
    }
}

fn point_at(site: Site, lab: &Lab) -> Value {
    json!({ "file": "/etc/shop/env", "set": { "DATABASE_HOST": lab.postgres().address(site).ip().to_string() } })
}

fn restart() -> Value {
    json!({ "run": "restart-shop", "check": "shop-is-current", "irreversible": true, "timeout": "20s" })
}

fn fence() -> Value {
    json!({ "run": "fence", "check": "fenced", "undo": "unfence", "timeout": "15s" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_rewritten_with_its_mode_and_owner_and_the_restart_follows() {
    let m = Machines::new().await;
    let (remote, app) = (&m.remote, m.lab.apps().at(Site::Sbg));
    let file = app.env_file();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let (render, service) = (
        remote.bind("file.render", "app", point_at(Site::Sbg, &m.lab)),
        remote.bind("command.run", "app", restart()),
    );

    let change = remote.change(&render).await;
    assert!(is_nothing(&remote.plan(&service).await), "the running shop is current");
    let ahead = remote.plan_given(&service, &change.gives).await;
    let StepPlan::Change(ahead) = ahead else { panic!("promised a rewrite: {ahead:?}") };
    let started = Instant::now();
    let end = remote.apply(&render, change.clone(), 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    println!("file.render over ssh (read, then write): {:?}", started.elapsed());

    let now = std::fs::metadata(&file).unwrap();
    assert_eq!((now.mode() & 0o7777, now.uid(), now.gid()), (0o640, 1234, 4321));
    let (old, new) =
        (change.from["DATABASE_HOST"].as_str().unwrap(), change.to["DATABASE_HOST"].as_str().unwrap());
    let line = |host: &str| format!("DATABASE_HOST={host}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text.replace(&line(old), &line(new)));
    assert!(is_nothing(&remote.plan(&render).await));

    let fresh = remote.change(&service).await;
    assert!(fresh.within(&ahead), "what was planned ahead is what is now to be done");
    assert_eq!(remote.apply(&service, fresh, 20).await.result, CallResult::Applied);
    remote.settled(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_changed_meanwhile_is_refused_by_us_and_by_the_machine() {
    let m = Machines::new().await;
    let file = m.lab.apps().at(Site::Sbg).env_file();
    let render = m.remote.bind("file.render", "plain", point_at(Site::Sbg, &m.lab));
    let change = m.remote.change(&render).await;
    let old = std::fs::read_to_string(&file).unwrap();
    let theirs = format!("{old}# theirs\n");
    std::fs::write(&file, &theirs).unwrap();
    let end = m.remote.apply(&render, change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    assert!(end.detail.to_string().contains("PM4216"), "{end:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);

    // Between our own look and the write: the machine compares too, and does not take half a text either.
    let digest = |text: &str| Digest::of(text.as_bytes());
    let write = format!("write-file /etc/shop/env {} {}", digest(&old), digest("A=1\n"));
    let moved = m.lab.hosts().ssh_with_input(&m.app, &write, b"A=1\n").await.unwrap();
    assert_eq!(moved.code, Some(3), "{moved:?}");
    let write = format!("write-file /etc/shop/env {} {}", digest(&theirs), digest("A=1\n"));
    let cut = m.lab.hosts().ssh_with_input(&m.app, &write, b"A=").await.unwrap();
    assert_eq!(cut.code, Some(4), "{cut:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_does_not_allow_is_clear() {
    let m = Machines::new().await;
    let with = json!({ "run": "format-disk", "check": "shop-is-current", "irreversible": true });
    let command = m.remote.bind("command.run", "app", with);
    let promise = Fact::Rendered { target: "app".into(), file: "/etc/shop/env".into() };
    let StepPlan::Change(change) = m.remote.plan_given(&command, &[promise]).await else {
        panic!("a change")
    };
    let end = m.remote.apply(&command, *change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(
        end.detail.to_string().contains("format-disk") && end.detail.to_string().contains("77"),
        "{end:?}"
    );
    let odd = json!({ "run": "restart-shop", "check": "whoami", "irreversible": true });
    let seen = m.remote.plan(&m.remote.bind("command.run", "app", odd)).await;
    assert!(is_unknown(&seen) && why(&seen).contains("exit 77"), "{seen:?}");
    let shadow = m.remote.bind("file.render", "app", json!({ "file": "/etc/shadow", "set": { "A": "1" } }));
    let refused = m.remote.plan(&shadow).await;
    assert!(why(&refused).contains("PM4213") && why(&refused).contains("not allowed"), "{refused:?}");
    let missing = m.remote.bind("command.run", "db", fence());
    assert!(
        matches!(m.remote.plan(&missing).await, StepPlan::Change(_)),
        "the database's machine knows fence"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_reached_says_where_it_stopped_and_in_time() {
    let mut m = Machines::new().await;
    for (target, layer) in
        [("unknown-host-key", "(host key)"), ("unknown-key", "(auth)"), ("no-such-name", "(dns)")]
    {
        let seen = m.remote.plan(&m.remote.bind("command.run", target, restart())).await;
        assert!(is_unknown(&seen) && why(&seen).contains(layer), "{target}: {seen:?}");
    }
    let command = m.remote.bind("command.run", "db", fence());
    let change = m.remote.change(&command).await;
    let render = m.remote.bind("file.render", "app", point_at(Site::Sbg, &m.lab));
    let rewrite = m.remote.change(&render).await;
    let app = m.app.clone();
    for loss in [Loss::Refused, Loss::Silent] {
        for name in ["pg-gra-host", &app] {
            m.lab.hosts_mut().lose(name, loss).await.unwrap();
        }
        let started = Instant::now();
        // The machine had just answered: its connection is still tried, and known to be dead after this.
        for lost in [&command, &render] {
            let seen = m.remote.plan(lost).await;
            assert!(is_unknown(&seen), "{loss:?}: {seen:?}");
        }
        let seen = m.remote.plan(&command).await;
        assert!(is_unknown(&seen) && why(&seen).contains("(tcp)"), "{loss:?}: {seen:?}");
        let end = m.remote.apply(&command, change.clone(), 8).await;
        assert_eq!(end.result, CallResult::Rejected { retry: true }, "{loss:?}: {end:?}");
        let seen = m.remote.plan(&render).await;
        assert!(is_unknown(&seen) && why(&seen).contains("(tcp)"), "{loss:?}: {seen:?}");
        let end = m.remote.apply(&render, rewrite.clone(), 8).await;
        assert_eq!(end.result, CallResult::Rejected { retry: true }, "{loss:?}: {end:?}");
        println!("six calls to a lost machine ({loss:?}): {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(40), "{loss:?}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_after_the_command_was_sent_is_doubt() {
    let mut m = Machines::new().await;
    let promise = Fact::Rendered { target: "app".into(), file: "/etc/shop/env".into() };
    let command = m.remote.bind("command.run", "app", restart());
    let StepPlan::Change(change) = m.remote.plan_given(&command, &[promise]).await else {
        panic!("a change")
    };
    let change = *change;
    // Without its supervisor the restart waits for seconds: long enough to lose the machine under it.
    m.lab.apps_mut().at_mut(Site::Sbg).stop();
    let (remote, app) = (&m.remote, m.app.clone());
    let (end, ()) = tokio::join!(remote.apply(&command, change.clone(), 20), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        m.lab.hosts_mut().lose(&app, Loss::Refused).await.unwrap();
    });
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    assert!(end.detail.to_string().contains("PM4206"), "{end:?}");
    // The same when our own patience ends first.
    m.lab.hosts_mut().find_again(&app).await.unwrap();
    let end = m.remote.apply(&command, change, 2).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
}

/// It answered a moment ago, and does not any more: whether the command arrived cannot be known.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_falls_silent_is_doubt() {
    let mut m = Machines::new().await;
    let command = m.remote.bind("command.run", "db", fence());
    let change = m.remote.change(&command).await;
    m.lab.hosts_mut().lose("pg-gra-host", Loss::Frozen).await.unwrap();
    let end = m.remote.apply(&command, change.clone(), 20).await;
    assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
    m.lab.hosts_mut().find_again("pg-gra-host").await.unwrap();
    assert_eq!(m.remote.change(&command).await.from, change.from, "it never arrived; a new connection tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_share_one_connection_and_a_lost_one_is_made_anew() {
    let mut m = Machines::new().await;
    let command = m.remote.bind("command.run", "db", fence());
    for _ in 0..4 {
        m.remote.change(&command).await;
    }
    assert_eq!(m.lab.hosts().logins("pg-gra-host").unwrap(), 1);
    m.lab.hosts_mut().lose("pg-gra-host", Loss::Refused).await.unwrap();
    assert!(is_unknown(&m.remote.plan(&command).await));
    m.lab.hosts_mut().find_again("pg-gra-host").await.unwrap();
    m.remote.change(&command).await;
    assert_eq!(m.lab.hosts().logins("pg-gra-host").unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_stops_and_masks_and_its_undo_takes_it_back() {
    let m = Machines::new().await;
    let fence_it = m.remote.bind("command.run", "db", fence());
    let change = m.remote.change(&fence_it).await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let end = m.remote.apply(&fence_it, change, 20).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert!(is_nothing(&m.remote.plan(&fence_it).await));
    assert!(m.lab.postgres().ask(Site::Gra, "select 1").await.is_err(), "it runs no more");
    let undo = m.remote.bind("command.run", "db", back.with);
    let undone = m.remote.change(&undo).await;
    assert_eq!(m.remote.apply(&undo, undone, 20).await.result, CallResult::Applied);
    assert!(is_nothing(&m.remote.plan(&undo).await) && !is_nothing(&m.remote.plan(&fence_it).await));
}
