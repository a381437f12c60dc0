//! The shipped playbook, and a file full of mistakes in both languages.

mod rules;

use super::*;
use crate::config::{Config, parse};
use crate::kernel::domain::{
    Actor, Cause, Fact, FenceRung, Form, ItemRole, Mode, Name, Observation, OnFailure, Resolved, Role, RunId,
    SourceKind, Span, Spec, StepPlan, Time, Via,
};
use crate::kernel::port::{Bound, Check, Ctx, ProviderError, Registry};
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

const PLAYBOOK: &str = include_str!("../../playbooks/postgres-two-sites.yaml");
const MISTAKES: &str = include_str!("testdata/broken.yaml");
const MISTAKES_TOML: &str = include_str!("testdata/broken.toml");
const CONFIG: &str = include_str!("../../playbooks/pointsman.example.toml");

/// Accepts every kind of the list; the providers' own binding is tested with them.
struct Permissive;
struct Accepted;

impl Registry for Permissive {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        if spec.with.get("file").is_some_and(|file| file == "/refused") {
            return Err(vec!["unknown field `file`".into(), "another complaint".into()]);
        }
        if spec.with.get("file").is_some_and(|file| file == "/silent") || spec.with.get("x-why").is_some() {
            return Err(vec![]);
        }
        match actions().iter().any(|info| info.kind == spec.kind.as_str()) {
            true => Ok(Bound::Check(Box::new(Accepted))),
            false => Err(vec![format!("no such kind: {}", spec.kind)]),
        }
    }
}

impl Check for Accepted {
    fn observe<'a>(&'a self, _: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Box::pin(async { Err(ProviderError::new("PM0000", "only bound, never asked")) })
    }
    fn plan(&self, _: &Observation, _: &[Fact], _: Time) -> StepPlan {
        StepPlan::unknown("PM0000", "only bound, never asked")
    }
}

fn config() -> Config {
    let (config, problems) = parse(CONFIG, "pointsman.toml");
    assert_eq!(problems, []);
    config.unwrap()
}

fn checked(text: &str) -> (Option<Playbook>, Vec<Problem>) {
    check(text, "p.yaml", &config(), &Permissive)
}

fn shipped() -> Playbook {
    checked(PLAYBOOK).0.unwrap()
}

/// The shipped playbook with one edit; what the edit replaces must be there.
fn edited(from: &str, to: &str) -> Vec<Problem> {
    assert!(PLAYBOOK.contains(from), "{from:?} is not in the playbook");
    checked(&PLAYBOOK.replace(from, to)).1
}

/// Codes of errors, and of warnings that the unedited playbook does not have.
fn codes(problems: &[Problem]) -> Vec<&'static str> {
    let mut codes: Vec<_> = problems.iter().map(|p| p.code).filter(|code| *code != "PM1208").collect();
    codes.dedup();
    codes
}

fn rendered(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn alert(labels: &[(&str, &str)]) -> AlertView {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    AlertView::new("alertmanager".into(), SourceKind::Alertmanager, labels, BTreeMap::new())
}

fn opening(alert: Option<AlertView>) -> Opening {
    let by = Actor::token("bo".into(), vec![Role::Operator], Via::Cli);
    Opening {
        run: RunId::from("7KQ4M2"),
        epoch: 3,
        owner: "here".into(),
        cause: Cause::Person { by, reason: "a test".into() },
        alert,
    }
}

fn resolved(text: &str, alert: Option<AlertView>) -> Resolved {
    let (playbook, problems) = checked(text);
    let playbook = playbook.unwrap_or_else(|| panic!("{}", rendered(&problems)));
    resolve(&playbook, &config(), opening(alert)).unwrap_or_else(|problems| panic!("{}", rendered(&problems)))
}

fn spec<'a>(run: &'a Resolved, name: &str) -> &'a Spec {
    let item =
        run.items.iter().find(|item| item.name.as_str() == name).unwrap_or_else(|| panic!("no {name:?}"));
    item.rungs.iter().find_map(|rung| rung.form.spec()).unwrap()
}

