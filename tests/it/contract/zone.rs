//! `dns.record` on the lab's real Knot, with BIND following it.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use crate::remote::Remote;
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::Lab;
use lab::dns::ZONE;
use lab::net::wait_until;
use serde_json::{Value, json};
use std::time::Duration;

pub struct Zone {
    lab: Lab,
    secrets: tempfile::TempDir,
}

pub async fn start() -> Zone {
    let lab = Lab::builder().dns().start().await.expect("a zone");
    Zone { lab, secrets: tempfile::tempdir().unwrap() }
}

impl Zone {
    async fn set(&self, a: &str, aaaa: &str) {
        let lines = format!(
            "update delete {ZONE}. A\nupdate add {ZONE}. 60 A {a}\nupdate delete {ZONE}. AAAA\n\
             update add {ZONE}. 60 AAAA {aaaa}\nupdate delete _pointsman.{ZONE}. TXT\n"
        );
        let dns = self.lab.dns();
        dns.nsupdate(&lines).await.unwrap();
        let alike = || async { Ok(dns.serial(dns.primary).await? == dns.serial(dns.secondary).await?) };
        wait_until("the second server to follow", Duration::from_secs(10), alike).await.unwrap();
    }
}

impl Fixture for Zone {
    fn kind(&self) -> &'static str {
        "dns.record"
    }
    fn nature(&self) -> Nature {
        LOCAL
    }
    fn remote(&self) -> Remote {
        let dns = self.lab.dns();
        let key = super::api::secret(self.secrets.path(), "key", &dns.update_key.secret);
        let remote = Remote::new(&format!(
            "[targets.target]\nkind = \"rfc2136\"\nzone = \"{ZONE}\"\nservers = [\"{}\", \"{}\"]\n\
             tsig = {{ name = \"pointsman\", algorithm = \"hmac-sha256\", secret = {key} }}\n",
            dns.primary, dns.secondary
        ));
        remote.registry.ports.owner.set("one");
        remote
    }
    fn with(&self) -> Value {
        json!({ "ttl": 30, "stale_values": ["127.0.1.80"], "records": [
            { "name": ZONE, "type": "A", "values": ["127.0.2.80"] },
            { "name": ZONE, "type": "AAAA", "values": ["2001:db8:b::80"] } ] })
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        self.set("127.0.1.80", "2001:db8:a::80").boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async {
            let dns = self.lab.dns();
            let mut all = vec![];
            for kind in ["A", "AAAA"] {
                all.push(dns.values(dns.primary, ZONE, kind).await.unwrap());
            }
            json!(all)
        }
        .boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        Some(self.set("127.0.1.80", "2001:db8::99").boxed())
    }
    fn plant(&self, _trouble: Trouble) -> bool {
        false
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.lab.dns().update_key.secret.clone()]
    }
}
