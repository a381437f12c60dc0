//! One scene (from, to, alert) → items: every `${…}` replaced, `for_each` unrolled. Shared by `check`,
//! which tries each pair of sites that may come, and by `resolve`, which has the one that came.

use super::actions::{FENCES, PROBES};
use super::model::{Playbook, Step, Way, WayForm};
use super::{AlertView, inject, live, order};
use crate::config::Config;
use crate::document::{At, Sink, code};
use crate::expr::{Template, TemplateError, Vars};
use crate::kernel::domain::{
    Fact, Form, Item, ItemId, ItemRole, Limits, Name, Rung, Span, Spec, UnfencedRule,
};
use crate::units;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most items of one run.
const MOST: usize = 500;

/// Where a run goes from and to, and why.
pub(super) struct Scene<'a> {
    pub from: &'a Name,
    pub to: &'a Name,
    pub alert: &'a AlertView,
    /// The alert only stands in for one that may come: what it does not know is not a mistake.
    pub sample: bool,
}

/// An item with the step it comes from.
pub(super) struct Expanded {
    pub step: usize,
    pub item: Item,
}

/// The variables that triggers, `from` and `to` see.
pub(super) fn outer_vars(playbook: &Playbook, config: &Config, alert: &AlertView) -> Vars {
    Vars::new(Arc::new(config.public_targets()))
        .with("alert", alert.json())
        .with("service", json!(playbook.service))
}

fn vars(playbook: &Playbook, config: &Config, scene: &Scene<'_>) -> Vars {
    let site = |name: &Name| playbook.sites.get(name).cloned().map_or(Value::Null, Value::Object);
    outer_vars(playbook, config, scene.alert).with("from", site(scene.from)).with("to", site(scene.to))
}

pub(super) fn expand(sink: &Sink, playbook: &Playbook, config: &Config, scene: &Scene<'_>) -> Vec<Expanded> {
    let vars = vars(playbook, config, scene);
    let mut items: Vec<Expanded> = vec![];
    // Items that each step became.
    let mut became: BTreeMap<usize, Vec<ItemId>> = BTreeMap::new();
    // The last change of each shift.
    let mut stages: BTreeMap<Name, ItemId> = BTreeMap::new();
    for index in order::sorted(playbook) {
        let step = &playbook.steps[index];
        let after: Vec<ItemId> =
            step.after.iter().flat_map(|before| became.get(before).cloned().unwrap_or_default()).collect();
        for (suffix, vars) in instances(sink, step, &staged(step, &vars), scene.sample) {
            let Some(mut item) = item(sink, step, &suffix, &vars, scene.sample) else { continue };
            item.after = after.clone();
            if items.len() >= MOST {
                let says = format!("the playbook becomes more than {MOST} guards, steps and verifications");
                sink.error(code::BAD_VALUE, step.at.clone(), says);
                return vec![];
            }
            if items.iter().any(|other| other.item.name == item.name) {
                let says = format!("there are two of the name {:?} once \"for_each\" is unrolled", item.name);
                sink.error(code::DUPLICATE_NAME, step.at.clone(), says);
            }
            let id = ItemId::try_from(items.len()).unwrap_or(ItemId::MAX);
            became.entry(index).or_default().push(id);
            if let Some(stage) = step.stage.as_ref().filter(|stage| stage.acts) {
                item.continues = stages.insert(stage.of.clone(), id);
                // From what the one before it leaves; that is not there yet.
                item.planned_ahead &= item.continues.is_none();
            }
            items.push(Expanded { step: index, item });
        }
    }
    inject::fill(playbook, scene, &mut items);
    live::prove(config, &mut items);
    items
}

/// With the share of its stage.
fn staged(step: &Step, vars: &Vars) -> Vars {
    match &step.stage {
        Some(stage) => vars.clone().with("share", json!(stage.share)).with("rest", json!(100 - stage.share)),
        None => vars.clone(),
    }
}

/// One instance with no suffix, or one for each value of the list.
fn instances(sink: &Sink, step: &Step, vars: &Vars, sample: bool) -> Vec<(String, Vars)> {
    let Some((variable, list, at)) = &step.for_each else { return vec![(String::new(), vars.clone())] };
    let list = match list.eval(vars) {
        Ok(Value::Array(list)) if !list.is_empty() => list,
        Ok(Value::Array(_)) => {
            let says =
                format!("the list of step {:?} is empty: it would do nothing and look green", step.name);
            sink.error(code::EVALUATION, at.clone(), says);
            return vec![];
        }
        Ok(_) => {
            sink.error(code::EVALUATION, at.clone(), "\"for_each\" needs a list");
            return vec![];
        }
        Err(error) => {
            failed(sink, &error, sample);
            return vec![];
        }
    };
    let mut instances: Vec<(String, Vars)> = vec![];
    for value in list {
        let says = match &value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                sink.error(
                    code::EVALUATION,
                    at.clone(),
                    "the list of \"for_each\" holds names or numbers only",
                );
                return vec![];
            }
        };
        let suffix = format!(" [{says}]");
        if instances.iter().any(|(other, _)| *other == suffix) {
            sink.error(
                code::EVALUATION,
                at.clone(),
                format!("{says:?} is in the list of \"for_each\" twice"),
            );
            return vec![];
        }
        instances.push((suffix, vars.clone().with(variable.clone(), value)));
    }
    instances
}

