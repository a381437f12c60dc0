//! What `check` says of playbooks that move a primary of Redis, by one small edit each.

use pointsman::playbook::check;
use pointsman::provider::{Ports, ProviderRegistry};
use std::sync::Arc;

const CONFIG: &str = r#"
site = "par"
[targets.watch]
kind = "sentinel"
master = "sessions"
sentinels = ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3"]
[targets.redis-gra]
kind = "redis"
site = "gra"
address = "10.0.0.1"
host = "host-gra"
[targets.redis-sbg]
kind = "redis"
site = "sbg"
address = "10.0.0.2"
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

const FAILOVER: &str = r#"playbook: sessions-failover
service: sessions
mode: observe
sites:
  gra: { redis: redis-gra }
  sbg: { redis: redis-sbg }
from: gra
to: sbg
guards:
  - name: origin is down
    quorum: { probes: [gra], vantages: [local, a, b], down: majority }
steps:
  - name: stop the old primary
    action: command.run
    with: { target: host-gra, run: stop-redis, check: redis-is-stopped, irreversible: true }
    proves: { fenced: "${from.redis}", rung: stopped }
  - name: move the primary
    action: sentinel.failover
    with: { target: watch, old: "${from.redis}", new: "${to.redis}" }
    commit_point: true
    after: [stop the old primary]
verify:
  - action: redis.write_probe
    with: { target: "${to.redis}", as: app }
"#;

const PLANNED: &str = r#"playbook: sessions-move
service: sessions
kind: switchover
mode: observe
sites:
  gra: { redis: redis-gra }
  sbg: { redis: redis-sbg }
from: gra
to: sbg
steps:
  - name: move the primary
    action: sentinel.failover
    with: { target: watch, old: "${from.redis}", new: "${to.redis}" }
    commit_point: true
verify:
  - action: redis.write_probe
    with: { target: "${to.redis}", as: app }
"#;

const BY_HAND_OVER: &str =
    "action: redis.failover\n    with: { target: \"${to.redis}\", old: \"${from.redis}\" }";
const BY_SENTINELS: &str =
    "action: sentinel.failover\n    with: { target: watch, old: \"${from.redis}\", new: \"${to.redis}\" }";

fn told(text: &str) -> Vec<(&'static str, String)> {
    let (config, problems) = pointsman::config::parse(CONFIG, "test.toml");
    let config = Arc::new(config.unwrap_or_else(|| panic!("{problems:?}")));
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let problems = check(text, "p.yaml", &config, &registry).1;
    problems.into_iter().map(|problem| (problem.code, problem.says)).collect()
}

fn edited(text: &str, from: &str, to: &str) -> Vec<(&'static str, String)> {
    assert!(text.contains(from), "{from}");
    told(&text.replacen(from, to, 1))
}

#[test]
fn what_is_right_is_accepted() {
    assert_eq!(told(FAILOVER), []);
    assert_eq!(told(PLANNED), []);
    assert_eq!(edited(PLANNED, BY_SENTINELS, BY_HAND_OVER), []);
}

#[test]
fn a_lost_primary_is_fenced_and_a_new_one_written_to() {
    let handed = PLANNED.replacen(BY_SENTINELS, BY_HAND_OVER, 1);
    let cases: &[(&str, &str, &str, &str)] = &[
        (FAILOVER, "    proves: { fenced: \"${from.redis}\", rung: stopped }\n", "", "PM1240"),
        (FAILOVER, "rung: stopped", "rung: read_only", "PM1240"),
        (FAILOVER, "target: \"${to.redis}\", as", "target: \"${from.redis}\", as", "PM1241"),
        (PLANNED, "target: \"${to.redis}\", as", "target: \"${from.redis}\", as", "PM1241"),
        (&handed, "target: \"${to.redis}\", as", "target: \"${from.redis}\", as", "PM1241"),
        (PLANNED, "    commit_point: true\n", "", "PM1249"),
        (&handed, "    commit_point: true\n", "", "PM1249"),
        (PLANNED, "    commit_point: true\n", "    commit_point: true\n    optional: true\n", "PM1250"),
        (PLANNED, "kind: switchover", "kind: failover", "PM1253"),
        (&handed, "kind: switchover", "kind: failover", "PM2190"),
        (PLANNED, "gra: { redis: redis-gra }", "gra: { redis: redis-sbg }", "PM1206"),
        (PLANNED, "target: watch,", "target: redis-gra,", "PM1211"),
    ];
    for (text, from, to, wanted) in cases {
        let problems = edited(text, from, to);
        assert!(problems.iter().any(|(code, _)| code == wanted), "{from:?} -> {to:?}: {problems:?}");
    }
}

#[test]
fn underneath_sentinels_commands_fence_nothing() {
    let ours = "    action: command.run\n    with: { target: host-gra, run: stop-redis, check: redis-is-stopped, irreversible: true }\n    \
                proves: { fenced: \"${from.redis}\", rung: stopped }\n";
    let fence = "    action: redis.fence\n    with: { target: \"${from.redis}\", min_rung: lockout }\n";
    let problems = edited(FAILOVER, ours, fence);
    assert!(problems.iter().any(|(code, says)| *code == "PM1240" && says.contains("PM3505")), "{problems:?}");
}

#[test]
fn the_configuration_names_every_sentinel_once() {
    let parse = |from: &str, to: &str| {
        assert!(CONFIG.contains(from), "{from}");
        let (_, problems) = pointsman::config::parse(&CONFIG.replacen(from, to, 1), "test.toml");
        problems.into_iter().map(|problem| (problem.code, problem.says)).collect::<Vec<_>>()
    };
    let cases = [
        ("\"10.0.0.2:26379\", ", "", "PM1206"),
        ("\"10.0.0.2:26379\"", "\"10.0.0.1\"", "PM1206"),
        ("\"10.0.0.2:26379\"", "\"redis://10.0.0.2\"", "PM1206"),
        ("master = \"sessions\"\n", "", "PM1204"),
        ("master = \"sessions\"", "master = \"two words\"", "PM1206"),
        ("sentinels = [", "sentinel = [", "PM1203"),
    ];
    for (from, to, wanted) in cases {
        let problems = parse(from, to);
        assert!(problems.iter().any(|(code, _)| *code == wanted), "{from:?} -> {to:?}: {problems:?}");
    }
}