#[test]
fn every_shipped_playbook_checks_with_warnings_at_most() {
    let mut seen = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks")).unwrap() {
        let path = file.unwrap().path();
        let test = path.to_string_lossy().ends_with(".test.yaml");
        if !test && path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let (playbook, problems) = checked(&text);
            assert!(playbook.is_some(), "{}", rendered(&problems));
            assert!(problems.iter().all(|p| p.code == "PM1208"), "{}", rendered(&problems));
            seen += 1;
        }
    }
    assert!(seen >= 1);
}

#[test]
fn the_shipped_playbook_resolves_to_these_items() {
    let run = resolved(PLAYBOOK, None);
    insta::assert_json_snapshot!(
        "shipped_resolved",
        json!({
            "from": run.from, "to": run.to, "mode": run.mode, "locks": run.locks, "limits": run.limits,
            "approval": run.approval, "objective": run.objective, "items": run.items,
        })
    );
}

#[test]
fn for_each_runs_side_by_side_and_what_follows_waits_for_all() {
    let run = resolved(PLAYBOOK, None);
    let index = |name: &str| run.items.iter().position(|item| item.name.as_str() == name).unwrap() as u16;
    let after = |name: &str| run.items[usize::from(index(name))].after.clone();
    let files = ["point the app at the new site [shop-sbg-1]", "point the app at the new site [shop-sbg-2]"];
    assert_eq!(after(files[0]), [index("promote standby")]);
    assert_eq!(after(files[0]), after(files[1]));
    assert_eq!(after("restart the app [shop-sbg-1]"), [index(files[0]), index(files[1])]);
    for (i, item) in run.items.iter().enumerate() {
        assert!(item.after.iter().all(|before| usize::from(*before) < i), "{:?}", item.name);
    }
    assert!(!serde_json::to_string(&run.items).unwrap().contains("${"));
}

/// Share by share: each stage from what the one before it left, with a look in between, and named as a whole.
#[test]
fn a_shift_becomes_stages_with_a_look_after_each() {
    let text = include_str!("../../tests/playbooks/traffic/shift.yaml");
    let config =
        parse(include_str!("../../tests/playbooks/traffic/pointsman.toml"), "pointsman.toml").0.unwrap();
    let (playbook, problems) = check(text, "p.yaml", &config, &Permissive);
    let playbook = playbook.unwrap_or_else(|| panic!("{problems:?}"));
    let run = resolve(&playbook, &config, opening(None)).unwrap_or_else(|p| panic!("{}", rendered(&p)));
    let index = |name: &str| run.items.iter().position(|item| item.name.as_str() == name).unwrap() as u16;
    let of = |name: &str| run.items[usize::from(index(name))].clone();
    let weights = |name: &str| {
        let with = of(name).rungs[0].form.spec().unwrap().with.clone();
        [with["records"][0]["weight"].clone(), with["records"][1]["weight"].clone()]
    };
    let mut before = "the other site answers for the name".to_owned();
    let mut continues = None;
    for share in [5, 25, 50, 100] {
        let name = format!("shift users [{share}%]");
        let stage = of(&name);
        assert_eq!(weights(&name), [json!(100 - share), json!(share)]);
        assert_eq!((stage.after, stage.continues), (vec![index(&before)], continues));
        assert_eq!((stage.planned_ahead, stage.on_failure), (share == 5, OnFailure::Undo));
        before = format!("{name} holds");
        assert_eq!(of(&before).after, [index(&name)]);
        assert_eq!((of(&before).on_failure, of(&before).continues), (OnFailure::Undo, None));
        continues = Some(index(&name));
    }
    assert_eq!(of("the inner balancer follows").after, [index(&before)]);
}

#[test]
fn a_shift_that_cannot_be_is_told() {
    let text = include_str!("../../tests/playbooks/traffic/shift.yaml");
    let config =
        parse(include_str!("../../tests/playbooks/traffic/pointsman.toml"), "pointsman.toml").0.unwrap();
    let said = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let (_, problems) = check(&text.replace(from, to), "p.yaml", &config, &Permissive);
        problems.into_iter().map(|p| p.says).collect::<Vec<_>>().join("\n")
    };
    for (from, to, part) in [
        ("    shift:\n", "    shift:\n      shares: [5, 50]\n", "\"shares\" rise to 100"),
        ("    shift:\n", "    shift:\n      shares: [50, 5, 100]\n", "\"shares\" rise to 100"),
        ("    shift:\n", "    shift:\n      share: [100]\n", "has no key \"share\""),
        ("    on_failure: undo\n    after", "    commit_point: true\n    after", "exclude each other"),
        ("weight: \"${share}\"", "weight: 5", "depends on ${share}"),
        (
            "with: { target: lb-inside, server: app/gra",
            "with: { target: lb-inside, server: \"${share}\"",
            "no variable \"share\"",
        ),
        ("action: route53.record", "action: traffic.shift", "a key of a step"),
        (
            "action: haproxy.server",
            "shift: { verify: { action: http.expect, with: { url: \"https://a.test\" } } }\n    action: dns.record",
            "an action with weights",
        ),
    ] {
        assert!(said(from, to).contains(part), "{part} not in {}", said(from, to));
    }
}

