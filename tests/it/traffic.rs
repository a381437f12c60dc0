//! Traffic at the real server: a whole `serve` process that moves a name or drains a server behind a real HAProxy, killed
//! while it waits, and what it reports when somebody undoes its work by hand.

use crate::limits::yard::{Plot, Yard};
use lab::dns::ZONE;
use lab::providers::Haproxy;
use lab::{DnsOptions, Lab};
use serde_json::Value;
use std::sync::atomic::Ordering;

/// The yard's own playbook with other steps.
async fn with_steps(yard: Yard, steps: &str) -> Yard {
    // Nothing here answers at the addresses: what leads where is not the matter.
    let text = yard.playbook("s0").replace("per_day: 3", "per_day: 3, min_live_targets: 0");
    let (from, to) = (text.find("steps:").unwrap(), text.find("verify:").unwrap());
    let text =
        format!("{}steps:\n{steps}{}afterwards: {{ commit_window: 10m }}\n", &text[..from], &text[to..]);
    assert_eq!(yard.check(&text), "", "{text}");
    yard.write_playbook("s0", &text);
    yard.restart().await
}

async fn windows(yard: &Yard, state: &str) -> Vec<String> {
    let all = yard.records("commit_window").await;
    let of = all.iter().filter(|record| record["body"]["state"] == state);
    of.map(|record| record["says"].as_str().unwrap().to_owned()).collect()
}

/// Nothing is done about it: a person may have meant it. But nobody has to find out by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_traffic_again_after_its_step_is_reported() {
    let haproxy =
        Haproxy::start(["127.0.0.1:9".parse().unwrap(), "127.0.0.2:9".parse().unwrap()]).await.unwrap();
    let config = format!("[targets.lb]\nkind = \"haproxy\"\nsockets = [{:?}]\n", haproxy.unix);
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    let steps = "  - name: drain the old site\n    action: haproxy.server\n    commit_point: true\n\
                 \x20   with: { target: lb, server: app/eu, state: drain }\n";
    let yard = with_steps(yard, steps).await;
    yard.fire("s0").await;
    yard.until_finished(1).await;
    let finished = &yard.records("finished").await[0];
    assert_eq!(finished["body"]["outcome"], "succeeded", "{finished}");
    let drained = async || haproxy.servers().await.unwrap()[0].1 != "0";
    assert!(drained().await, "it was not drained");
    let intents = yard.records("intended").await.len();

    // Somebody puts it back, and the application fails: both are told, once.
    haproxy.say("set server app/eu state ready").await.unwrap();
    yard.world.sick.store(true, Ordering::SeqCst);
    yard.until("drifts", 2, 30, async || windows(&yard, "drifted").await.len()).await;
    let told = windows(&yard, "drifted").await;
    let of = |what: &str| {
        told.iter().find(|says| says.contains(what)).unwrap_or_else(|| panic!("{what}: {told:?}"))
    };
    assert!(
        of("drain the old site").contains("PM5503") && of("drain the old site").contains("ready weight 100")
    );
    assert!(of("http.expect").contains("PM5503"), "{told:?}");
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(status.to_string().contains("ready weight 100"), "{status}");

    haproxy.say("set server app/eu state drain").await.unwrap();
    yard.world.sick.store(false, Ordering::SeqCst);
    yard.until("both back", 2, 30, async || windows(&yard, "back").await.len()).await;

    // A reload forgets what the runtime API was told: as the plan said, and now it is seen.
    haproxy.reload().await.unwrap();
    assert!(!drained().await);
    yard.until("the reload", 3, 30, async || windows(&yard, "drifted").await.len()).await;
    assert_eq!(yard.records("intended").await.len(), intents, "it acted on a drift");
    yard.verified();
}

fn looked(records: &[Value], words: &str) -> usize {
    records.iter().filter(|record| record["says"].as_str().is_some_and(|says| says.contains(words))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_waits_for_caches_goes_on_waiting() {
    let options = DnsOptions { ttl: 8, ..DnsOptions::default() };
    let mut lab = Lab::builder().dns_with(options).resolver(3600).start().await.expect("a zone");
    let key = lab.dir().join("update.secret");
    std::fs::write(&key, &lab.dns().update_key.secret).unwrap();
    let config = format!(
        "[targets.zone]\nkind = \"rfc2136\"\nzone = \"{ZONE}\"\nservers = [\"{}\", \"{}\"]\nresolvers = [\"{}\"]\n\
         tsig = {{ name = \"pointsman\", algorithm = \"hmac-sha256\", secret = {{ file = {key:?} }} }}\n",
        lab.dns().primary,
        lab.dns().secondary,
        lab.resolver().addr(),
    );
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    let steps = format!(
        "  - name: move the name\n    action: dns.record\n    commit_point: true\n\
         \x20   with: {{ target: zone, ttl: 8, wait_ttl: true, records: [ {{ name: {ZONE}, type: A, values: [127.0.2.80] }} ] }}\n\
         \x20 - name: the old site may rest\n    action: command.run\n    after: [move the name]\n\
         \x20   with: {{ target: box0, run: move-s0, check: moved-s0, undo: unmove-s0, timeout: 5s }}\n"
    );
    let yard = with_steps(yard, &steps).await;
    // Silent: only the old TTL itself can end the wait.
    lab.resolver_mut().hang().unwrap();
    yard.fire("s0").await;
    let waits = async || looked(&yard.journal().await, "move the name: right, but not yet for everybody");
    yard.until("the wait", 1, 30, waits).await;
    let (_, status) = yard.server.get("/api/v1/status").await;
    assert!(status.to_string().contains("waiting until nobody sees what was there before"), "{status}");
    assert!(!yard.moved("s0"));
    let yard = yard.restart().await;
    yard.until_finished(1).await;
    lab.resolver_mut().wake().unwrap();
    let journal = yard.journal().await;
    let at = |words: &str| {
        let of = journal.iter().find(|r| r["says"].as_str().is_some_and(|says| says.contains(words)));
        of.unwrap_or_else(|| panic!("{words}: {journal:?}"))["at"].as_i64().expect("microseconds")
    };
    let began = at("move the name: right, but not yet for everybody");
    let next = at("the old site may rest: about to change");
    assert!(next - began >= 8_000_000, "{} µs after the name had moved", next - began);
    assert!(yard.records("taken").await.len() == 1 && yard.moved("s0"));
    assert!(looked(&journal, "could not be asked") > 1, "who it is that could not be asked");
    let calls = yard.records("intended").await.len();
    assert_eq!(calls, 2, "each change was made once");
    yard.verified();
}
