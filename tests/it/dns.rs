//! `dns.record` against a real Knot that takes updates and a real BIND that follows it.

use crate::remote::{Remote, is_nothing, is_unknown, said, why};
use lab::{DnsOptions, Lab};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

struct Zone {
    lab: Lab,
    remote: Remote,
    /// Another Pointsman, with a journal of its own.
    other: Remote,
    _secrets: tempfile::TempDir,
}

const NAME: &str = "shop.example.test";

impl Zone {
    async fn new() -> Zone {
        Zone::with(DnsOptions::default()).await
    }

    async fn with(options: DnsOptions) -> Zone {
        let lab = Lab::builder().dns_with(options).start().await.expect("a zone");
        let secrets = tempfile::tempdir().unwrap();
        let (dns, secret) = (lab.dns(), &lab.dns().update_key.secret);
        let zone = |name: &str, servers: &[SocketAddr], key: &str, secret: &str| {
            let file = secrets.path().join(name);
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            let servers: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
            format!(
                "[targets.{name}]\nkind = \"rfc2136\"\nzone = \"{NAME}\"\nservers = {servers:?}\n\
                 tsig = {{ name = {key:?}, algorithm = \"hmac-sha256\", secret = {{ file = {file:?} }} }}\n"
            )
        };
        let both = [dns.primary, dns.secondary];
        let wrong = "d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZ3dyb25nMDA=";
        let config = [
            zone("zone", &both, "pointsman", secret),
            zone("forged", &both, "pointsman", wrong),
            zone("unknown-key", &both, "nobody", secret),
            zone("no-base64", &both, "pointsman", "%%%"),
            zone("mute", &both, "pointsman", secret) + "notify = false\n",
            zone("far", &both, "pointsman", secret)
                + &format!("lost_with = {{ gra = [\"{}\"] }}\n", dns.secondary),
            zone("to-secondary", &[dns.secondary, dns.primary], "pointsman", secret),
        ]
        .concat();
        let (remote, other) = (Remote::new(&config), Remote::new(&config));
        remote.registry.ports.owner.set("one");
        other.registry.ports.owner.set("two");
        Zone { remote, other, lab, _secrets: secrets }
    }

    async fn values(&self, server: SocketAddr, kind: &str) -> Vec<String> {
        self.lab.dns().values(server, NAME, kind).await.unwrap()
    }
}