#[test]
fn neighbours_give_the_parameters_that_nobody_writes_twice() {
    let alert = alert(&[("alertname", "SiteDown"), ("site", "gra"), ("severity", "page")]);
    let run = resolved(PLAYBOOK, Some(alert));
    assert_eq!(spec(&run, "fence old primary").with["witness"], "pg-sbg");
    assert_eq!(spec(&run, "promote standby").with["fence_rung"], "lockout");
    assert_eq!(spec(&run, "replica is fresh").with["primary"], "pg-gra");
    assert_eq!(spec(&run, "origin is down, seen from outside").with["site"], "gra");
    assert_eq!(spec(&run, "destination is healthy").with["site"], "sbg");
    let still = &spec(&run, "still firing at the source").with;
    assert_eq!(still["labels"], json!({"alertname": "SiteDown", "site": "gra", "severity": "page"}));
    assert_eq!((&still["or_site"], still.get("or")), (&json!("gra"), None));
    let stale = &spec(&run, "swap DNS").with["stale_values"];
    assert!(stale.as_array().unwrap().contains(&json!("198.51.100.10")), "{stale}");
    // Durations and sizes stay as they were written.
    assert_eq!(spec(&run, "replica is fresh").with["max_bytes"], "16MiB");
}

#[test]
fn a_person_s_run_uses_the_equalities_of_the_trigger() {
    let run = resolved(PLAYBOOK, None);
    let still = &spec(&run, "still firing at the source").with;
    assert_eq!(still["labels"], json!({"alertname": "SiteDown", "site": "gra"}));
    assert_eq!(still["source"], "alertmanager");
}

#[test]
fn without_after_each_step_follows_the_one_above() {
    let text: String = PLAYBOOK
        .lines()
        .filter(|line| !line.trim().starts_with("after:"))
        .map(|l| format!("{l}\n"))
        .collect();
    let run = resolved(&text, None);
    let steps: Vec<_> = run.items.iter().filter(|item| item.role == ItemRole::Step).collect();
    assert_eq!(steps[0].after, Vec::<u16>::new());
    assert_eq!(steps.last().unwrap().after.len(), 1);
    assert_eq!(serde_json::to_value(resolved(PLAYBOOK, None).items).unwrap(), json!(run.items));
}

#[test]
fn origin_and_destination_may_come_from_the_alert() {
    let text = PLAYBOOK
        .replace("from: gra\n", "from: \"${alert.labels.site}\"\n")
        .replace("to: sbg\n", "to: \"${alert.labels.site == 'gra' ? 'sbg' : 'gra'}\"\n");
    let at = |site: &str| alert(&[("alertname", "SiteDown"), ("site", site)]);
    let run = resolved(&text, Some(at("sbg")));
    assert_eq!((run.from.as_str(), run.to.as_str()), ("sbg", "gra"));
    assert_eq!(spec(&run, "fence old primary").target.as_str(), "pg-sbg");
    let playbook = checked(&text).0.unwrap();
    let says = |alert| rendered(&resolve(&playbook, &config(), opening(Some(alert))).unwrap_err());
    assert!(says(at("ams")).contains("which is not one of the sites"));
    assert!(says(alert(&[])).contains("there is no \"site\" in that value"));
}

#[test]
fn an_instance_at_the_lost_site_refuses() {
    let config_at = |site: &str| {
        parse(&CONFIG.replace("site = \"par\"  ", &format!("site = \"{site}\"  ")), "c.toml").0.unwrap()
    };
    let (playbook, problems) = check(PLAYBOOK, "p.yaml", &config_at("gra"), &Permissive);
    assert!(playbook.is_none());
    assert_eq!(codes(&problems), ["PM1248"]);
    let refused = resolve(&shipped(), &config_at("gra"), opening(None)).unwrap_err();
    assert_eq!(codes(&refused), ["PM1248"]);
}

