//! How a person does the same, ready to paste where that needs no ids of records; else what to set, and where.

use super::powerdns::quoted;
use super::set::{Failover, Held};
use crate::config::{Account, HostedTarget};
use crate::provider::dns::RrType;
use serde_json::{Map, Value, json};

pub fn lines(zone: &HostedTarget, sets: &[Held]) -> Vec<String> {
    if sets.iter().any(|set| !set.exists()) {
        let gone: Vec<String> = sets.iter().filter(|set| !set.exists()).map(Held::to_string).collect();
        return vec![format!(
            "# at {} ({}), zone {}: {}",
            zone.account.kind(),
            zone.api,
            zone.zone,
            gone.join("; ")
        )];
    }
    match &zone.account {
        Account::PowerDns { server, .. } => vec![powerdns(zone, server, sets)],
        Account::Route53 { zone_id, .. } => vec![route53(zone_id, sets)],
        Account::Cloudflare { .. } | Account::DigitalOcean { .. } => vec![in_words(zone, sets)],
        Account::Ovh(_) => vec![
            in_words(zone, sets),
            format!("# then POST {}/domain/zone/{}/refresh", zone.api, zone.zone.trim_end_matches('.')),
        ],
    }
}

fn in_words(zone: &HostedTarget, sets: &[Held]) -> String {
    let wanted: Vec<String> = sets.iter().map(Held::to_string).collect();
    format!("# at {} ({}), zone {}: set {}", zone.account.kind(), zone.api, zone.zone, wanted.join("; "))
}

/// One word of a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn values(set: &Held) -> impl Iterator<Item = String> {
    let text = set.r#type == RrType::Txt;
    set.values.iter().map(move |value| if text { quoted(value) } else { value.clone() })
}

fn powerdns(zone: &HostedTarget, server: &str, sets: &[Held]) -> String {
    let one = |set: &Held| {
        let records: Vec<Value> =
            values(set).map(|value| json!({ "content": value, "disabled": false })).collect();
        json!({ "name": set.name, "type": set.r#type, "ttl": set.ttl, "changetype": "REPLACE", "records": records })
    };
    let body = json!({ "rrsets": sets.iter().map(one).collect::<Vec<_>>() });
    format!(
        "curl -fsS -X PATCH -H \"X-API-Key: $PDNS_KEY\" {}/api/v1/servers/{server}/zones/{} -d {}",
        zone.api,
        zone.zone,
        shell(&body.to_string())
    )
}

fn route53(zone_id: &str, sets: &[Held]) -> String {
    let changes: Vec<Value> =
        sets.iter().map(|set| json!({ "Action": "UPSERT", "ResourceRecordSet": record_set(set) })).collect();
    let batch = json!({ "Changes": changes }).to_string();
    format!(
        "aws route53 change-resource-record-sets --hosted-zone-id {zone_id} --change-batch {}",
        shell(&batch)
    )
}

fn record_set(set: &Held) -> Value {
    let mut map = Map::new();
    map.insert("Name".into(), json!(set.name));
    map.insert("Type".into(), json!(set.r#type));
    match &set.alias {
        Some(alias) => {
            let target = json!({ "DNSName": alias.name, "HostedZoneId": alias.zone_id,
                                 "EvaluateTargetHealth": alias.evaluate_health });
            map.insert("AliasTarget".into(), target);
        }
        None => {
            let records: Vec<Value> = values(set).map(|value| json!({ "Value": value })).collect();
            map.insert("TTL".into(), json!(set.ttl));
            map.insert("ResourceRecords".into(), json!(records));
        }
    }
    if let Some(routing) = &set.routing {
        map.insert("SetIdentifier".into(), json!(routing.set));
        if let Some(weight) = routing.weight {
            map.insert("Weight".into(), json!(weight));
        }
        if let Some(failover) = routing.failover {
            let word = if failover == Failover::Primary { "PRIMARY" } else { "SECONDARY" };
            map.insert("Failover".into(), json!(word));
        }
        if let Some(check) = &routing.health_check {
            map.insert("HealthCheckId".into(), json!(check));
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretRef;
    use crate::provider::dns::{Question, RrSet};

    #[test]
    fn commands_are_whole_and_hold_no_secret() {
        let key = SecretRef::Env("PDNS_KEY".into());
        let target = |account| HostedTarget {
            zone: "shop.test.".into(),
            api: "http://192.0.2.1:8081".into(),
            servers: vec![],
            lost_with: crate::config::LostWith::default(),
            resolvers: vec![],
            account,
        };
        let question = Question { name: "shop.test.".into(), r#type: RrType::Txt };
        let sets = [Held::plain(RrSet::new(&question, 60, vec!["it's \"so\"".into()]))];
        let said = lines(&target(Account::PowerDns { server: "localhost".into(), key }), &sets).concat();
        assert!(
            said.starts_with("curl -fsS -X PATCH -H \"X-API-Key: $PDNS_KEY\" http://192.0.2.1:8081/api/v1"),
            "{said}"
        );
        assert!(said.contains("it'\\''s") && said.contains("REPLACE"), "{said}");
        let said = lines(&target(Account::Route53 { zone_id: "Z1".into(), keys: None }), &sets).concat();
        assert!(
            said.contains("--hosted-zone-id Z1") && said.contains("UPSERT") && said.contains("\"TTL\":60"),
            "{said}"
        );
    }
}
