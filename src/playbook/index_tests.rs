//! Against the playbooks themselves: what they accept, the index names.

use super::*;
use crate::config::for_test;
use crate::kernel::domain::SourceKind;
use crate::playbook::{check, match_alert};
use crate::provider::{Ports, ProviderRegistry};
use proptest::prelude::*;
use std::sync::Arc;

fn playbook(triggers: &str) -> Playbook {
    let config = Arc::new(for_test("site = \"par\"\n"));
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let text = format!(
        "playbook: p\nservice: s\nkind: other\nmode: observe\nsites: {{ a: {{ x: 1 }}, b: {{ x: 2 }} }}\nfrom: a\nto: b\n\
         triggers:\n{triggers}guards: []\nsteps:\n  - name: look\n    action: http.expect\n    with: {{ url: \"http://192.0.2.1/\" }}\n"
    );
    check(&text, "p.yaml", &config, &registry).0.unwrap_or_else(|| panic!("{text}"))
}

const LABELS: [&str; 3] = ["alertname", "site", "env"];

fn condition() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec!["a", "b", "=", "!=a", "=~a|b", "!~b"]);
    (prop::sample::select(LABELS.to_vec()), value).prop_map(|(label, value)| format!("{label}: {value:?}"))
}

fn trigger() -> impl Strategy<Value = String> {
    let zabbix = prop::sample::select(vec![
        "  - zabbix: { tag.site: a }\n",
        "  - zabbix: { tag.site: b, severity: \">=high\" }\n",
        "  - zabbix: { severity: high, name: \"!=a\" }\n",
    ]);
    let when = prop::sample::select(vec!["  - when: alert.name == \"a\"\n", "  - when: \"true\"\n"]);
    let of_labels = prop::collection::btree_map(prop::sample::select(LABELS.to_vec()), condition(), 1..3)
        .prop_map(|all| {
            let each: Vec<String> = all
                .into_iter()
                .map(|(label, one)| {
                    format!("{label}: {}", one.split_once(": ").map_or("", |(_, value)| value))
                })
                .collect();
            format!("  - alertmanager: {{ {} }}\n", each.join(", "))
        });
    prop_oneof![4 => of_labels, 1 => zabbix.prop_map(str::to_owned), 1 => when.prop_map(str::to_owned)]
}

fn alert() -> impl Strategy<Value = AlertView> {
    let value = prop::sample::select(vec!["a", "b", "c", "", "high"]);
    let names = vec!["alertname", "site", "env", "tag.site", "severity", "name"];
    let labels = prop::collection::btree_map(prop::sample::select(names), value, 0..5);
    (labels, any::<bool>()).prop_map(|(labels, zabbix)| {
        let kind = if zabbix { SourceKind::Zabbix } else { SourceKind::Alertmanager };
        let mut labels: BTreeMap<String, String> =
            labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        // Twice the same tag.
        if let Some(tag) = labels.get_mut("tag.site") {
            tag.push_str(&format!("{VALUES_APART}b"));
        }
        AlertView::new("s".into(), kind, labels, BTreeMap::new())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_that_matches_is_left_out(
        books in prop::collection::vec(prop::collection::vec(trigger(), 1..3), 1..8),
        alerts in prop::collection::vec(alert(), 1..12),
    ) {
        let playbooks: Vec<Playbook> = books.iter().map(|triggers| playbook(&triggers.concat())).collect();
        let index = MatchIndex::new(&playbooks);
        for alert in &alerts {
            let found = index.candidates(alert);
            let sorted = found.windows(2).all(|pair| pair[0] < pair[1]);
            prop_assert!(sorted, "each once, in the order of the files: {found:?}");
            for (place, playbook) in playbooks.iter().enumerate() {
                let matches = match_alert(playbook, alert).is_ok();
                prop_assert!(!matches || found.contains(&place), "{place} for {alert:?}: {books:?}");
            }
        }
    }
}

#[test]
fn playbooks_of_other_values_are_not_looked_at() {
    let of = |site: &str| playbook(&format!("  - alertmanager: {{ alertname: SiteDown, site: {site} }}\n"));
    let playbooks = [of("a"), of("b"), of("c")];
    let labels = [("alertname", "SiteDown"), ("site", "b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let alert = AlertView::new("s".into(), SourceKind::Alertmanager, labels.into(), BTreeMap::new());
    assert_eq!(MatchIndex::new(&playbooks).candidates(&alert), [1]);
}