#[test]
fn alerts_match_or_say_which_condition_failed() {
    let playbook = shipped();
    let down = [("alertname", "SiteDown"), ("site", "gra"), ("severity", "page")];
    let matched = match_alert(&playbook, &alert(&down)).unwrap();
    assert_eq!((matched.trigger, matched.confirmed_for), (0, Span::secs(30)));
    assert_eq!(matched.unconfirmed_after, Some(Span::mins(5)));
    let shop = match_alert(&playbook, &alert(&[("alertname", "ShopSlow"), ("env", "prod")])).unwrap();
    assert_eq!((shop.trigger, shop.confirmed_for), (1, Span::ZERO));
    let why = match_alert(&playbook, &alert(&[("alertname", "SiteDown"), ("site", "gra"), ("env", "x")]));
    let why = why.unwrap_err();
    assert_eq!(
        why.says,
        "trigger 1: severity is missing, wanted severity=~\"critical|page\"; trigger 2: alert.labels.env == \
         \"prod\" && alert.name.startsWith(\"Shop\") is false"
    );
    assert_eq!(why.code, "PM1261");
    // What cannot be evaluated does not match, and is told apart from what is false.
    let mut elsewhere = alert(&[("alertname", "ShopDown")]);
    elsewhere.kind = SourceKind::Zabbix;
    let why = match_alert(&playbook, &elsewhere).unwrap_err();
    assert_eq!(why.code, "PM1262");
    assert!(why.says.contains("wanted alertmanager") && why.says.contains("there is no \"env\""), "{why:?}");
}

#[test]
fn a_file_full_of_mistakes() {
    let (playbook, problems) = check(MISTAKES, "broken.yaml", &config(), &Permissive);
    assert!(playbook.is_none());
    insta::assert_snapshot!("mistakes_yaml", rendered(&problems));
    insta::assert_json_snapshot!("mistakes_json", &problems[..2]);
}

#[test]
fn a_file_full_of_mistakes_in_toml() {
    let (playbook, problems) = check(MISTAKES_TOML, "broken.toml", &config(), &Permissive);
    assert!(playbook.is_none());
    insta::assert_snapshot!("mistakes_toml", rendered(&problems));
}

#[test]
fn the_same_playbook_in_toml_is_the_same_run() {
    let sink = crate::document::Sink::new("p.yaml", PLAYBOOK);
    let tree = crate::document::read(&sink).unwrap().json();
    let text = toml::to_string(&tree).unwrap();
    let (playbook, problems) = check(&text, "p.toml", &config(), &Permissive);
    let playbook = playbook.unwrap_or_else(|| panic!("{}", rendered(&problems)));
    let run = resolve(&playbook, &config(), opening(None)).unwrap();
    assert_eq!(json!(run.items), json!(resolved(PLAYBOOK, None).items));
}

#[test]
fn what_cannot_be_read_never_becomes_less_than_was_written() {
    // A trigger whose matcher is wrong, a mode that is misspelt: errors, never a wider trigger or a bolder
    // mode.
    let problems = edited("severity: \"=~critical|page\"", "severity: \"=~(critical\"");
    assert_eq!(codes(&problems), ["PM1224"]);
    assert_eq!(codes(&edited("mode: observe  ", "mode: aut  ")), ["PM1206"]);
    assert!(
        checked(&PLAYBOOK.replace("mode: observe  ", "x-mode: observe  ")).0.unwrap().mode == Mode::Observe
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens to one stretch of the file, `check` answers and every problem has a place in it.
    #[test]
    fn damaged_playbooks_never_panic(at in 0usize..6000, length in 0usize..40, put in "\\PC{0,12}") {
        let mut chars: Vec<char> = PLAYBOOK.chars().collect();
        let at = at.min(chars.len());
        let end = (at + length).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        let lines = u32::try_from(text.lines().count()).unwrap() + 1;
        let (playbook, problems) = checked(&text);
        for problem in &problems {
            prop_assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1, "{}", problem);
        }
        prop_assert_eq!(playbook.is_none(), has_errors(&problems));
    }
}
