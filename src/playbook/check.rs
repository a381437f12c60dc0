//! All rules in their order. What is about names and order is told always; what is about a missing part
//! only when every part could be read, so that one slip is not told three times.

use super::expand::{Expanded, Scene, expand};
use super::matching::stand_in;
use super::model::{Args, Playbook};
use super::{Problem, approval, live, order, quorum, read, safety, sites, times};
use crate::config::Config;
use crate::document::{At, Sink, code, has_errors};
use crate::expr::Expr;
use crate::kernel::domain::{Fact, Name, Spec};
use crate::kernel::port::Registry;

/// The checked form if there is no error, and every problem: warnings do not hinder.
pub fn check(
    text: &str,
    file: &str,
    config: &Config,
    registry: &dyn Registry,
) -> (Option<Playbook>, Vec<Problem>) {
    let sink = Sink::new(file, text);
    let playbook = read::draft(&sink).map(|mut playbook| {
        let before = sink.count();
        order::link(&sink, &mut playbook);
        let ordered = sink.count() == before;
        rules(&sink, &playbook, config, registry, ordered);
        playbook
    });
    let problems = sink.finish();
    (playbook.filter(|_| !has_errors(&problems)), problems)
}

/// `ordered`: what waits for what is as somebody meant it; else whatever follows from the order is not told as well.
fn rules(sink: &Sink, playbook: &Playbook, config: &Config, registry: &dyn Registry, ordered: bool) {
    variables(sink, playbook);
    sites::mode(sink, playbook, config);
    times::check(sink, playbook);
    approval::check(sink, playbook, config);
    let whole = ordered && playbook.steps.iter().all(|step| !step.ways.is_empty());
    if whole {
        safety::outline(sink, playbook);
    }
    let alert = stand_in(playbook);
    let pairs = sites::pairs(sink, playbook, config);
    if pairs.is_empty() && !sink.has_errors() {
        let says = "no run of this playbook could ever begin: there is no site to move from";
        sink.error(code::SITES, playbook.places.from.clone(), says);
    }
    for (from, to) in pairs {
        let scene = Scene { from: &from, to: &to, alert: &alert, sample: true };
        let items = expand(sink, playbook, config, &scene);
        for item in &items {
            names(sink, playbook, config, item, registry);
        }
        quorum::check(sink, playbook, config, &items);
        // Each step became something: nothing is missing because it could not be evaluated.
        if whole && (0..playbook.steps.len()).all(|step| items.iter().any(|item| item.step == step)) {
            safety::check(sink, playbook, config, &scene, &items);
            live::check(sink, playbook, &items);
        }
    }
}

/// Every variable of every expression must be one that exists where it stands.
fn variables(sink: &Sink, playbook: &Playbook) {
    let known = |expr: &Expr, at: &At, known: &[&str]| {
        for name in expr.free().iter().filter(|name| !known.contains(&name.as_str())) {
            let says = format!("there is no variable {name:?} here");
            sink.unknown(code::UNKNOWN_VARIABLE, at.clone(), says, name, known.iter().copied());
        }
    };
    const OUTER: [&str; 2] = ["alert", "service"];
    for trigger in &playbook.triggers {
        trigger.when.iter().for_each(|when| known(when, &trigger.at, &OUTER));
    }
    for template in [&playbook.from, &playbook.to] {
        template.exprs().into_iter().for_each(|(expr, at)| known(expr, at, &OUTER));
    }
    for step in &playbook.steps {
        let mut inner = vec!["from", "to", "alert", "service"];
        if let Some((variable, list, _)) = &step.for_each {
            list.exprs().into_iter().for_each(|(expr, at)| known(expr, at, &inner));
            inner.push(variable);
        }
        if step.stage.as_ref().is_some_and(|stage| stage.acts) {
            inner.extend(["share", "rest"]);
        }
        for way in &step.ways {
            let with = match &way.form {
                super::model::WayForm::Action { with, .. } => with,
                super::model::WayForm::Manual(text) => text,
            };
            let proves = way.proves.iter().flat_map(|proves| proves.fenced.exprs());
            with.exprs().into_iter().chain(proves).for_each(|(expr, at)| known(expr, at, &inner));
        }
    }
}

/// Targets exist and fit, and the provider accepts the parameters.
fn names(sink: &Sink, playbook: &Playbook, config: &Config, item: &Expanded, registry: &dyn Registry) {
    for (rung, way) in item.item.rungs.iter().zip(&playbook.steps[item.step].ways) {
        for fact in &rung.proves {
            if let (Fact::Fenced { target: fenced, .. }, Some(proves)) = (fact, &way.proves) {
                target(sink, config, fenced, &["postgres", "redis"], proves.at.clone());
            }
        }
        let Some((spec, (info, _, args))) = rung.form.spec().zip(way.action()) else { continue };
        let mut fits = info.targets.is_empty()
            || target(sink, config, &spec.target, info.targets, args.value_at("target"));
        // Sentinels are told; what they move are servers.
        let servers = if info.targets == ["sentinel"] { &["redis"] } else { info.targets };
        for key in ["old", "new"] {
            if let Some(server) = spec.with.get(key).and_then(|server| server.as_str()) {
                fits &= target(sink, config, &Name::from(server), servers, args.value_at(key));
            }
        }
        if !fits {
            continue;
        }
        if let Err(complaints) = registry.bind(&spec.without_fault()) {
            // Refused without a word is refused all the same.
            if complaints.is_empty() {
                sink.error(code::PARAMETERS, args.at.clone(), format!("{}: refused", spec.kind));
            }
            for says in complaints {
                let at = mentioned(args, &says);
                sink.error(code::PARAMETERS, at, format!("{}: {says}", spec.kind));
            }
        }
        parameters(sink, args, spec);
    }
}

/// The parameter that a provider's message speaks of, else all of them.
fn mentioned(args: &Args, says: &str) -> At {
    let quoted = |key: &str| ['`', '"', '\''].iter().any(|q| says.contains(&format!("{q}{key}{q}")));
    args.keys.iter().find(|(key, _)| quoted(key)).map_or(args.at.clone(), |(_, (key, _))| key.clone())
}

/// What must be said of a command, whoever carries it out.
fn parameters(sink: &Sink, args: &Args, spec: &Spec) {
    if spec.kind.as_str() != "command.run" {
        return;
    }
    let irreversible = spec.with.get("irreversible").and_then(|v| v.as_bool()).unwrap_or(false);
    if irreversible == spec.with.get("undo").is_some() {
        let says = "a command has either \"undo\" or irreversible: true";
        sink.error(code::PARAMETERS, args.at.clone(), says);
    }
}

/// Whether the name is that of a target of one of these kinds.
fn target(sink: &Sink, config: &Config, name: &Name, kinds: &[&str], at: At) -> bool {
    match config.targets.get(name) {
        Some(target) if kinds.contains(&target.kind.as_str()) => true,
        Some(target) => {
            let kind = target.kind.as_str();
            let says =
                format!("{name:?} is a target of kind {kind}, but {} is needed here", kinds.join(" or "));
            sink.error(code::WRONG_KIND, at, says);
            false
        }
        None => {
            let fits = config.targets.iter().filter(|(_, target)| kinds.contains(&target.kind.as_str()));
            let known: Vec<&str> = fits.map(|(name, _)| name.as_str()).collect();
            let says = format!("there is no target {name:?} in the configuration");
            sink.unknown(code::UNKNOWN_NAME, at, says, name.as_str(), known);
            false
        }
    }
}
