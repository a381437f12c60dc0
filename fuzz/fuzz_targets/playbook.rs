//! Any text, as a playbook and as a test file: `check` ends, does not panic, and what it says can be shown.
//! Seeds: `cargo +nightly fuzz run playbook tests/playbooks/bad playbooks`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::config::Config;
use pointsman::provider::{Ports, ProviderRegistry};
use pointsman::{playbook, trial};
use std::sync::{Arc, LazyLock};

/// The one of the shipped playbooks: names that fit, so that more than the first rule is reached.
static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let text = include_str!("../../playbooks/pointsman.example.toml");
    Arc::new(pointsman::config::parse(text, "example.toml").0.expect("the example is valid"))
});

fuzz_target!(|text: &str| {
    let registry = ProviderRegistry { config: CONFIG.clone(), ports: Ports::real(CONFIG.clone()) };
    let (found, problems) = playbook::check(text, "fuzz.yaml", &CONFIG, &registry);
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(found.is_some() || !shown.is_empty(), "refused without a word");
    let (test, problems) = trial::read(text, "fuzz.test.yaml");
    assert!(test.is_some() || !problems.is_empty(), "refused without a word");
});
