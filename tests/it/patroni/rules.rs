//! What `check` says of playbooks that move the leader of a Patroni cluster, by one small edit each.

use pointsman::document::Problem;
use pointsman::kernel::domain::{Actor, Cause, RunId, Watched};
use pointsman::playbook::{Opening, check, resolve};
use pointsman::provider::{Ports, ProviderRegistry};
use std::sync::Arc;

const CONFIG: &str = r#"
site = "par"
[targets.shop-db]
kind = "patroni"
scope = "shop"
user = "pointsman"
password = { env = "PATRONI" }
members = { n1 = "https://10.0.0.1:8008", n2 = "https://10.0.0.2:8008" }
[targets.pg-gra]
kind = "postgres"
site = "gra"
address = "10.0.0.1"
user = "pointsman"
patroni = "shop-db"
member = "n1"
[targets.pg-sbg]
kind = "postgres"
site = "sbg"
address = "10.0.0.2"
user = "pointsman"
app_role = { user = "shop" }
patroni = "shop-db"
member = "n2"
[targets.host-gra]
kind = "host"
ssh = "pm@10.0.0.1"
[probes.gra]
http = "https://10.0.0.1/"
[vantages.a]
domain = "a"
blackbox = "https://10.1.0.1/probe"
[vantages.b]
domain = "b"
blackbox = "https://10.1.0.2/probe"
"#;

const FAILOVER: &str = r#"playbook: shop-failover
service: shop
kind: failover
mode: observe
sites:
  gra: { db: pg-gra, member: n1 }
  sbg: { db: pg-sbg, member: n2 }
from: gra
to: sbg
guards:
  - name: origin is down
    quorum: { probes: [gra], vantages: [local, a, b], down: majority }
steps:
  - name: stop the old leader
    action: command.run
    with: { target: host-gra, run: stop-all, check: all-is-stopped, irreversible: true }
    proves: { fenced: "${from.db}", rung: stopped }
  - name: replace the leader
    action: patroni.failover
    with: { target: shop-db, leader: "${from.member}", candidate: "${to.member}" }
    commit_point: true
    after: [stop the old leader]
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
"#;

const SWITCHOVER: &str = r#"playbook: shop-switchover
service: shop
kind: switchover
mode: observe
sites:
  gra: { db: pg-gra, member: n1 }
  sbg: { db: pg-sbg, member: n2 }
from: gra
to: sbg
steps:
  - name: move the leader
    action: patroni.switchover
    with: { target: shop-db, leader: "${target(from.db).member}", candidate: "${target(to.db).member}" }
    commit_point: true
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
"#;

fn told_with(text: &str, config: &str) -> Vec<Problem> {
    let (config, problems) = pointsman::config::parse(config, "test.toml");
    let config = Arc::new(config.unwrap_or_else(|| panic!("{problems:?}")));
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    check(text, "p.yaml", &config, &registry).1
}

fn told(text: &str) -> Vec<(&'static str, String)> {
    told_with(text, CONFIG).into_iter().map(|problem| (problem.code, problem.says)).collect()
}

fn edited(text: &str, from: &str, to: &str) -> Vec<(&'static str, String)> {
    assert!(text.contains(from), "{from}");
    told(&text.replacen(from, to, 1))
}

#[test]
fn what_is_right_is_accepted() {
    assert_eq!(told(FAILOVER), []);
    assert_eq!(told(SWITCHOVER), []);
}

#[test]
fn a_lost_leader_is_fenced_and_a_new_one_written_to() {
    let cases: &[(&str, &str, &str, &str)] = &[
        (FAILOVER, "    proves: { fenced: \"${from.db}\", rung: stopped }\n", "", "PM1240"),
        (FAILOVER, "rung: stopped", "rung: lockout", "PM1240"),
        (FAILOVER, "target: \"${to.db}\", as", "target: \"${from.db}\", as", "PM1241"),
        (SWITCHOVER, "target: \"${to.db}\", as", "target: \"${from.db}\", as", "PM1241"),
        (SWITCHOVER, "    commit_point: true\n", "", "PM1249"),
        (SWITCHOVER, "    commit_point: true\n", "    commit_point: true\n    optional: true\n", "PM1250"),
        (SWITCHOVER, "gra: { db: pg-gra, member: n1 }", "gra: { db: pg-sbg, member: n2 }", "PM1231"),
        (FAILOVER, "member: n2", "member: n9", "PM1231"),
        (SWITCHOVER, "kind: switchover", "kind: failover", "PM1253"),
    ];
    for (text, from, to, wanted) in cases {
        let problems = edited(text, from, to);
        assert!(problems.iter().any(|(code, _)| code == wanted), "{from:?} -> {to:?}: {problems:?}");
    }
}