fn failed(sink: &Sink, error: &TemplateError, sample: bool) {
    let says = format!("${{{}}}: {}", error.source, error.error);
    if sample && error.needs_alert {
        let says = format!("${{{}}} can only be checked when an alert comes", error.source);
        sink.warn(code::EVALUATION, error.at.clone(), says, "a run with an alert that lacks it is refused");
    } else {
        sink.error(code::EVALUATION, error.at.clone(), says);
    }
}

fn item(sink: &Sink, step: &Step, suffix: &str, vars: &Vars, sample: bool) -> Option<Item> {
    let rungs: Option<Vec<Rung>> = step.ways.iter().map(|way| rung(sink, step, way, vars, sample)).collect();
    let rungs = rungs.filter(|rungs| !rungs.is_empty())?;
    let acts = rungs.iter().any(|rung| matches!(rung.form, Form::Act(_)));
    let probe = rungs.iter().any(|rung| rung.form.spec().is_some_and(|s| PROBES.contains(&s.kind.as_str())));
    let planned_ahead = match step.role {
        ItemRole::Guard => true,
        ItemRole::Step => acts && !probe,
        ItemRole::Verify => false,
    };
    let accept_unfenced = step.accept_unfenced.and_then(|role| {
        let target = fenced_by(&rungs)?;
        Some(UnfencedRule { target, role })
    });
    Some(Item {
        name: Name::from(format!("{}{suffix}", step.name)),
        role: step.role,
        after: vec![],
        optional: step.optional,
        commit_point: step.commit_point,
        planned_ahead,
        accept_unfenced,
        continues: None,
        on_failure: step.on_failure,
        retry: step.retry,
        timeout: timeout(step, &rungs),
        rungs,
    })
}

/// The target that a step fences, whichever way.
pub(super) fn fenced_by(rungs: &[Rung]) -> Option<Name> {
    rungs.iter().find_map(|rung| {
        let proven = rung.proves.iter().find_map(|fact| match fact {
            Fact::Fenced { target, .. } => Some(target.clone()),
            _ => None,
        });
        let spec = rung.form.spec().filter(|spec| FENCES.contains(&spec.kind.as_str()));
        proven.or_else(|| spec.map(|spec| spec.target.clone()))
    })
}

fn rung(sink: &Sink, step: &Step, way: &Way, vars: &Vars, sample: bool) -> Option<Rung> {
    let eval = |template: &Template| template.eval(vars).map_err(|error| failed(sink, &error, sample)).ok();
    let form = match &way.form {
        WayForm::Manual(text) => match eval(text)? {
            Value::String(text) => Form::Manual { text },
            other => {
                sink.error(
                    code::EVALUATION,
                    way.at.clone(),
                    format!("\"manual\" must be text, but it gives {other}"),
                );
                return None;
            }
        },
        WayForm::Action { kind, with, args } => {
            let with = eval(with)?;
            let target = match kind.targets {
                [] => thing(kind.kind, &with, step),
                _ => Name::from(text_of(sink, &with, "target", &args.value_at("target"))?),
            };
            let mut spec = Spec { kind: Name::from(kind.kind), target, with };
            if let Some((fault, _)) = step.inject.as_ref().filter(|_| kind.acts) {
                fault.write(&mut spec);
            }
            if kind.acts { Form::Act(spec) } else { Form::Check(spec) }
        }
    };
    let proves = match &way.proves {
        None => vec![],
        Some(proves) => {
            let target = eval(&proves.fenced)?;
            let Some(target) = target.as_str() else {
                sink.error(code::EVALUATION, proves.at.clone(), "\"fenced\" must be the name of a target");
                return None;
            };
            vec![Fact::Fenced { target: Name::from(target), rung: proves.rung, position: None }]
        }
    };
    Some(Rung { form, proves })
}

fn text_of(sink: &Sink, with: &Value, key: &str, at: &At) -> Option<String> {
    let text = with.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text.is_none() && with.get(key).is_some() {
        sink.error(code::EVALUATION, at.clone(), format!("{key:?} must be the name of a target"));
    }
    text.map(str::to_owned)
}

/// What a check without a target is about.
fn thing(kind: &str, with: &Value, step: &Step) -> Name {
    let url = with.get("url").and_then(Value::as_str).filter(|_| kind == "http.expect");
    url.map_or_else(|| step.name.clone(), Name::from)
}

/// The step's own, else the longest its ways ask for, else the action's default.
fn timeout(step: &Step, rungs: &[Rung]) -> Span {
    let of = |rung: &Rung| -> Option<Span> {
        let spec = rung.form.spec()?;
        let key = match spec.kind.as_str() {
            "http.expect" => "within",
            "command.run" => "timeout",
            _ => return None,
        };
        units::parse_span(spec.with.get(key)?.as_str()?).ok()
    };
    let each = rungs.iter().zip(&step.ways).filter_map(|(rung, way)| {
        let (info, ..) = way.action()?;
        Some(of(rung).unwrap_or(info.timeout))
    });
    // A step that only a person can do has the time of the run.
    step.timeout.or_else(|| each.max()).unwrap_or(Limits::default().deadline)
}
