//! What the views show of the fixtures, as pictures that a reviewer reads.

use crate::cli::client::read;
use crate::cli::testing::{NIGHT, fixture, look};
use crate::cli::wire::{AuditDoc, PlanDoc, RunDoc};
use crate::cli::{Look, view};
use insta::assert_snapshot;

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

#[test]
fn a_blocked_plan_names_every_reason_and_no_way_to_run_it() {
    let doc = plan_doc("plan_blocked");
    assert_eq!(view::plan::run_it(&doc), None);
    assert_snapshot!(view::plan::sheet(&doc, &look(), "This command changed nothing.").join("\n"));
}

#[test]
fn a_plan_without_a_measured_loss_does_not_claim_that_nothing_is_lost() {
    let mut document = fixture("plan");
    document["plan"]["at_risk"] = serde_json::json!([]);
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

#[test]
fn a_frozen_instance_says_why_in_lines_of_its_own_and_nobody_else_draws_lines() {
    let mut document = fixture("status");
    document["says"] = serde_json::json!("FROZEN: PM2011: the journal is shorter than it was");
    document["frozen"] = serde_json::json!(
        "PM2011: the journal is shorter than it was\n  state: nothing runs\n  do:    compare\u{1b}[2J"
    );
    document["runs"][0]["says"] = serde_json::json!("working\nrun 999999 succeeded");
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
