//! Every verdict and every end of `command.run`, over modelled machines.

use super::*;
use crate::kernel::domain::CallResult;
use crate::provider::for_tests::{apply, change, config, plan, plan_given, spec, why};
use crate::simulated::{Calm, Fault, Hook, HostModel, Machine};

const CONFIG: &str = r#"
[targets.db]
kind = "host"
ssh = "fence@192.0.2.5"
[targets.here]
kind = "host"
local = true
commands = { fence = ["true"] }
"#;

struct Planted(Fault);
impl Hook for Planted {
    fn before<'a>(&'a self, _verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault> {
        let fault = if mutates { self.0 } else { Fault::None };
        async move { fault }.boxed()
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

fn model(hook: impl Hook + 'static) -> Arc<HostModel> {
    let model = HostModel::new(Arc::new(hook));
    model.database_host("db", || {}, || {});
    Arc::new(model)
}

fn bound(model: &Arc<HostModel>, with: Value) -> CommandRun {
    read(&spec("command.run", "db", with), &config(CONFIG), Arc::clone(model) as Arc<dyn Port>).ok().unwrap()
}

fn fence() -> Value {
    json!({ "run": "fence", "check": "fenced", "undo": "unfence", "timeout": "20s" })
}

#[tokio::test]
async fn run_then_nothing_then_the_undo_by_the_same_check_turned_round() {
    let model = model(Calm);
    let action = bound(&model, fence());
    let planned = change(&action).await;
    assert_eq!((&planned.from, &planned.to), (&json!({ "check": "not done" }), &json!({ "check": "done" })));
    assert_eq!(planned.settle, Settle::After(Span::secs(20)));
    let Undo::To(undo) = planned.undo.clone() else { panic!("{:?}", planned.undo) };
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
    let undo = bound(&model, undo.with);
    let back = change(&undo).await;
    assert_eq!(apply(&undo, back).await.result, CallResult::Applied);
    assert!(matches!(plan(&undo).await, StepPlan::Nothing { .. }));
    assert!(!model.see("db").marks.contains("masked"));
}

#[tokio::test]
async fn a_promised_rewrite_of_a_file_makes_what_is_done_a_change_of_the_same_contract() {
    let model = model(Calm);
    let action = bound(&model, fence());
    let fresh = change(&action).await;
    apply(&action, fresh.clone()).await;
    let rendered = |target: &str| Fact::Rendered { target: target.into(), file: "/etc/env".into() };
    let ahead = plan_given(&action, &[rendered("db")]).await;
    assert!(matches!(ahead, StepPlan::Change(ahead) if fresh.within(&ahead)));
    assert!(matches!(plan_given(&action, &[rendered("other")]).await, StepPlan::Nothing { .. }));
}

#[tokio::test]
async fn an_unreachable_machine_is_unknown_with_its_layer_and_a_rejection_when_called() {
    let model = model(Calm);
    let action = bound(&model, fence());
    let planned = change(&action).await;
    model.cut_off("db", true);
    let seen = plan_given(&action, &[Fact::Rendered { target: "db".into(), file: "/x".into() }]).await;
    assert!(matches!(seen, StepPlan::Unknown(_)) && why(&seen).contains("(tcp)"), "{seen:?}");
    assert_eq!(apply(&action, planned).await.result, CallResult::Rejected { retry: true });
}

#[tokio::test]
async fn a_check_with_another_exit_code_knows_nothing() {
    let model = model(Calm);
    model.command("db", "odd", false, |_| (2, "usage".into()));
    let seen = plan(&bound(&model, json!({ "run": "fence", "check": "odd", "irreversible": true }))).await;
    assert!(matches!(seen, StepPlan::Unknown(_)) && why(&seen).contains("exit 2"), "{seen:?}");
}

#[tokio::test]
async fn a_failed_command_is_rejected_only_when_its_check_says_so() {
    let model = model(Calm);
    model.command("db", "fails", true, |_| (5, "no space".into()));
    model.command("db", "half", true, |machine: &mut Machine| {
        machine.marks.extend(["stopped".to_owned(), "masked".to_owned()]);
        (5, "lost my way".into())
    });
    let with = |run: &str| json!({ "run": run, "check": "fenced", "irreversible": true });
    for (run, result) in [
        ("fails", CallResult::Rejected { retry: false }),
        ("unheard-of", CallResult::Rejected { retry: false }),
        ("half", CallResult::Indeterminate),
    ] {
        let action = bound(&model, with(run));
        let planned = change(&action).await;
        let end = apply(&action, planned).await;
        assert_eq!(end.result, result, "{run}: {end:?}");
        if run == "fails" {
            assert!(end.detail.to_string().contains("no space"));
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_doubt() {
    let model = model(Planted(Fault::LoseReply));
    let action = bound(&model, fence());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Indeterminate);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }), "it had happened");
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let said = |target: &str, with: Value| {
        let port = model(Calm) as Arc<dyn Port>;
        read(&spec("command.run", target, with), &config(CONFIG), port).err().unwrap().join("\n")
    };
    let shell = said("db", json!({ "run": "fence; rm -rf /", "timeout": "soon", "chek": "x" }));
    for part in ["not a plain command", "`check` is missing", "irreversible", "`timeout`", "`chek`"] {
        assert!(shell.contains(part), "{part} is not in\n{shell}");
    }
    let both = said("db", json!({ "run": "a", "check": "b", "undo": "c", "irreversible": true }));
    assert!(both.contains("irreversible"), "{both}");
    let local = said("here", json!({ "run": "fence", "check": "fenced", "irreversible": true }));
    assert!(local.contains("no command \"fenced\"") && !local.contains("\"fence\""), "{local}");
    assert!(said("nobody", fence()).contains("no target of kind host"));
}
