//! The zone, its second server, and the resolver that one program sees.

use std::time::Duration;

use lab::dns::{SIBLING, ZONE};
use lab::net::wait_until;
use lab::{Lab, Site};

#[tokio::test]
async fn an_update_reaches_the_second_server_and_a_failed_condition_changes_nothing() {
    let lab = Lab::builder().dns().start().await.expect("a zone");
    let dns = lab.dns();
    for server in [dns.primary, dns.secondary] {
        assert_eq!(dns.values(server, ZONE, "A").await.expect("an answer"), ["127.0.1.80"]);
        assert_eq!(dns.values(server, ZONE, "AAAA").await.expect("an answer"), [Site::Gra.ipv6()]);
        assert_eq!(dns.values(server, SIBLING, "A").await.expect("an answer"), ["127.0.1.80"]);
    }
    let serial = dns.serial(dns.secondary).await.expect("a serial");
    let swap = format!(
        "prereq yxrrset {ZONE}. A 127.0.1.80\nupdate delete {ZONE}. A\nupdate add {ZONE}. 60 A 127.0.2.80"
    );
    dns.nsupdate(&swap).await.expect("updated");
    assert_eq!(dns.values(dns.primary, ZONE, "A").await.expect("an answer"), ["127.0.2.80"]);
    let arrived = || async { Ok(dns.values(dns.secondary, ZONE, "A").await? == ["127.0.2.80"]) };
    wait_until("the second server", Duration::from_secs(5), arrived).await.expect("NOTIFY and transfer");
    assert!(dns.serial(dns.secondary).await.expect("a serial") > serial);
    let error = dns.nsupdate(&swap).await.expect_err("the condition no longer holds");
    assert!(format!("{error:#}").contains("NXRRSET"), "{error:#}");
}

#[tokio::test]
async fn a_program_behind_the_prefix_sees_only_the_lab() {
    if !lab::faults::root_or_skip("a_program_behind_the_prefix_sees_only_the_lab") {
        return;
    }
    let mut lab = Lab::builder().dns().resolver(1).start().await.expect("a zone");
    let prefix = lab.resolver().prefix();
    let getent = |name: &'static str| {
        let mut words = prefix.clone();
        words.extend(["getent", "ahostsv4", name].map(String::from));
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            lab::children::run(&words, &[]).await
        }
    };
    let found = getent(ZONE).await.expect("the name resolves");
    assert!(found.starts_with("127.0.1.80"), "{found}");
    assert!(getent("www.example.com").await.is_err(), "nothing leaves the machine");
    let mut words = prefix.clone();
    words.extend(["sh", "-c", "exec cat /etc/resolv.conf"].map(String::from));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seen = lab::children::run(&words, &[]).await.expect("cat");
    assert!(seen.contains(&lab.resolver().ip.to_string()), "{seen}");
    let mine = std::fs::read_to_string("/etc/resolv.conf").expect("our own");
    assert_ne!(seen, mine, "the machine's own file is untouched");
    let swap = format!("update delete {ZONE}. A\nupdate add {ZONE}. 60 A 127.0.2.80");
    lab.dns().nsupdate(&swap).await.expect("updated");
    let moved = || async { Ok(lab.resolver().lookup(ZONE, "A").await? == ["127.0.2.80"]) };
    wait_until("the cache to expire", Duration::from_secs(6), moved).await.expect("the new address");
    lab.dns_mut().stop_primary();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let served = || async { Ok(lab.resolver().lookup(ZONE, "A").await? == ["127.0.2.80"]) };
    wait_until("the second server to serve", Duration::from_secs(6), served).await.expect("still served");
}
