//! What the views show of the fixtures, as pictures that a reviewer reads.

use crate::cli::client::read;
use crate::cli::testing::{NIGHT, fixture, look};
use crate::cli::wire::{AuditDoc, PlanDoc, RunDoc};
use crate::cli::{Look, view};
use insta::assert_snapshot;
use serde_json::json;

fn run_doc(name: &str) -> RunDoc {
    read(&fixture(name), "run").unwrap()
}

fn plan_doc(name: &str) -> PlanDoc {
    read(&fixture(name), "plan").unwrap()
}

fn screen(name: &str, rows: usize) -> String {
    view::run::screen(&run_doc(name), NIGHT, &look(), rows).join("\n")
}

#[test]
fn a_plan() {
    let doc = plan_doc("plan");
    let mut lines = view::plan::sheet(&doc, &look(), "This command changed nothing.");
    lines.extend(view::plan::run_it(&doc));
    assert_snapshot!(lines.join("\n"));
}

/// As a server sends it that keeps plans; the same for a ticket.
#[test]
fn a_plan_with_a_name() {
    let mut document = fixture("plan");
    document["id"] = json!("7KQ4M2");
    document["state"] = json!("valid");
    document["time"] = json!({ "objective": 300_000_000, "history": { "runs": 5, "median": 12_400_000,
        "longest": 21_000_000, "steps": [] } });
    document["no_return"] = json!({ "item": 4, "name": "promote standby" });
    document["reach"] = json!([{ "item": 4, "name": "promote standby",
        "says": ["the whole server pg-sbg (10.2.0.5:5432), all of its databases, for good"] }]);
    document["lines"][0]["name"] = json!("a|b <script>");
    let doc: PlanDoc = read(&document, "plan").unwrap();
    let mut lines = view::plan::sheet(&doc, &look(), "This command changed nothing.");
    lines.extend(view::plan::run_it(&doc));
    let markdown = view::plan::markdown(&doc, &look());
    assert!(!markdown.contains("<script>") && markdown.contains("a\\|b"), "{markdown}");
    assert_snapshot!(format!("{}\n\n{markdown}", lines.join("\n")));
    // What cannot be run is not offered.
    document["state"] = json!("used");
    let doc: PlanDoc = read(&document, "plan").unwrap();
    assert_eq!(view::plan::run_it(&doc), None);
}

#[test]
fn a_blocked_plan_names_every_reason_and_no_way_to_run_it() {
    let doc = plan_doc("plan_blocked");
    assert_eq!(view::plan::run_it(&doc), None);
    assert_snapshot!(view::plan::sheet(&doc, &look(), "This command changed nothing.").join("\n"));
}

#[test]
fn a_plan_without_a_measured_loss_does_not_claim_that_nothing_is_lost() {
    let mut document = fixture("plan");
    document["plan"]["at_risk"] = json!([]);
    let doc: PlanDoc = read(&document, "plan").unwrap();
    let text = view::plan::sheet(&doc, &look(), "").join("\n");
    assert!(text.contains("Data at risk  not known"), "{text}");
}

#[test]
fn a_run_at_work() {
    assert_snapshot!(screen("run_running", 40));
}

#[test]
fn a_run_on_a_small_terminal_folds_what_is_done() {
    let text = screen("run_succeeded", 10);
    assert!(text.lines().count() <= 10, "{text}");
    assert!(text.contains("finished steps") && text.contains("users are served"), "{text}");
}

#[test]
fn a_run_that_waits_for_approval() {
    assert_snapshot!(screen("run_asked", 40));
}

#[test]
fn a_parked_run_says_what_a_person_can_do() {
    assert_snapshot!(screen("run_parked", 40));
}

