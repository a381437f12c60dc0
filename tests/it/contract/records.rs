//! The records that every fixture of DNS begins with and wants, in one form.

use lab::providers::{Kept, ZONE, set};
use serde_json::{Value, json};

/// Name, type, TTL and values before.
pub fn old() -> Vec<(String, &'static str, u32, Vec<&'static str>)> {
    vec![
        (format!("{ZONE}."), "A", 300, vec!["192.0.2.10"]),
        (format!("{ZONE}."), "AAAA", 300, vec!["2001:db8:a::10"]),
        (format!("www.{ZONE}."), "A", 300, vec!["192.0.2.10", "192.0.2.11"]),
        (format!("admin.{ZONE}."), "A", 300, vec!["192.0.2.10"]),
    ]
}

/// As single records.
pub fn kept() -> Vec<Kept> {
    let all = old().into_iter().flat_map(|(name, kind, ttl, values)| {
        values.into_iter().map(move |value| set(&name, kind, ttl, value)).collect::<Vec<_>>()
    });
    all.collect()
}

pub fn wanted() -> Value {
    json!({ "ttl": 60, "stale_values": ["192.0.2.10"], "records": [
        { "name": ZONE, "type": "A", "values": ["198.51.100.20"] },
        { "name": ZONE, "type": "AAAA", "values": ["2001:db8:b::20"] },
        { "name": format!("www.{ZONE}"), "type": "A", "values": ["198.51.100.20"] } ] })
}
