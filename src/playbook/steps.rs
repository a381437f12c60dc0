//! Guards, steps and verifications: from the tree to [`Step`].

use super::model::{Args, Step, Way, WayForm};
use super::read::compile;
use super::{actions, fields};
use crate::document::{At, Kind, Node, Sink, Table, code};
use crate::kernel::domain::{ItemRole, Name, OnFailure, Retry};
use crate::kernel::inject::Inject;
use serde_json::Value;

/// Most guards, steps and verifications of each kind.
const MOST: usize = 200;

fn each<'a>(top: &Table<'a>, key: &'static str) -> &'a [Node] {
    let list = top.list(key).unwrap_or_default();
    if list.len() > MOST {
        top.sink.error(code::BAD_VALUE, top.key_at(key), format!("{key:?} has more than {MOST} entries"));
    }
    &list[..list.len().min(MOST)]
}

fn step(name: Name, role: ItemRole, ways: Vec<Way>, at: At) -> Step {
    Step {
        name,
        role,
        ways,
        for_each: None,
        after_names: vec![],
        has_after: false,
        after: vec![],
        optional: false,
        commit_point: false,
        accept_unfenced: None,
        on_failure: OnFailure::Pause,
        on_failure_at: None,
        inject: None,
        retry: Retry::default(),
        timeout: None,
        stage: None,
        at,
    }
}

/// `- name: …` and one check with its parameters under its own name. A step that could not be read stays,
/// without ways, so that what refers to it is not told to be wrong as well.
pub(super) fn guards(top: &Table<'_>) -> Vec<Step> {
    each(top, "guards").iter().filter_map(|node| guard(top.sink, node)).collect()
}

fn guard(sink: &Sink, node: &Node) -> Option<Step> {
    let table = sink.table(node, "a guard")?;
    let name = table.need_name("name");
    let timeout = table.span("timeout");
    // Every key that is not the guard's own names its check.
    let own = ["name", "timeout"];
    let checks: Vec<_> = node
        .entries()
        .iter()
        .filter(|e| !own.contains(&e.key.as_str()) && !e.key.starts_with("x-"))
        .collect();
    let way = match checks.as_slice() {
        [one] => actions::find(sink, &one.key, ItemRole::Guard, &one.key_at)
            .and_then(|info| with(sink, info, &one.value, one.key_at.clone())),
        [] => {
            sink.error_hint(
                code::MISSING,
                table.at.clone(),
                "a guard names one check",
                "for example quorum: { … }",
            );
            None
        }
        [_, second, ..] => {
            sink.error(
                code::BAD_VALUE,
                second.key_at.clone(),
                "a guard names one check; this is a second one",
            );
            None
        }
    };
    let at = table.get("name").map_or(table.at.clone(), |node| node.at.clone());
    let name = name.unwrap_or_else(|| Name::from("?"));
    let mut guard = step(name, ItemRole::Guard, way.into_iter().collect(), at);
    guard.timeout = timeout;
    Some(guard)
}

/// Compiles the parameters and sees that each is known and none is missing.
fn with(sink: &Sink, info: &'static actions::ActionInfo, node: &Node, at: At) -> Option<Way> {
    let table = sink.table(node, format!("{:?}", info.kind))?;
    for key in info.need {
        table.need(key);
    }
    for key in info.may {
        table.get(key);
    }
    table.finish();
    // The user's own keys are not the provider's business.
    let entries: Vec<_> = node.entries().iter().filter(|e| !e.key.starts_with("x-")).cloned().collect();
    let keys = entries.iter().map(|e| (e.key.clone(), (e.key_at.clone(), e.value.at.clone())));
    let args = Args { at: at.clone(), keys: keys.collect() };
    let node = Node { at: node.at.clone(), kind: Kind::Map(entries) };
    Some(Way { form: WayForm::Action { kind: info, with: compile(sink, &node), args }, proves: None, at })
}

pub(super) fn steps(top: &Table<'_>) -> Vec<Step> {
    if top.need("steps").is_some_and(|node| node.json() == Value::Array(vec![])) {
        top.sink.error(code::MISSING, top.key_at("steps"), "a playbook has at least one step");
    }
    each(top, "steps").iter().flat_map(|node| one_step(top.sink, node)).collect()
}

/// One, or the stages of a shift.
fn one_step(sink: &Sink, node: &Node) -> Vec<Step> {
    let Some(table) = sink.table(node, "a step") else { return vec![] };
    let name = table.need_name("name");
    let ways = match table.get("any_of") {
        Some(ladder) => rungs(&table, ladder),
        None => way(&table, ItemRole::Step).into_iter().collect(),
    };
    let at = match table.get("name") {
        Some(node) => node.at.clone(),
        None => table.at.clone(),
    };
    let mut step = step(name.unwrap_or_else(|| Name::from("?")), ItemRole::Step, ways, at);
    step.for_each = fields::for_each(&table);
    step.has_after = table.get("after").is_some();
    step.after_names = table.names("after").unwrap_or_default();
    step.optional = table.boolean("optional").unwrap_or(false);
    step.commit_point = table.boolean("commit_point").unwrap_or(false);
    step.accept_unfenced = fields::accept_unfenced(&table);
    step.retry = fields::retry(&table);
    step.timeout = table.span("timeout");
    table.not_yet("when", "a step that is not always wanted belongs into another playbook");
    table.not_yet("wait", "use a check as a step: it is asked until it holds or its time is up");
    table.not_yet("use", "copy the steps");
    on_failure(&table, &mut step);
    let faults = Inject::ALL.map(Inject::as_str);
    let fault = table.word("inject", &faults).and_then(Inject::parse);
    step.inject = fault.map(|fault| (fault, table.key_at("inject")));
    let shift = super::shift::read(&table);
    table.finish();
    match shift {
        Some(shift) => shift.unroll(sink, step),
        None => vec![step],
    }
}

