//! Each rule of a playbook by one small edit of the shipped one.

use super::*;

#[test]
fn rules_of_safety() {
    let fence = ["      - action: postgres.fence", "        proves: { fenced"];
    let no_fence: String = PLAYBOOK
        .replace("    accept_unfenced: { role: incident-lead }", "    x-was: accept_unfenced")
        .lines()
        .filter(|line| !fence.iter().any(|part| line.starts_with(part)) && !line.contains("min_rung"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(codes(&checked(&no_fence).1), ["PM1240"]);
    let cases: &[(&str, &str, &[&str])] = &[
        ("  - action: sql.write_probe\n    with: { target: \"${to.db}\", as: app }\n", "", &["PM1241"]),
        ("    after: [app writes at the new site]", "    after: [fence old primary]", &["PM1242"]),
        (
            "    after: [point the app at the new site]",
            "    after: [fence old primary]",
            &["PM1243", "PM1242"],
        ),
        ("status: 200, within: 5m", "status: 200, within: 30s", &["PM1244"]),
        ("mode: observe  ", "mode: auto  ", &["PM1254"]),
        ("      down: majority", "      down: 1", &["PM1247"]),
        ("      down: majority", "      down: 2", &[]),
        ("      down: majority", "      down: 4", &["PM1206"]),
        (
            "[local, blackbox-par, blackbox-ams]\n      down",
            "[local, blackbox-par, local]\n      down",
            &["PM1206"],
        ),
        ("[local, blackbox-par, blackbox-ams]\n      down", "[local]\n      down", &["PM1247"]),
        ("set: { DATABASE_HOST", "x-why: mine, set: { DATABASE_HOST", &[]),
        ("file: /etc/shop/env", "file: /silent", &["PM1231"]),
        ("[local, blackbox-par, blackbox-ams]\n      down", "[local, blackbox-par]\n      down", &["PM1247"]),
        ("    commit_point: true\n", "", &["PM1249"]),
        ("    commit_point: true\n", "    commit_point: true\n    optional: true\n", &["PM1250"]),
        ("rung: stopped", "rung: read_only", &["PM1240"]),
        ("to: sbg\n", "to: gra\n", &["PM1252"]),
        ("db: pg-gra,", "db: pg-sbg,", &["PM1206"]),
        ("from: gra\nto: sbg", "from: sbg\nto: gra", &[]),
        ("confirmed_for: 30s", "confirmed_for: 6m", &["PM1251"]),
        ("attempts: 5, backoff: 2s..30s }\n    timeout: 2m", "attempts: 5 }\n    timeout: 40m", &["PM1251"]),
        ("passes: 3, within: 60s }", "passes: 3, within: 60s }\n    timeout: 30s", &["PM1251"]),
        ("irreversible: true, ", "", &["PM1231"]),
        ("/etc/shop/env", "/refused", &["PM1231"]),
    ];
    for (from, to, wanted) in cases {
        let problems = edited(from, to);
        assert_eq!(codes(&problems), *wanted, "{from:?} -> {to:?}\n{}", rendered(&problems));
    }
}

#[test]
fn what_a_step_does_when_it_fails_fits_the_step() {
    let commit = "    commit_point: true\n";
    let last = "    retry: { attempts: 5, backoff: 2s..30s }\n    timeout: 2m\n";
    let cases: &[(&str, &str, &[&str])] = &[
        (commit, "on_failure: pause", &[]),
        (commit, "on_failure: undo", &[]),
        (commit, "on_failure: continue", &["PM1250"]),
        (commit, "on_failure: retreat", &["PM1206"]),
        // After the commit point a run goes forward only.
        (last, "on_failure: undo", &["PM1249"]),
        (last, "on_failure: pause", &[]),
        (last, "optional: true\n    on_failure: continue", &[]),
        (last, "optional: true\n    on_failure: pause", &["PM1250"]),
        (last, "optional: true\n    on_failure: undo", &["PM1250"]),
    ];
    for (place, line, wanted) in cases {
        let problems = edited(place, &format!("{place}    {line}\n"));
        assert_eq!(codes(&problems), *wanted, "{line:?}\n{}", rendered(&problems));
    }
    let text = PLAYBOOK.replace(commit, &format!("{commit}    on_failure: undo\n"));
    let playbook = checked(&text).0.unwrap();
    let resolved = resolve(&playbook, &config(), opening(None)).unwrap();
    let undoes = |item: &&crate::kernel::domain::Item| item.on_failure == OnFailure::Undo;
    let names: Vec<&str> = resolved.items.iter().filter(undoes).map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["promote standby"]);
}

#[test]
fn auto_needs_guards_and_a_cooldown() {
    let text = PLAYBOOK.replace("mode: observe  ", "mode: auto  ").replace("cooldown: 1h, ", "");
    assert_eq!(codes(&checked(&text).1), ["PM1246", "PM1254"]);
    let (start, end) = (text.find("guards:").unwrap(), text.find("approval:").unwrap());
    let text = format!("{}{}", &text[..start], &text[end..]);
    let found = checked(&text).1;
    assert!(["PM1245", "PM1246", "PM1253"].iter().all(|code| codes(&found).contains(code)), "{found:?}");
}

#[test]
fn an_approval_that_nobody_could_give_is_refused() {
    let of = |approval: &str| {
        let text = PLAYBOOK.replace("mode: observe  ", "mode: approve  ");
        let edited = text.replace("approval: { need: 1, expires: 15m }", approval);
        assert_ne!(edited, text);
        codes(&checked(&edited).1).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (approval, wanted) in [
        ("approval: { need: 1, from: [oncall] }", &[][..]),
        ("approval: { on_expiry: reject, not_requester: false, via: [cli] }", &[]),
        ("approval: { need: 2, from: [oncall] }", &["PM1257"]),
        ("approval: { need: 2 }", &["PM1257"]),
        ("approval: { from: [onkall] }", &["PM1210"]),
        ("approval: { via: [web, slack] }", &["PM1257"]),
        ("approval: { via: [slack] }", &["PM1257"]),
        ("approval: { via: [link] }", &["PM1257"]),
        ("approval: { via: [web, link] }", &["PM1257"]),
        ("approval: { via: [wob] }", &["PM1206"]),
    ] {
        assert_eq!(of(approval), wanted, "{approval}");
    }
}

#[test]
fn links_have_to_be_private_and_to_arrive() {
    let text = PLAYBOOK.replace("mode: observe  ", "mode: approve  ");
    let text = text.replace("approval: { need: 1, expires: 15m }", "approval: { via: [web, link] }");
    let mail = "[channel.mail]\nkind = \"email\"\nsmtp = \"mx.example:587\"\nfrom = \"pm@example.org\"\nto = [\"o@example.org\"]\n";
    let person = |email: &str| format!("[people.link-bo]\nroles = [\"approver\"]\n{email}\n");
    let says = |more: &str| {
        let config = parse(&format!("{CONFIG}\n{more}"), "c.toml").0.unwrap();
        let problems = check(&text, "p.yaml", &config, &Permissive).1;
        let of_approval = problems.into_iter().filter(|p| p.code == "PM1257");
        of_approval.map(|p| p.says).collect::<Vec<_>>().join("; ")
    };
    let email = "email = \"bo@example.org\"";
    let none = says(&(person(email) + mail));
    assert!(none.contains("begins with https://") && !none.contains("can be sent one"), "{none}");
    let clear = says(&(person(email) + mail + "[web]\nurl = \"http://pm.example\"\n"));
    assert!(clear.contains("begins with https://"), "{clear}");
    let nobody = says(&(person("") + mail + "[web]\nurl = \"https://pm.example\"\n"));
    assert!(nobody.contains("can be sent one") && !nobody.contains("begins with https://"), "{nobody}");
    assert_eq!(says(&(person(email) + mail + "[web]\nurl = \"https://pm.example\"\n")), "");
}

#[test]
fn votes_of_one_failure_domain_are_one_vote() {
    let twins = CONFIG.replace("domain = \"provider-b-ams\"", "domain = \"provider-a-par\"");
    let config = parse(&twins, "c.toml").0.unwrap();
    let (playbook, problems) = check(PLAYBOOK, "p.yaml", &config, &Permissive);
    assert!(playbook.is_none());
    assert_eq!(codes(&problems), ["PM1247"]);
    let sql = CONFIG.replace("tcp = \"198.51.100.5:5432\"", "sql = \"pg-gra\"");
    let config = parse(&sql, "c.toml").0.unwrap();
    assert_eq!(codes(&check(PLAYBOOK, "p.yaml", &config, &Permissive).1), ["PM1212"]);
}

#[test]
fn without_a_site_of_our_own_only_observe_is_allowed() {
    let config = parse(&CONFIG.replace("site = \"par\"  ", "# site  "), "c.toml").0.unwrap();
    let codes_in = |text: &str| codes(&check(text, "p.yaml", &config, &Permissive).1);
    assert_eq!(codes_in(PLAYBOOK), [""; 0]);
    assert_eq!(codes_in(&PLAYBOOK.replace("mode: observe  ", "mode: approve  ")), ["PM1213"]);
}

#[test]
fn a_standby_of_another_site_is_not_the_one_to_promote() {
    let config = parse(
        &CONFIG.replace(
            "[targets.pg-sbg]\nkind = \"postgres\"\nsite = \"sbg\"",
            "[targets.pg-sbg]\nkind = \"postgres\"\nsite = \"ams\"",
        ),
        "c.toml",
    )
    .0
    .unwrap();
    let (_, problems) = check(PLAYBOOK, "p.yaml", &config, &Permissive);
    assert_eq!(codes(&problems), ["PM1252"]);
}

#[test]
fn names_are_looked_up_and_the_nearest_is_offered() {
    let cases = [
        (
            "after: [promote standby]",
            "after: [promote standbi]",
            "PM1232",
            "did you mean \"promote standby\"?",
        ),
        ("action: file.render", "action: file.rendr", "PM1230", "did you mean \"file.render\"?"),
        ("target: zone-shop", "target: zone-shp", "PM1210", "did you mean \"zone-shop\"?"),
        ("target: zone-shop", "target: pg-gra", "PM1211", ""),
        ("probes: [gra-app, gra-db]", "probes: [gra-ap, gra-db]", "PM1210", "did you mean \"gra-app\"?"),
        ("vantages: [local, blackbox-par],", "vantages: [lokal],", "PM1210", "did you mean \"local\"?"),
        ("commit_point: true", "comit_point: true", "PM1203", "did you mean \"commit_point\"?"),
        ("\"${from.db}\", min_rung", "\"${form.db}\", min_rung", "PM1221", "did you mean \"from\"?"),
        ("{ target: \"${to.db}\", max_bytes", "{ target: \"${to.dv}\", max_bytes", "PM1222", ""),
        ("from: gra\n", "from: gro\n", "PM1252", ""),
        ("or: \"origin is down", "or: \"orign is down", "PM1210", "did you mean"),
        ("max_seconds: 10", "max_second: 10", "PM1203", "did you mean \"max_seconds\"?"),
        ("role: incident-lead", "role: incident_lead", "PM1206", "did you mean \"incident-lead\"?"),
    ];
    for (from, to, code, hint) in cases {
        let problems = edited(from, to);
        let code = if from == "from: gra\n" { "PM1210" } else { code };
        let found = problems.iter().find(|p| p.code == code);
        let found = found.unwrap_or_else(|| panic!("{to}: no {code} in\n{}", rendered(&problems)));
        assert!(found.suggestion.as_deref().unwrap_or("").contains(hint), "{to}: {found}");
    }
}

#[test]
fn order_is_said_for_all_steps_or_for_none() {
    // What follows from the slip is not told as well.
    assert_eq!(codes(&edited("    after: [restart the app]\n", "")), ["PM1234"]);
    let ring = edited("    after: [fence old primary]\n", "    after: [swap DNS]\n");
    assert!(codes(&ring).contains(&"PM1233"), "{}", rendered(&ring));
    let own = edited("after: [promote standby]", "after: [point the app at the new site]");
    assert!(codes(&own).contains(&"PM1233"));
    let twice = edited("- name: swap DNS", "- name: restart the app");
    assert!(codes(&twice).contains(&"PM1235"));
    // Naming a step further down is allowed where it makes no ring: the items are put in order.
    let (steps, verify) = (PLAYBOOK.find("  - name: swap DNS").unwrap(), PLAYBOOK.find("verify:").unwrap());
    let fence = PLAYBOOK.find("  - name: fence old primary").unwrap();
    let first = format!(
        "{}{}{}{}",
        &PLAYBOOK[..fence],
        PLAYBOOK[steps..verify].trim_end(),
        format_args!("\n{}", &PLAYBOOK[fence..steps]),
        &PLAYBOOK[verify..]
    )
    .replace("    accept_unfenced", "    after: []\n    accept_unfenced");
    let run = resolved(&first, None);
    assert_eq!(run.items.iter().rfind(|item| item.role == ItemRole::Step).unwrap().name.as_str(), "swap DNS");
}

#[test]
fn a_fence_by_hand_is_proven_and_locked() {
    let run = resolved(PLAYBOOK, None);
    let fence = run.items.iter().find(|item| item.name.as_str() == "fence old primary").unwrap();
    let stopped = Fact::Fenced { target: "pg-gra".into(), rung: FenceRung::Stopped, position: None };
    assert_eq!(fence.rungs[1].proves, [stopped]);
    assert!(matches!(&fence.rungs[2].form, Form::Manual { text } if text.starts_with("Power off pg-gra in")));
    assert_eq!(fence.accept_unfenced.as_ref().unwrap().target, Name::from("pg-gra"));
    assert!(run.locks.contains(&Name::from("pg-gra")) && run.locks.contains(&Name::from("shop-sbg-2")));
}

#[test]
fn a_name_is_led_only_where_something_before_proves_an_answer() {
    let elsewhere = ("values: [\"${to.address}\"]", "values: [\"198.51.100.99\"]");
    assert_eq!(codes(&edited(elsewhere.0, elsewhere.1)), ["PM1255"]);
    let limits = "limits: { cooldown: 1h,";
    let of = |least: u32| format!("limits: {{ min_live_targets: {least}, cooldown: 1h,");
    assert_eq!(codes(&edited(limits, &of(2))), ["PM1255"], "one of two addresses is proven");
    let asks_none = PLAYBOOK.replace(limits, &of(0)).replace(elsewhere.0, elsewhere.1);
    assert_eq!(codes(&checked(&asks_none).1), [] as [&str; 0]);
    let run = resolved(PLAYBOOK, None);
    assert_eq!(run.limits.min_live_targets, 1);
    let proves = |name: &str| -> Vec<Fact> {
        run.items.iter().find(|item| item.name.as_str() == name).unwrap().rungs[0].proves.clone()
    };
    let live = |at: &str| Fact::Live { at: at.into() };
    assert_eq!(proves("app writes at the new site"), [live("203.0.113.20")]);
    assert!(proves("destination is healthy").contains(&live("203.0.113.20")));
    assert_eq!(proves("origin is down, seen from outside"), [], "what is down proves nothing");
}

#[test]
fn faults_on_purpose_stand_in_drills_that_no_alert_starts() {
    let commit = "    commit_point: true\n";
    let faulty = |fault: &str| PLAYBOOK.replace(commit, &format!("{commit}    inject: {fault}\n"));
    assert_eq!(codes(&checked(&faulty("crash")).1), ["PM1256"]);
    assert_eq!(codes(&checked(&faulty("crush")).1), ["PM1206"]);
    let drill = faulty("crash").replace("kind: failover", "kind: drill");
    assert_eq!(codes(&checked(&drill).1), ["PM1256"], "its triggers are still there");
    let (from, to) = (drill.find("triggers:").unwrap(), drill.find("limits:").unwrap());
    let drill = format!("{}{}", &drill[..from], &drill[to..]);
    let alone = drill.replace(
        "    still_firing: { or: \"origin is down, seen from outside\" }",
        "    http.expect: { url: \"http://x.test\" }",
    );
    let (checked_drill, problems) = checked(&alone);
    assert!(checked_drill.is_some(), "{}", rendered(&problems));
    let run = resolved(&alone, None);
    assert_eq!(spec(&run, "promote standby").fault(), Some("crash"));
    assert!(run.items.iter().filter(|item| item.name.as_str() != "promote standby").all(|item| {
        item.rungs.iter().filter_map(|rung| rung.form.spec()).all(|spec| spec.fault().is_none())
    }));
    let looks = "    with: { url: \"https://shop.example.com/healthz?deep=1\"";
    let checks =
        alone.replace("    inject: crash\n", "").replace(looks, &format!("    inject: fail\n{looks}"));
    assert!(codes(&checked(&checks).1).contains(&"PM1256"), "a step that only looks");
}