fn swap() -> Value {
    json!({ "ttl": 30, "stale_values": ["127.0.1.80"], "records": [
        { "name": NAME, "type": "A", "values": ["127.0.2.80"] },
        { "name": NAME, "type": "AAAA", "values": ["2001:db8:b::80"] } ] })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_types_in_one_update_seen_at_both_servers_and_taken_back() {
    let zone = Zone::new().await;
    let (remote, dns) = (&zone.remote, zone.lab.dns());
    let before = dns.serial(dns.primary).await.unwrap();
    let action = remote.bind("dns.record", "zone", swap());
    let change = remote.change(&action).await;
    let old: Vec<&Value> = change.from.as_array().unwrap().iter().map(|set| &set["values"]).collect();
    assert_eq!(
        old,
        [&json!(zone.values(dns.primary, "A").await), &json!(zone.values(dns.primary, "AAAA").await)]
    );
    assert!(change.warnings.iter().any(|w| w.contains(&format!("admin.{NAME}."))), "{:?}", change.warnings);
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let end = remote.apply(&action, change.clone(), 10).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    let says = remote.settled(&action).await;
    assert!(says.contains("all 2 servers"), "{says}");
    for server in [dns.primary, dns.secondary] {
        assert_eq!(zone.values(server, "A").await, ["127.0.2.80"]);
        assert_eq!(zone.values(server, "AAAA").await, ["2001:db8:b::80"]);
    }
    assert_eq!(dns.serial(dns.primary).await.unwrap(), before + 1, "one update, one serial");

    let undo = remote.bind("dns.record", "zone", back.with);
    let undone = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, undone, 10).await.result, CallResult::Applied);
    remote.settled(&undo).await;
    assert_eq!(zone.values(dns.secondary, "A").await, ["127.0.1.80"]);
    assert!(!said(&[&change, &end]).contains(&dns.update_key.secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_meanwhile_stops_the_whole_update() {
    let zone = Zone::new().await;
    let (remote, dns) = (&zone.remote, zone.lab.dns());
    let action = remote.bind("dns.record", "zone", swap());
    let change = remote.change(&action).await;
    dns.nsupdate(&format!("update delete {NAME}. AAAA\nupdate add {NAME}. 60 AAAA 2001:db8::99\n"))
        .await
        .unwrap();
    let end = remote.apply(&action, change.clone(), 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("NXRRSET"), "{end:?}");
    assert_eq!(zone.values(dns.primary, "A").await, ["127.0.1.80"], "nothing of it was written");
    assert_eq!(zone.values(dns.primary, "AAAA").await, ["2001:db8::99"]);

    // A name that was not there and is now: the prerequisite "does not exist" holds it off as well.
    let new = remote.bind(
        "dns.record",
        "zone",
        json!({ "ttl": 30, "records": [
        { "name": format!("new.{NAME}"), "type": "TXT", "values": ["ours"] } ] }),
    );
    let planned = remote.change(&new).await;
    dns.nsupdate(&format!("update add new.{NAME}. 60 TXT theirs\n")).await.unwrap();
    let end = remote.apply(&new, planned, 10).await;
    assert!(end.detail.to_string().contains("YXRRSET"), "{end:?}");

    // An alias that appeared beside the new data: the server would have dropped our record without a word.
    let beside = remote.bind(
        "dns.record",
        "zone",
        json!({ "ttl": 30, "records": [
        { "name": format!("www.{NAME}"), "type": "A", "values": ["127.0.2.80"] } ] }),
    );
    let planned = remote.change(&beside).await;
    dns.nsupdate(&format!("update add www.{NAME}. 60 CNAME {NAME}.\n")).await.unwrap();
    let end = remote.apply(&beside, planned, 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    let mut seen = remote.plan(&beside).await;
    for _ in 0..100 {
        // Until the second server has followed.
        if !is_unknown(&seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = remote.plan(&beside).await;
    }
    assert!(matches!(seen, StepPlan::Refuse(_)) && why(&seen).contains("PM4103"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_the_server_does_not_know_is_a_clear_rejection() {
    let zone = Zone::new().await;
    let remote = &zone.remote;
    for (target, word) in [("forged", "BadSig"), ("unknown-key", "BadKey"), ("no-base64", "not base64")] {
        let action = remote.bind("dns.record", target, swap());
        let change = remote.change(&action).await;
        assert!(change.warnings.iter().any(|w| w.contains("unknown")), "siblings: {:?}", change.warnings);
        let end = remote.apply(&action, change, 10).await;
        assert_eq!(end.result, CallResult::Rejected { retry: false }, "{target}: {end:?}");
        assert!(end.detail.to_string().contains(word), "{target}: {end:?}");
    }
    // A secondary as the first server: it takes no updates and gives no transfer.
    let action = remote.bind("dns.record", "to-secondary", swap());
    let change = remote.change(&action).await;
    assert!(change.warnings.iter().any(|w| w.contains("unknown")), "{:?}", change.warnings);
    let end = remote.apply(&action, change, 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    let dns = zone.lab.dns();
    assert_eq!(zone.values(dns.primary, "A").await, ["127.0.1.80"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_unknown_by_name_and_bounded_in_time() {
    let mut zone = Zone::new().await;
    let action = zone.remote.bind("dns.record", "zone", swap());
    let change = zone.remote.change(&action).await;
    zone.lab.dns_mut().stop_secondary();
    let started = Instant::now();
    let seen = zone.remote.plan(&action).await;
    assert!(is_unknown(&seen) && why(&seen).contains(&zone.lab.dns().secondary.to_string()), "{seen:?}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    zone.lab.dns_mut().stop_primary();
    let end = zone.remote.apply(&action, change.clone(), 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    zone.lab.dns_mut().start_primary().await.unwrap();
    let end = zone.remote.apply(&action, change, 10).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert!(is_unknown(&zone.remote.plan(&action).await), "one of two servers holds it: not done");
    zone.lab.dns_mut().start_secondary().await.unwrap();
    zone.remote.settled(&action).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_the_bytes_left_is_doubt() {
    let zone = Zone::new().await;
    let action = zone.remote.bind("dns.record", "zone", swap());
    let change = zone.remote.change(&action).await;
    // A server that takes the connection and says nothing, and one that hangs up instead of answering.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rude_at = rude.local_addr().unwrap();
    std::thread::spawn(move || rude.accept().map(drop));
    let file = zone.lab.dir().join("hole.key");
    std::fs::write(&file, &zone.lab.dns().update_key.secret).unwrap();
    for at in [hole.local_addr().unwrap(), rude_at] {
        let remote = Remote::new(&format!(
            "[targets.zone]\nkind = \"rfc2136\"\nzone = \"{NAME}\"\nservers = [\"{at}\"]\n\
             tsig = {{ name = \"pointsman\", algorithm = \"hmac-sha256\", secret = {{ file = {file:?} }} }}\n"
        ));
        let started = Instant::now();
        let end = remote.apply(&remote.bind("dns.record", "zone", swap()), change.clone(), 2).await;
        assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
        assert!(started.elapsed() < Duration::from_secs(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_long_for_a_datagram_is_read_over_tcp() {
    let zone = Zone::new().await;
    let values: Vec<String> = (0..30).map(|n| format!("{n:02}-{}", "x".repeat(80))).collect();
    let with = json!({ "ttl": 30, "records": [{ "name": format!("long.{NAME}"), "type": "TXT", "values": values }] });
    let action = zone.remote.bind("dns.record", "zone", with);
    let change = zone.remote.change(&action).await;
    assert_eq!(zone.remote.apply(&action, change, 10).await.result, CallResult::Applied);
    zone.remote.settled(&action).await;
    assert!(is_nothing(&zone.remote.plan(&action).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_one_pointsman_moved_is_refused_to_another() {
    let zone = Zone::new().await;
    let dns = zone.lab.dns();
    let (one, two) =
        (zone.remote.bind("dns.record", "zone", swap()), zone.other.bind("dns.record", "zone", swap()));
    // Both have planned; the first to write wins, and the other's update is refused by the server itself.
    let (first, second) = (zone.remote.change(&one).await, zone.other.change(&two).await);
    assert_eq!(zone.remote.apply(&one, first, 10).await.result, CallResult::Applied);
    zone.remote.settled(&one).await;
    let claim = dns.values(dns.secondary, &format!("_pointsman.{NAME}"), "TXT").await.unwrap();
    assert!(claim.concat().contains("owner=one service=shop"), "{claim:?}");
    // Somebody moves the name back by hand: what the other planned for is there again, but for the claim.
    let old = format!(
        "update delete {NAME}. A\nupdate add {NAME}. 60 A 127.0.1.80\nupdate delete {NAME}. AAAA\n\
                       update add {NAME}. 60 AAAA {}",
        lab::Site::Gra.ipv6()
    );
    dns.nsupdate(&old).await.unwrap();
    assert_eq!(json!(zone.values(dns.primary, "A").await), second.from[0]["values"]);
    let end = zone.other.apply(&two, second, 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("RRSET"), "{end:?}");
    let followed =
        || async { Ok(zone.values(dns.secondary, "A").await == zone.values(dns.primary, "A").await) };
    lab::net::wait_until("the secondary to follow", Duration::from_secs(10), followed).await.unwrap();
    zone.remote.change(&one).await;
    let refused = zone.other.plan(&two).await;
    assert!(why(&refused).contains("PM5505") || format!("{refused:?}").contains("PM5505"), "{refused:?}");
    assert_eq!(zone.values(dns.primary, "A").await, ["127.0.1.80"], "the stranger wrote");
}

/// The lost site takes its name server with it: the name moves all the same, and the server is seen again when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_lost_with_its_site_does_not_hold_the_name_there() {
    let mut zone = Zone::new().await;
    zone.lab.dns_mut().stop_secondary();
    let (remote, primary, secondary) = (&zone.remote, zone.lab.dns().primary, zone.lab.dns().secondary);
    let held = remote.bind("dns.record", "zone", swap());
    assert!(why(&remote.plan(&held).await).starts_with("PM4101"), "nobody said that it may be lost");
    let mut with = swap();
    with["from_site"] = json!("gra");
    let action = remote.bind("dns.record", "far", with);
    let change = remote.change(&action).await;
    let warned = format!("{secondary} is lost with gra");
    assert!(change.warnings.iter().any(|w| w.starts_with(&warned)), "{:?}", change.warnings);
    assert_eq!(remote.apply(&action, change, 10).await.result, CallResult::Applied);
    let says = remote.settled(&action).await;
    assert!(says.starts_with("1 of 2 servers hold") && says.contains(&warned), "{says}");
    assert_eq!(zone.values(primary, "A").await, ["127.0.2.80"]);

    zone.lab.dns_mut().start_secondary().await.unwrap();
    assert!(zone.remote.settled(&action).await.contains("all 2 servers"));
    assert_eq!(zone.values(secondary, "A").await, ["127.0.2.80"], "it came back with what its primary says");
}

/// Its refresh is an hour away: a follower that nobody tells keeps the old address.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_primary_stays_silent_is_told_by_us() {
    let zone = Zone::with(DnsOptions { silent: true, ..DnsOptions::default() }).await;
    let (remote, dns) = (&zone.remote, zone.lab.dns());
    let mute = remote.bind("dns.record", "mute", swap());
    let change = remote.change(&mute).await;
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    assert_eq!(remote.apply(&mute, change, 10).await.result, CallResult::Applied);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(why(&remote.plan(&mute).await).contains("waiting for it to follow"));
    assert_eq!(zone.values(dns.secondary, "A").await, ["127.0.1.80"], "nobody has told it");

    // The next change is told, and brings the first one along.
    let telling = json!({ "ttl": 30, "stale_values": [], "records": [
        { "name": format!("other.{NAME}"), "type": "A", "values": ["127.0.2.81"] } ] });
    let telling = remote.bind("dns.record", "zone", telling);
    let change = remote.change(&telling).await;
    assert_eq!(remote.apply(&telling, change, 11).await.result, CallResult::Applied);
    remote.settled(&telling).await;
    remote.settled(&mute).await;
    let undo = remote.bind("dns.record", "zone", back.with);
    let change = remote.change(&undo).await;
    assert_eq!(remote.apply(&undo, change, 12).await.result, CallResult::Applied);
    remote.settled(&undo).await;
    assert_eq!(zone.values(dns.secondary, "A").await, ["127.0.1.80"]);
}
