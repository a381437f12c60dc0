//! The shipped playbooks against the real registry: what is shipped is what the providers accept.

use pointsman::playbook::{actions, check, has_errors};
use pointsman::provider::{Ports, ProviderRegistry};
use std::path::Path;
use std::sync::Arc;

fn shipped(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(file)).unwrap()
}

fn complaints(text: &str) -> Vec<String> {
    let (config, problems) = pointsman::config::parse(&shipped("pointsman.example.toml"), "example.toml");
    assert!(!has_errors(&problems), "{problems:?}");
    let config = Arc::new(config.unwrap());
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let (_, problems) = check(text, "playbook.yaml", &config, &registry);
    problems
        .iter()
        .filter(|problem| problem.severity == pointsman::playbook::Severity::Error)
        .map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.says))
        .collect()
}

#[test]
fn what_is_shipped_is_accepted_by_the_providers() {
    for file in ["postgres-two-sites.yaml", "postgres-switchover.yaml"] {
        assert_eq!(complaints(&shipped(file)), [""; 0], "{file}");
    }
}

/// One wrong value for each action: the provider's complaint comes back with a place in the file.
#[test]
fn a_value_that_a_provider_refuses_is_told_at_its_place() {
    let text = shipped("postgres-two-sites.yaml");
    let wrong = [
        ("postgres.fence", "min_rung: lockout", "min_rung: locked"),
        ("postgres.lag", "max_bytes: 16MiB", "max_bytes: 16 Mb"),
        ("command.run", "run: restart-shop", "run: \"restart shop; rm\""),
        ("file.render", "DATABASE_HOST: \"${target(to.db).address}\"", "DATABASE_HOST: \"a\\nb\""),
        ("http.expect", "status: 200, passes: 3", "status: 999, passes: 3"),
        ("dns.record", "type: AAAA", "type: QQQ"),
        ("quorum", "down: majority", "down: most"),
    ];
    for (action, from, to) in wrong {
        assert!(text.contains(from), "{from}");
        assert!(actions().iter().any(|info| info.kind == action));
        let found = complaints(&text.replacen(from, to, 1));
        assert!(!found.is_empty(), "{action}: {to} is accepted");
    }
}
