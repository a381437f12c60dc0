//! What providers tell about credentials before anything is changed: yes, no, or nothing; each through the fake that speaks its
//! protocol, and HAProxy by sockets of two levels.

use super::api::{Api, Place};
use super::{fakes, powerdns};
use crate::remote::Remote;
use lab::providers::{Haproxy, Mishap, Which};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};

async fn rehearsed(remote: &Remote, kind: &str, with: Value) -> Vec<Finding> {
    let action = remote.bind(kind, "target", with);
    let seen = action.check().observe(&remote.ctx(15)).await.expect("an observation");
    action.check().rehearse(&remote.ctx(15), &seen).await.expect("it can be asked ahead")
}

fn of(findings: &[Finding], grade: Grade) -> String {
    let of: Vec<&str> = findings.iter().filter(|f| f.grade == grade).map(|f| f.says.as_str()).collect();
    of.join("; ")
}

/// As the fake has it; and with this body for each of the questions that are asked beside the records.
async fn with_answer<P: Place>(api: &Api<P>, body: Option<Value>, questions: usize) -> Vec<Finding> {
    api.place.reset().await;
    let remote = api.remote();
    let action = remote.bind(api.place.kind(), "target", api.place.with());
    let seen = action.check().observe(&remote.ctx(15)).await.expect("an observation");
    for body in body.iter().flat_map(|body| std::iter::repeat_n(body, questions)) {
        let answer = Mishap::Answer { status: 200, headers: vec![], body: body.to_string() };
        api.proxy.plant(Which::Reads, answer);
    }
    let writes = api.proxy.writes();
    let found = action.check().rehearse(&remote.ctx(15), &seen).await.expect("it can be asked ahead");
    assert_eq!(api.proxy.writes(), writes, "a question wrote something");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudflare_lists_what_its_token_may_do() {
    let api = fakes::cloudflare().await;
    let found = with_answer(&api, None, 0).await;
    assert!(of(&found, Grade::Ok).contains("#dns_records:edit"), "{found:?}");
    assert!(
        of(&found, Grade::Warn).contains("up to 300 s after the swap"),
        "the TTL that stands there: {found:?}"
    );
    let said = |status: &str, may: Value| json!({ "success": true, "result": { "status": status, "permissions": may } });
    let reads = with_answer(&api, Some(said("active", json!(["#dns_records:read"]))), 2).await;
    assert!(of(&reads, Grade::Bad).contains("does not list #dns_records:edit"), "{reads:?}");
    let untold = with_answer(&api, Some(said("active", json!([]))), 2).await;
    assert!(
        of(&untold, Grade::Open).contains("lists no permissions") && of(&untold, Grade::Ok).is_empty(),
        "{untold:?}"
    );
    let moved = with_answer(&api, Some(said("moved", json!(["#dns_records:edit"]))), 2).await;
    assert!(of(&moved, Grade::Bad).contains("the zone is moved"), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_a_consumer_key_are_told_and_a_service_accounts_are_not() {
    let api = fakes::ovh(false).await;
    let found = with_answer(&api, None, 0).await;
    assert!(of(&found, Grade::Ok).contains("allow every call of a change"), "{found:?}");
    let rules = json!({ "status": "validated", "rules": [{ "method": "GET", "path": "/domain/zone/*" }] });
    let found = with_answer(&api, Some(rules), 1).await;
    assert!(of(&found, Grade::Bad).contains("/refresh"), "{found:?}");
    let service = fakes::ovh(true).await;
    let found = with_answer(&service, None, 0).await;
    assert!(of(&found, Grade::Open).contains("policies") && of(&found, Grade::Ok).is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn digitalocean_tells_the_account_and_no_scopes() {
    let api = fakes::digitalocean().await;
    let found = with_answer(&api, None, 0).await;
    assert!(
        of(&found, Grade::Open).contains("which scopes") && of(&found, Grade::Ok).is_empty(),
        "{found:?}"
    );
    let locked = json!({ "account": { "status": "locked", "status_message": "unpaid" } });
    let found = with_answer(&api, Some(locked), 1).await;
    assert!(of(&found, Grade::Bad).contains("locked: unpaid"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_follows_takes_no_change() {
    let api = powerdns::start().await;
    let found = with_answer(&api, None, 0).await;
    assert!(of(&found, Grade::Ok).contains("takes changes of this zone"), "{found:?}");
    let slave = json!({ "kind": "Slave", "rrsets": [] });
    let found = with_answer(&api, Some(slave), 1).await;
    assert!(of(&found, Grade::Bad).contains("only follows"), "{found:?}");
    // Its other family of addresses is not moved by a step that names one.
    let remote = api.remote();
    let one = json!({ "ttl": 60, "records": [
        { "name": lab::providers::ZONE, "type": "A", "values": ["198.51.100.20"] } ] });
    let found = rehearsed(&remote, "powerdns.record", one).await;
    assert!(of(&found, Grade::Bad).contains("2001:db8:a::10"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_level_operator_changes_nothing_of_a_server() {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let haproxy = Haproxy::start([at(9), at(10)]).await.unwrap();
    let with = || json!({ "server": "app/eu", "state": "drain" });
    let of_socket = |socket: &std::path::Path| {
        Remote::new(&format!("[targets.target]\nkind = \"haproxy\"\nsockets = [{socket:?}]\n"))
    };
    let admin = rehearsed(&of_socket(&haproxy.unix), "haproxy.server", with()).await;
    assert!(of(&admin, Grade::Ok).contains("all 1 sockets are of level admin"), "{admin:?}");
    let remote = of_socket(&haproxy.operator);
    let operator = rehearsed(&remote, "haproxy.server", with()).await;
    assert!(of(&operator, Grade::Bad).contains("of level operator"), "{operator:?}");
    assert!(of(&operator, Grade::Ok).is_empty());
    // And so it is.
    let action = remote.bind("haproxy.server", "target", with());
    let end = remote.apply(&action, remote.change(&action).await, 10).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
}
