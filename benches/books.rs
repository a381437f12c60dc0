//! Playbooks by the thousand: the program's `check` of 1,000 files, and one alert against 10,000. Criterion; no network.

use crate::process::POINTSMAN;
use criterion::Criterion;
use pointsman::config::Config;
use pointsman::kernel::domain::SourceKind;
use pointsman::playbook::{AlertView, MatchIndex, Playbook, check, match_alert};
use pointsman::provider::{Ports, ProviderRegistry};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

fn shipped(file: &str) -> String {
    let path = format!("{}/playbooks/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn alert() -> AlertView {
    let pairs = [("alertname", "WebDown"), ("severity", "critical"), ("site", "site-9999"), ("env", "prod")];
    let labels: BTreeMap<String, String> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    AlertView::new("alertmanager".into(), SourceKind::Alertmanager, labels, BTreeMap::new())
}

/// Files of it, of different names.
fn thousand(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap_or_else(|e| panic!("a folder: {e}"));
    for n in 0..1_000 {
        let own = text.replace("playbook: shop-failover", &format!("playbook: shop-failover-{n}"));
        let file = folder.path().join(format!("p{n}.yaml"));
        std::fs::write(&file, own).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    folder
}

pub fn run(criterion: &mut Criterion) {
    let example = shipped("pointsman.example.toml");
    let (config, problems) = pointsman::config::parse(&example, "example.toml");
    let config: Arc<Config> = Arc::new(config.unwrap_or_else(|| panic!("{problems:?}")));
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let text = shipped("postgres-two-sites.yaml");
    let mut group = criterion.benchmark_group("books");
    group.sample_size(10);
    let folder = thousand(&text);
    group.bench_function("check 1,000 playbooks", |b| {
        let config = format!("{}/playbooks/pointsman.example.toml", env!("CARGO_MANIFEST_DIR"));
        let mut check = Command::new(POINTSMAN);
        check.args(["check", "--config", &config]).arg(folder.path()).stdout(Stdio::null());
        b.iter(|| assert!(check.status().is_ok_and(|status| status.success())));
    });
    let text = shipped("dns-only.yaml");
    let many: Vec<Playbook> = (0..10_000)
        .map(|n| {
            let own = text.replace("site: gra,", &format!("site: site-{n},"));
            check(&own, "p.yaml", &config, &registry).0.unwrap_or_else(|| panic!("the playbook has errors"))
        })
        .collect();
    let alert = alert();
    group.bench_function("match 1 alert against each of 10,000 playbooks", |b| {
        b.iter(|| many.iter().filter(|p| match_alert(p, black_box(&alert)).is_ok()).count());
    });
    group.bench_function("index 10,000 playbooks", |b| b.iter(|| MatchIndex::new(black_box(&many))));
    let index = MatchIndex::new(&many);
    group.bench_function("match 1 alert against 10,000 playbooks by their index", |b| {
        b.iter(|| {
            let candidates = index.candidates(black_box(&alert));
            candidates.into_iter().filter(|place| match_alert(&many[*place], &alert).is_ok()).count()
        });
    });
    group.finish();
}
