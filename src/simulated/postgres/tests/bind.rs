//! Every problem is told, all at once.

use super::scene::{Scene, spec};
use crate::provider::postgres::Wire;
use crate::provider::postgres::bind_to;
use serde_json::{Value, json};
use std::sync::Arc;

fn problems(kind: &str, with: Value) -> Vec<String> {
    let scene = Scene::new();
    bind_to(&spec(kind, with), &scene.config, Arc::new(Wire)).err().unwrap_or_default()
}

#[test]
fn good_parameters_bind() {
    for (kind, with) in [
        ("postgres.fence", json!({ "target": "a", "min_rung": "lockout" })),
        ("postgres.promote", json!({ "target": "b", "old": "a", "drain_timeout": "10s" })),
        (
            "postgres.lag",
            json!({ "target": "b", "max_bytes": "16MiB", "max_seconds": 10, "max_sample_age": "30s" }),
        ),
        ("sql.write_probe", json!({ "target": "b", "as": "app" })),
    ] {
        assert_eq!(problems(kind, with), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn unknown_parameters_and_targets_are_told_together() {
    let found = problems("postgres.fence", json!({ "target": "bare", "min_rung": "lockout", "forse": true }));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("needs app_role") || found[1].contains("needs app_role"), "{found:?}");
    assert!(found.iter().any(|text| text.contains("forse")), "{found:?}");
    let found = problems(
        "postgres.lag",
        json!({ "target": "box", "max_bytes": "lots", "max_seconds": -1, "max_sample_age": "3" }),
    );
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn rungs_that_sql_cannot_reach_and_fences_that_prove_nothing_are_problems() {
    assert_eq!(problems("postgres.fence", json!({ "target": "a", "min_rung": "stopped" })).len(), 1);
    assert_eq!(problems("postgres.promote", json!({ "target": "a", "old": "a" })).len(), 1);
    assert_eq!(
        problems("postgres.promote", json!({ "target": "b", "old": "a", "fence_rung": "none" })).len(),
        1
    );
    assert_eq!(problems("sql.write_probe", json!({ "target": "a", "as": "root" })).len(), 1);
    assert!(problems("postgres.drop", json!({ "target": "a" }))[0].contains("postgres.drop"));
}