/// `continue` is what an optional step does anyway; whether `undo` can be is a matter of order, told by `safety`.
fn on_failure(table: &Table<'_>, step: &mut Step) {
    let word = table.word("on_failure", &["pause", "undo", "continue"]);
    let at = table.key_at("on_failure");
    match (word, step.optional) {
        (Some("continue"), false) => table.sink.error_hint(
            code::OPTIONAL,
            at,
            "on_failure: continue is for optional steps: a required one that failed is not left behind",
            "add optional: true, or write on_failure: pause",
        ),
        (Some("pause" | "undo"), true) => {
            let says = "an optional step that fails is given up, and the run goes on";
            table.sink.error_hint(code::OPTIONAL, at, says, "take on_failure or optional away");
        }
        (Some("undo"), false) => {
            step.on_failure = OnFailure::Undo;
            step.on_failure_at = Some(at);
        }
        _ => {}
    }
}

fn rungs(table: &Table<'_>, ladder: &Node) -> Vec<Way> {
    let sink = table.sink;
    for key in ["action", "with", "manual", "proves"] {
        if table.get(key).is_some() {
            let says = format!("{key:?} belongs into the rungs of \"any_of\"");
            sink.error(code::BAD_VALUE, table.key_at(key), says);
        }
    }
    let rungs = sink.list(ladder, "\"any_of\"").unwrap_or_default();
    if rungs.is_empty() || rungs.len() > 8 {
        sink.error(code::BAD_VALUE, table.key_at("any_of"), "\"any_of\" has from 1 to 8 rungs");
    }
    let read = |node: &Node| {
        let rung = sink.table(node, "a rung of \"any_of\"")?;
        let way = way(&rung, ItemRole::Step);
        rung.finish();
        way
    };
    let ways: Vec<Way> = rungs.iter().take(8).filter_map(read).collect();
    // A ladder with a rung missing is another ladder.
    if ways.len() == rungs.len() { ways } else { vec![] }
}

/// `action` and `with`, or `manual`; with `proves` where asked for.
pub(super) fn way(table: &Table<'_>, role: ItemRole) -> Option<Way> {
    let sink = table.sink;
    let (action, args, manual) = (table.get("action"), table.get("with"), table.get("manual"));
    let proves = fields::proves(table);
    match (action, manual) {
        (Some(action), None) => {
            let kind = sink.text(action, "\"action\"")?;
            let info = actions::find(sink, kind, role, &action.at)?;
            let empty = Node { at: action.at.clone(), kind: Kind::Map(vec![]) };
            let at = args.map_or(action.at.clone(), |_| table.key_at("with"));
            let way = with(sink, info, args.unwrap_or(&empty), at)?;
            Some(Way { proves, at: action.at.clone(), ..way })
        }
        (None, Some(manual)) => {
            sink.text(manual, "\"manual\"")?;
            table.not_yet("check", "the person who confirms looks");
            if args.is_some() {
                sink.error(code::BAD_VALUE, table.key_at("with"), "a manual step has no \"with\"");
            }
            Some(Way { form: WayForm::Manual(compile(sink, manual)), proves, at: table.key_at("manual") })
        }
        (Some(_), Some(_)) => {
            sink.error(
                code::BAD_VALUE,
                table.key_at("manual"),
                "a step has \"action\" or \"manual\", not both",
            );
            None
        }
        (None, None) => {
            // Forms that this version does not know are told by their own keys.
            if table.get("wait").is_none() && table.get("use").is_none() {
                let hint = "add action: provider.verb, any_of: […] or manual: text";
                sink.error_hint(code::MISSING, table.at.clone(), "this step does nothing", hint);
            }
            None
        }
    }
}

/// `- action: …` and `with`; the name is made of the action where none is given.
pub(super) fn verifications(top: &Table<'_>) -> Vec<Step> {
    let mut all: Vec<Step> = vec![];
    for node in each(top, "verify") {
        let Some(table) = top.sink.table(node, "a verification") else { continue };
        let way = way(&table, ItemRole::Verify);
        let timeout = table.span("timeout");
        let given = table.name("name");
        table.finish();
        let kind = match &way {
            Some(way) if way.action().is_none() => {
                let says = "a verification looks for itself; it cannot be manual";
                top.sink.error(code::BAD_VALUE, way.at.clone(), says);
                "by hand"
            }
            Some(way) => way.action().map_or("", |(info, ..)| info.kind),
            None => "?",
        };
        let name = given.unwrap_or_else(|| numbered(&all, &format!("verify {kind}")));
        let at = way.as_ref().map_or(node.at.start..node.at.start, |way| way.at.clone());
        let mut verify = step(name, ItemRole::Verify, way.into_iter().collect(), at);
        verify.timeout = timeout;
        all.push(verify);
    }
    all
}

fn numbered(taken: &[Step], name: &str) -> Name {
    let same = taken.iter().filter(|step| step.name.as_str().starts_with(name)).count();
    if same == 0 { Name::from(name) } else { Name::from(format!("{name} {}", same + 1)) }
}