#[test]
fn lines_as_things_happen() {
    let (asked, running, manual) = (run_doc("run_asked"), run_doc("run_running"), run_doc("run_manual"));
    let mut lines = view::run::changes(None, &asked, NIGHT, &look());
    lines.extend(view::run::changes(Some(&asked), &running, NIGHT, &look()));
    lines.extend(view::run::changes(Some(&running), &manual, NIGHT, &look()));
    assert!(view::run::changes(Some(&manual), &manual, NIGHT, &look()).is_empty());
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn how_a_run_ended() {
    let mut lines = view::run::ending(&run_doc("run_succeeded"), &look());
    lines.push(String::new());
    lines.extend(view::run::ending(&run_doc("run_partial"), &look()));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn status() {
    let doc = view::status::read(&fixture("status")).unwrap();
    assert_snapshot!(view::status::screen(&doc, &look()).join("\n"));
}

/// Everything that can stand against automation at once, and an old primary that is back.
#[test]
fn status_on_a_bad_night() {
    let mut document = fixture("status");
    let at = |seconds: i64| NIGHT.0 - seconds * 1_000_000;
    document["says"] = json!("ALARM: the old primary pg-gra accepts writes again");
    document["freezes"] = json!([
        { "service": "blog", "by": "bo", "reason": "database upgrade", "until": at(-7200),
          "says": "blog is frozen by bo until 2026-11-20T04:14:40Z: database upgrade" },
    ]);
    document["breaker"] = json!({
        "since": at(300), "says": "the storm breaker tripped at 2026-11-20T02:09:40Z: 5 automatic runs within the hour, and \
                                   one more is due; per_hour is 5",
    });
    document["held_back"] = json!([
        { "service": "shop", "playbook": "shop-failover", "why": [
            { "code": "PM5411", "says": "run 3XW9AB ended 2m 5s ago; the cooldown of 1h lasts until 2026-11-20T03:12:35Z" },
            { "code": "PM5412", "says": "nobody has acknowledged the automatic run 3XW9AB: `pointsman ack SERVICE` says that a \
                                         person has seen it" },
        ] },
    ]);
    let watch = |target: &str, state: &str, says: &str, seen: serde_json::Value| {
        json!({
            "run": "3XW9AB", "service": "shop", "target": target, "promoted": "pg-sbg", "rung": "stopped", "state": state,
            "says": says, "since": at(125), "seen": seen, "looked": at(1),
        })
    };
    let back = "PM5501: it is back and accepts writes: a primary of timeline 7, beside pg-sbg of timeline 8";
    document["fence_watches"] = json!([
        watch(
            "pg-gra",
            "seen_writable",
            back,
            json!("it ACCEPTS WRITES: a primary of timeline 7, beside pg-sbg of timeline 8")
        ),
        watch("pg-gra-2", "watching", "watched until it is seen as a standby", json!(null)),
    ]);
    document["clocks"] = json!(
        "the clock of pg-sbg is 7.2 s ahead of ours (at most 5.0 s): nothing starts by itself (PM5506)"
    );
    document["runs"][0]["drifted"] = json!(["swap DNS: shop.example.com. A 198.51.100.10 ttl 60"]);
    let doc = view::status::read(&document).unwrap();
    assert_snapshot!(view::status::screen(&doc, &look()).join("\n"));
}

#[test]
fn a_frozen_instance_says_why_in_lines_of_its_own_and_nobody_else_draws_lines() {
    let mut document = fixture("status");
    document["says"] = json!("FROZEN: PM2011: the journal is shorter than it was");
    document["frozen"] =
        json!("PM2011: the journal is shorter than it was\n  state: nothing runs\n  do:    compare\u{1b}[2J");
    document["runs"][0]["says"] = json!("working\nrun 999999 succeeded");
    let text = view::status::screen(&view::status::read(&document).unwrap(), &look()).join("\n");
    let top: Vec<&str> = text.lines().take(5).collect();
    let wanted = [
        "FROZEN: PM2011: the journal is shorter than it was",
        "Nothing starts on its own until a person thaws it:",
        "    PM2011: the journal is shorter than it was",
        "      state: nothing runs",
        "      do:    compare [2J",
    ];
    assert_eq!(top, wanted);
    assert!(!text.lines().any(|l| l.starts_with("run 999999")), "{text}");
}

#[test]
fn records_aligned_and_for_programs() {
    let doc: AuditDoc = read(&fixture("audit"), "audit").unwrap();
    let mut lines = view::audit::rows(&doc.records, &look(), true);
    lines.extend(view::audit::rows(&doc.records, &Look { aligned: false, ..look() }, true));
    lines.extend(view::audit::whole(&doc.records[2], &look()));
    assert!(!lines.join("").contains('\x1b'));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn colour_is_never_the_only_sign() {
    let doc = plan_doc("plan_blocked");
    let colour = view::plan::sheet(&doc, &Look { color: true, ..look() }, "").join("\n");
    let mut stripped = String::new();
    let mut rest = colour.as_str();
    while let Some(start) = rest.find('\x1b') {
        stripped.push_str(&rest[..start]);
        let end = rest[start..].find('m').unwrap();
        rest = &rest[start + end + 1..];
    }
    stripped.push_str(rest);
    assert_eq!(stripped, view::plan::sheet(&doc, &look(), "").join("\n"));
}
