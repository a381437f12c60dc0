//! What a source awaits, is asked, and is told.

use super::parse;
use crate::kernel::domain::Span;
use std::collections::BTreeMap;

fn problems(text: &str) -> Vec<String> {
    let (config, problems) = parse(text, "pointsman.toml");
    assert_eq!(config.is_none(), !problems.is_empty(), "{problems:?}");
    problems.into_iter().map(|p| format!("{}:{} {}", p.line, p.code, p.says)).collect()
}

#[test]
fn a_heartbeat_names_what_it_is() {
    let heartbeat = |text: &str| problems(&format!("[sources.a]\nheartbeat = {text}\n"));
    assert!(
        heartbeat("{ within = \"5m\", alert = { alertname = \"Watchdog\", env = \"!=test\" } }").is_empty()
    );
    for (text, says) in [
        ("{ within = \"5m\", alert = {} }", "names no label with one value"),
        ("{ within = \"5m\", alert = { env = \"!=test\" } }", "names no label with one value"),
        ("{ within = \"5m\", alert = { env = \"\" } }", "names no label with one value"),
        ("{ within = \"100ms\", alert = { a = \"b\" } }", "between 1s and 7d"),
        ("{ within = \"8d\", alert = { a = \"b\" } }", "between 1s and 7d"),
        ("{ alert = { a = \"b\" } }", "has no \"within\""),
        ("{ within = \"5m\" }", "has no \"alert\""),
        ("{ within = \"5m\", alert = { a = \"=~(\" } }", "not a regular expression"),
        ("{ within = \"5m\", alert = { a = \"b\" }, every = \"1m\" }", "has no key \"every\""),
    ] {
        let found = heartbeat(text);
        assert!(found.iter().any(|problem| problem.contains(says)), "{text}: {found:?}");
    }
    let text = "[sources.a]\nheartbeat = { within = \"5m\", alert = { alertname = \"Watchdog\", env = \"!=test\" } }\n";
    let config = parse(text, "pointsman.toml").0.unwrap();
    let heartbeat = config.sources.values().next().unwrap().heartbeat.clone().unwrap();
    let is_beat = |labels: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        heartbeat.is_beat(&labels)
    };
    assert!(
        is_beat(&[("alertname", "Watchdog")])
            && is_beat(&[("alertname", "Watchdog\nother"), ("env", "prod")])
    );
    assert!(
        !is_beat(&[("alertname", "SiteDown")])
            && !is_beat(&[("alertname", "Watchdog"), ("env", "prod\ntest")])
    );
    assert_eq!(heartbeat.says(), "alertname=\"Watchdog\", env!=\"test\"");
}

#[test]
fn zabbix_is_asked_where_its_messages_surely_have_the_sources_name() {
    let api = "zabbix = [\"https://z.example/api_jsonrpc.php\"]\nbearer = { env = \"T\" }\n";
    let asked = |name: &str, more: &str| {
        let config = parse(&format!("[sources.{name}]\n{api}{more}\n"), "pointsman.toml").0.unwrap();
        config.sources.values().next().unwrap().reconcile
    };
    assert_eq!(asked("zabbix", ""), Some(Span::secs(60)));
    assert_eq!(asked("zabbix", "reconcile = \"never\""), None);
    assert_eq!(asked("other", ""), None);
    assert_eq!(asked("other", "signing_secret = { env = \"S\" }"), Some(Span::secs(60)));
    assert_eq!(asked("other", "reconcile = \"5s\""), Some(Span::secs(5)));
    let alone = problems("[sources.a]\nreconcile = \"5s\"\nwrite_back = true\n");
    assert!(
        alone[0].contains("\"write_back\" speaks to") || alone[1].contains("\"write_back\" speaks to"),
        "{alone:?}"
    );
    assert!(alone.iter().any(|problem| problem.contains("\"reconcile\" asks Zabbix")), "{alone:?}");
    assert!(
        problems(&format!("[sources.zabbix]\n{api}reconcile = \"2h\"\n"))[0].contains("between 1s and 1h")
    );
}
