//! What a playbook may ask of resources, and what it may not.

use super::*;
use crate::provider::Ports;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[targets.lb]
kind = "haproxy"
sockets = ["/a.sock"]
[targets.vm]
kind = "digitalocean_droplet"
site = "gra"
droplet = 7
token = { env = "NOT_READ_HERE" }
[targets.nowhere]
kind = "digitalocean_droplet"
droplet = 8
token = { env = "NOT_READ_HERE" }
"#;

fn problems(kind: &str, target: &str, with: Value) -> String {
    let config = Arc::new(crate::config::for_test(CONFIG));
    let spec = Spec { kind: kind.into(), target: target.into(), with };
    bind(&spec, &config, &Ports::real(config.clone())).err().map(|all| all.join("\n")).unwrap_or_default()
}

#[test]
fn every_mistake_is_told() {
    let server = |with: Value| problems("haproxy.server", "lb", with);
    assert_eq!(server(json!({ "server": "app/eu", "state": "maint", "shutdown_sessions": true })), "");
    assert_eq!(server(json!({ "server": "app/eu", "weight": 0 })), "");
    for (with, part) in [
        (json!({ "state": "ready" }), "`server` is missing"),
        (json!({ "server": "app", "state": "ready" }), "is not BACKEND/SERVER"),
        (json!({ "server": "app/eu; shutdown frontend fe", "state": "ready" }), "is not BACKEND/SERVER"),
        (json!({ "server": "app/eu" }), "there is nothing to set"),
        (json!({ "server": "app/eu", "state": "off" }), "`state`"),
        (json!({ "server": "app/eu", "weight": 257 }), "`weight` is 0 to 256"),
        (
            json!({ "server": "app/eu", "state": "drain", "shutdown_sessions": true }),
            "goes with `state: maint`",
        ),
        (json!({ "server": "app/eu", "state": "ready", "addr": "192.0.2.1" }), "`addr` is not a parameter"),
    ] {
        assert!(server(with.clone()).contains(part), "{part} not said of {with}: {}", server(with.clone()));
    }
    assert!(problems("haproxy.server", "vm", json!({})).contains("no target of kind haproxy"));
}

#[test]
fn a_machine_is_bound_with_its_site_and_to_its_own_provider() {
    assert_eq!(problems("digitalocean.droplet", "vm", json!({})), "");
    assert!(problems("digitalocean.droplet", "nowhere", json!({})).contains("has no `site`"));
    assert!(problems("ovh.instance", "vm", json!({})).contains("no target of kind ovh_instance"));
}
