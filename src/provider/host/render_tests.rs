//! Every verdict and every end of `file.render`, over modelled machines.

use super::*;
use crate::kernel::domain::CallResult;
use crate::provider::for_tests::{apply, change, config, plan, spec, why};
use crate::simulated::{Calm, Fault, Hook, HostModel};

const CONFIG: &str = "[targets.app]\nkind = \"host\"\nssh = \"app\"\n";
const ENV: &str = "# shop\nDATABASE_HOST=10.1.0.5\nDATABASE_PORT=5432\n";
const PATH: &str = "/etc/shop/env";

struct LostReply;
impl Hook for LostReply {
    fn before<'a>(&'a self, _verb: &'a str, mutates: bool) -> BoxFuture<'a, Fault> {
        async move { if mutates { Fault::LoseReply } else { Fault::None } }.boxed()
    }
    fn after<'a>(&'a self, _verb: &'a str, _mutates: bool) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

fn model(hook: impl Hook + 'static, text: &str) -> Arc<HostModel> {
    let model = HostModel::new(Arc::new(hook));
    model.app("app", PATH, text, "restart", "is-current");
    Arc::new(model)
}

fn bound(model: &Arc<HostModel>, with: Value) -> FileRender {
    read(&spec("file.render", "app", with), &config(CONFIG), Arc::clone(model) as Arc<dyn Port>).ok().unwrap()
}

fn wanted() -> Value {
    json!({ "file": PATH, "set": { "DATABASE_HOST": "10.2.0.5", "DATABASE_PORT": 5433 } })
}

#[tokio::test]
async fn a_rewrite_gives_rendered_is_done_once_and_can_be_taken_back() {
    let model = model(Calm, ENV);
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(planned.from, json!({ "DATABASE_HOST": "10.1.0.5", "DATABASE_PORT": "5432" }));
    assert_eq!(planned.to, json!({ "DATABASE_HOST": "10.2.0.5", "DATABASE_PORT": "5433" }));
    assert_eq!(planned.gives, [Fact::Rendered { target: "app".into(), file: PATH.into() }]);
    let Undo::To(back) = planned.undo.clone() else { panic!() };
    assert_eq!(apply(&action, planned).await.result, CallResult::Applied);
    assert_eq!(model.see("app").files[PATH], "# shop\nDATABASE_HOST=10.2.0.5\nDATABASE_PORT=5433\n");
    assert!(matches!(plan(&action).await, StepPlan::Nothing { gives, .. } if gives.is_empty()));
    let undo = bound(&model, back.with);
    let undone = change(&undo).await;
    apply(&undo, undone).await;
    assert_eq!(model.see("app").files[PATH], ENV);
    assert_eq!(model.effects()[&format!("app {PATH}")], 2);
}

#[tokio::test]
async fn a_file_changed_meanwhile_is_left_alone() {
    let model = model(Calm, ENV);
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    let theirs = format!("{ENV}NEW=1\n");
    model.by_hand("app", PATH, &theirs);
    let end = apply(&action, planned).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true });
    assert!(end.detail.to_string().contains("somebody changed"), "{end:?}");
    assert_eq!(model.see("app").files[PATH], theirs);
}

#[tokio::test]
async fn unclear_missing_and_unreachable_files_each_have_their_word() {
    let twice = model(Calm, "DATABASE_HOST=a\nDATABASE_HOST=b\n");
    let refused = plan(&bound(&twice, wanted())).await;
    assert!(matches!(&refused, StepPlan::Refuse(reasons) if reasons.len() == 2), "{refused:?}");
    assert!(why(&refused).contains("set twice") && why(&refused).contains("DATABASE_PORT is not set"));
    let mut other = wanted();
    other["file"] = json!("/etc/shop/other");
    let missing = plan(&bound(&twice, other)).await;
    assert!(matches!(missing, StepPlan::Refuse(_)) && why(&missing).contains("does not exist"));
    let model = model(Calm, ENV);
    let planned = change(&bound(&model, wanted())).await;
    model.cut_off("app", true);
    let silent = plan(&bound(&model, wanted())).await;
    assert!(matches!(silent, StepPlan::Unknown(_)) && why(&silent).contains("(tcp)"));
    assert_eq!(apply(&bound(&model, wanted()), planned).await.result, CallResult::Rejected { retry: true });
}

#[tokio::test]
async fn a_lost_reply_is_doubt() {
    let model = model(LostReply, ENV);
    let action = bound(&model, wanted());
    let planned = change(&action).await;
    assert_eq!(apply(&action, planned).await.result, CallResult::Indeterminate);
    assert!(matches!(plan(&action).await, StepPlan::Nothing { .. }));
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let with = json!({ "file": "etc/shop env", "set": { "A-B": "x", "C": "a\nb", "D": ["x"] }, "mode": 1 });
    let port = model(Calm, ENV) as Arc<dyn Port>;
    let said = read(&spec("file.render", "app", with), &config(CONFIG), port).err().unwrap().join("\n");
    for part in [
        "not a plain absolute path",
        "not a variable's name",
        "line break",
        "`set.D` is not one value",
        "`mode`",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}