#[test]
fn a_pause_is_no_fence() {
    let action = edited(SWITCHOVER, "action: patroni.switchover", "action: patroni.pause");
    assert!(action.iter().any(|(_, says)| says.contains("a pause is no fence")), "{action:?}");
    let command = edited(FAILOVER, "run: stop-all", "run: patroni-pause");
    assert_eq!(command.len(), 1, "{command:?}");
    assert!(command[0].0 == "PM1240" && command[0].1.contains("a pause is no fence"), "{command:?}");
}

#[test]
fn underneath_patroni_nothing_is_fenced_or_promoted() {
    let fence = "    action: postgres.fence\n    with: { target: \"${from.db}\", min_rung: lockout }\n";
    let ours = "    action: command.run\n    with: { target: host-gra, run: stop-all, check: all-is-stopped, irreversible: true }\n    \
                proves: { fenced: \"${from.db}\", rung: stopped }\n";
    let problems = edited(FAILOVER, ours, fence);
    assert!(
        problems.iter().any(|(code, says)| *code == "PM1231" && says.contains("patroni.failover")),
        "{problems:?}"
    );
}

#[test]
fn the_configuration_names_members_that_there_are() {
    let parse = |from: &str, to: &str| {
        assert!(CONFIG.contains(from), "{from}");
        let (_, problems) = pointsman::config::parse(&CONFIG.replacen(from, to, 1), "test.toml");
        problems.into_iter().map(|problem| (problem.code, problem.says)).collect::<Vec<_>>()
    };
    let cases = [
        ("member = \"n1\"", "member = \"n7\"", "PM1210"),
        ("member = \"n1\"", "member = \"n2\"", "PM1235"),
        ("member = \"n1\"\n", "", "PM1204"),
        ("patroni = \"shop-db\"\nmember = \"n1\"", "patroni = \"host-gra\"\nmember = \"n1\"", "PM1211"),
        ("https://10.0.0.1:8008", "http://10.0.0.1:8008", "PM1206"),
        ("https://10.0.0.1:8008", "https://10.0.0.1:8008/cluster", "PM1206"),
        ("https://10.0.0.1:8008", "https://10.0.0.2:8008", "PM1206"),
        ("scope = \"shop\"\n", "", "PM1204"),
        ("user = \"pointsman\"\npassword = { env = \"PATRONI\" }\n", "", "PM1204"),
    ];
    for (from, to, wanted) in cases {
        let problems = parse(from, to);
        assert!(problems.iter().any(|(code, _)| *code == wanted), "{from:?} -> {to:?}: {problems:?}");
    }
}

/// Whom a run of this playbook watches, and beside whom.
fn watched(text: &str, config: &str) -> Vec<(String, String)> {
    let (config, problems) = pointsman::config::parse(config, "test.toml");
    let config = Arc::new(config.unwrap_or_else(|| panic!("{problems:?}")));
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let playbook = check(text, "p.yaml", &config, &registry).0.expect("a playbook");
    let cause = Cause::Person { by: Actor::internal(), reason: "a test".into() };
    let opening = Opening { run: RunId::from_random(1), epoch: 1, owner: "test".into(), cause, alert: None };
    let run = resolve(&playbook, &config, opening).unwrap();
    let names = |watched: &Watched| (watched.target.to_string(), watched.promoted.to_string());
    run.afterwards.fence_watch.iter().map(names).collect()
}

#[test]
fn whoever_is_left_behind_is_watched() {
    let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    assert_eq!(watched(FAILOVER, CONFIG), [pair("pg-gra", "pg-sbg")]);
    assert_eq!(watched(SWITCHOVER, CONFIG), [], "Patroni itself made it follow");
    // Of a cluster each member may be elected when it comes back, and the whole other cluster was promoted.
    let members = [pair("pg-n1", "shop-sbg"), pair("pg-n2", "shop-sbg")];
    assert_eq!(watched(LOST, &both_clusters()), members);
}

