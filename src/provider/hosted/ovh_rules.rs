//! What a consumer key of OVHcloud may do: the rules that its owner agreed to, each a method and a path with `*` in it.

use crate::kernel::domain::Time;
use crate::provider::hosted::rights::{Rights, ends};
use serde_json::Value;

/// Everything that a change of records asks for, and its publishing.
fn needed(zone: &str) -> [(&'static str, String); 6] {
    let at = |rest: &str| format!("/domain/zone/{zone}/{rest}");
    [
        ("GET", at("record")),
        ("GET", at("record/1")),
        ("PUT", at("record/1")),
        ("POST", at("record")),
        ("DELETE", at("record/1")),
        ("POST", at("refresh")),
    ]
}

/// The answer to `/auth/currentCredential`.
pub(super) fn judge(said: &Value, zone: &str, now: Time) -> Vec<Rights> {
    let mut told: Vec<Rights> = ends("the consumer key", &said["expiration"], now).into_iter().collect();
    let status = said["status"].as_str().unwrap_or("unknown");
    if status != "validated" {
        let says = format!("the consumer key is {status} at OVHcloud");
        told.push(Rights::may_not(says, "ask for a new one, and have it validated by the account's owner"));
        return told;
    }
    let Some(rules) = said["rules"].as_array() else {
        told.push(Rights::Untold("OVHcloud lists no rules for the consumer key".into()));
        return told;
    };
    let allows = |(method, path): &(&str, String)| {
        let fits = |rule: &Value| {
            rule["method"].as_str() == Some(*method)
                && rule["path"].as_str().is_some_and(|rule| is_in(rule, path))
        };
        rules.iter().any(fits)
    };
    let missing: Vec<String> = needed(zone)
        .iter()
        .filter(|call| !allows(call))
        .map(|(method, path)| format!("{method} {}", path.replace("record/1", "record/*")))
        .collect();
    told.push(match missing.is_empty() {
        true => Rights::May(format!("the consumer key's rules allow every call of a change in {zone}")),
        false => Rights::may_not(
            format!("the consumer key's rules do not allow {}", missing.join(", ")),
            "ask for a consumer key with these rules, and have it validated",
        ),
    });
    told
}

/// `*` stands for any text, slashes included.
fn is_in(rule: &str, path: &str) -> bool {
    let mut parts = rule.split('*');
    let Some(mut rest) = parts.next().and_then(|head| path.strip_prefix(head)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Grade;
    use serde_json::json;

    fn grades(said: Value) -> Vec<(Grade, String)> {
        let told = judge(&said, "shop.test", Time(0)).into_iter().map(Rights::finding);
        told.map(|finding| (finding.grade, finding.says)).collect()
    }

    #[test]
    fn rules_are_patterns_and_every_call_must_fit_one() {
        for (rule, path, fits) in [
            ("/*", "/domain/zone/shop.test/record", true),
            ("/domain/zone/shop.test/*", "/domain/zone/shop.test/refresh", true),
            ("/domain/zone/*/refresh", "/domain/zone/shop.test/refresh", true),
            ("/domain/zone/*/record/*", "/domain/zone/shop.test/record/1", true),
            ("/domain/zone/*/record/*", "/domain/zone/shop.test/record", false),
            ("/domain/zone/other.test/*", "/domain/zone/shop.test/refresh", false),
            ("/domain", "/domain/zone", false),
            ("", "/domain", false),
        ] {
            assert_eq!(is_in(rule, path), fits, "{rule} {path}");
        }
        let rules = |methods: &[&str]| -> Value {
            methods.iter().map(|m| json!({ "method": m, "path": "/domain/zone/shop.test/*" })).collect()
        };
        let with = |rules: Value| json!({ "status": "validated", "rules": rules });
        let all = grades(with(rules(&["GET", "PUT", "POST", "DELETE"])));
        assert_eq!(all[0].0, Grade::Ok, "{all:?}");
        let reads = grades(with(rules(&["GET"])));
        assert!(
            reads[0].0 == Grade::Bad && reads[0].1.contains("POST /domain/zone/shop.test/refresh"),
            "{reads:?}"
        );
        assert_eq!(grades(with(Value::Null))[0].0, Grade::Open, "what is not told is open");
        assert_eq!(grades(json!({ "status": "expired", "rules": [] }))[0].0, Grade::Bad);
        let ended =
            json!({ "status": "validated", "rules": rules(&["GET"]), "expiration": "1970-01-03T00:00:00Z" });
        assert_eq!(grades(ended)[0].0, Grade::Warn);
    }
}