const CLUSTERS: &str = r#"
[targets.shop-gra]
kind = "patroni"
site = "gra"
scope = "shop"
user = "pointsman"
password = { env = "PATRONI" }
members = { n1 = "https://10.0.0.1:8008", n2 = "https://10.0.0.2:8008" }
[targets.shop-sbg]
kind = "patroni"
site = "sbg"
scope = "shop"
user = "pointsman"
password = { env = "PATRONI" }
members = { n3 = "https://10.1.0.1:8008" }
"#;

fn both_clusters() -> String {
    let server = |name: &str, site: &str, at: &str| {
        format!(
            "[targets.pg-{name}]\nkind = \"postgres\"\nsite = \"{site}\"\naddress = \"{at}\"\nuser = \"pointsman\"\n\
             app_role = {{ user = \"shop\" }}\npatroni = \"shop-{site}\"\nmember = \"{name}\"\n\
             [targets.host-{name}]\nkind = \"host\"\nssh = \"pm@{at}\"\n"
        )
    };
    let servers = [("n1", "gra", "10.0.0.1"), ("n2", "gra", "10.0.0.2"), ("n3", "sbg", "10.1.0.1")];
    let servers: String = servers.iter().map(|(name, site, at)| server(name, site, at)).collect();
    let rest = &CONFIG[CONFIG.find("[probes.gra]").unwrap()..];
    format!("site = \"par\"\n{CLUSTERS}{servers}{rest}")
}

const PLANNED: &str = r#"playbook: shop-move
service: shop
kind: switchover
mode: observe
sites:
  gra: { db: pg-n1 }
  sbg: { db: pg-n3 }
from: gra
to: sbg
steps:
  - name: demote
    action: patroni.demote_cluster
    with: { target: shop-gra, standby: shop-sbg, host: 10.1.0.1 }
    on_failure: undo
  - name: promote
    action: patroni.promote_standby_cluster
    with: { target: shop-sbg, primary: shop-gra }
    commit_point: true
    on_failure: undo
    after: [demote]
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
"#;

const LOST: &str = r#"playbook: shop-lost
service: shop
kind: failover
mode: observe
sites:
  gra: { db: pg-n1 }
  sbg: { db: pg-n3 }
from: gra
to: sbg
guards:
  - name: origin is down
    quorum: { probes: [gra], vantages: [local, a, b], down: majority }
steps:
  - name: stop
    for_each: { node: [n1, n2] }
    action: command.run
    with: { target: "host-${node}", run: stop-all, check: all-is-stopped, irreversible: true }
    proves: { fenced: "pg-${node}", rung: stopped }
  - name: promote
    action: patroni.promote_standby_cluster
    with: { target: shop-sbg, primary: shop-gra }
    commit_point: true
    after: [stop]
verify:
  - action: sql.write_probe
    with: { target: "${to.db}", as: app }
"#;

#[test]
fn of_two_clusters_every_member_is_fenced_or_the_old_one_demoted() {
    let config = both_clusters();
    let told = |text: &str| {
        let problems = told_with(text, &config).into_iter();
        problems.map(|problem| (problem.code, problem.says)).collect::<Vec<_>>()
    };
    assert_eq!(told(PLANNED), []);
    assert_eq!(told(LOST), []);
    let cases: &[(&str, &str, &str, &str)] = &[
        (LOST, "node: [n1, n2]", "node: [n1]", "PM1240"),
        (LOST, "rung: stopped", "rung: lockout", "PM1240"),
        (LOST, "after: [stop]", "after: []", "PM1240"),
        (LOST, "\"${to.db}\", as", "\"${from.db}\", as", "PM1241"),
        (LOST, "    commit_point: true\n", "", "PM1249"),
        (PLANNED, "after: [demote]", "after: []", "PM1240"),
        (PLANNED, "    on_failure: undo\n", "", "PM2190"),
        (PLANNED, "kind: switchover", "kind: failover", "PM1253"),
        (PLANNED, "target: shop-sbg, primary: shop-gra", "target: shop-gra, primary: shop-sbg", "PM1252"),
        (PLANNED, "host: 10.1.0.1 ", "", "PM1204"),
    ];
    for (text, from, to, wanted) in cases {
        assert!(text.contains(from), "{from}");
        let problems = told(&text.replacen(from, to, 1));
        assert!(problems.iter().any(|(code, _)| code == wanted), "{from:?} -> {to:?}: {problems:?}");
    }
}
