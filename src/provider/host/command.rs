//! `command.run`: a named command and, always, the check that says whether it is already done. Exit 0 of the check
//! means done, 1 not done; anything else is not known.

use super::port::{Host, Port, Ran};
use crate::config::Config;
use crate::kernel::domain::{
    CallEnd, Change, Fact, Finding, Grade, Observation, Settle, Span, Spec, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::params::Params;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};
use std::sync::Arc;

const CHECK: Span = Span::secs(10);
/// A forced command that does not know the word, a shell that cannot run it or finds none: nothing was done.
const NEVER_RAN: [i32; 3] = [77, 126, 127];

pub struct CommandRun {
    spec: Spec,
    host: Host,
    run: String,
    check: String,
    /// Done when the check says "not done": how an undo is verified by the same check.
    inverted: bool,
    undo: Option<String>,
    timeout: Span,
    port: Arc<dyn Port>,
}

pub fn read(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<CommandRun, Vec<String>> {
    let mut params = Params::new(spec);
    let host = super::find(spec, config, &mut params);
    let run: Option<String> = params.need("run");
    let check: Option<String> = params.need("check");
    let undo: Option<String> = params.maybe("undo");
    let inverted = params.maybe("inverted").unwrap_or(false);
    let irreversible = params.maybe("irreversible").unwrap_or(false);
    let timeout = params.span("timeout").unwrap_or(Span::secs(60));
    if undo.is_some() == irreversible {
        params.problem(
            "say how it is taken back with `undo: COMMAND`, or that it cannot be with `irreversible: true`",
        );
    }
    if timeout == Span::ZERO {
        params.problem("`timeout` is zero");
    }
    for (key, command) in [("run", &run), ("check", &check), ("undo", &undo)] {
        let Some(command) = command else { continue };
        if !super::is_plain(command) {
            params.problem(format!("`{key}`: {command:?} is not a plain command name"));
        }
        let Some(host) = host.as_ref().filter(|host| host.target.local) else { continue };
        if host.target.commands.get(&command.as_str().into()).is_none_or(Vec::is_empty) {
            params.problem(format!("`{key}`: the local host {} has no command {command:?}", host.name));
        }
    }
    params.done()?;
    match (host, run, check) {
        (Some(host), Some(run), Some(check)) => {
            Ok(CommandRun { spec: spec.clone(), host, run, check, inverted, undo, timeout, port })
        }
        _ => Err(vec![]),
    }
}

impl CommandRun {
    async fn look(&self, within: Span) -> (&'static str, Value) {
        match self.port.run(&self.host, &self.check, within).await {
            Ran::Exit { code: code @ (0 | 1), tail } => {
                let done = (code == 0) != self.inverted;
                let evidence = json!({ "exit": code, "stdout": tail.stdout, "stderr": tail.stderr });
                (if done { "done" } else { "not done" }, evidence)
            }
            Ran::Exit { code, tail } => {
                let says = format!("{} answered exit {code}", self.check);
                (
                    "unknown",
                    json!({ "says": says, "exit": code, "stdout": tail.stdout, "stderr": tail.stderr }),
                )
            }
            Ran::NotStarted { layer, says } => ("unknown", json!({ "layer": layer, "says": says })),
            Ran::Unknown { says } => ("unknown", json!({ "says": says })),
        }
    }

    /// Ready to paste.
    fn by_hand(&self, command: &str) -> String {
        match self.host.target.ssh.as_deref() {
            Some(to) => {
                format!("ssh {to} {command}   # exit 0 when done; look with: ssh {to} {}", self.check)
            }
            None => format!("{command}   # on {}; look with: {}", self.host.name, self.check),
        }
    }

    fn change(&self) -> StepPlan {
        let mut change = Change::new(json!({ "check": "not done" }), json!({ "check": "done" }));
        change.now = format!("{} says no", self.check);
        change.after = format!("{} says yes", self.check);
        if self.inverted {
            std::mem::swap(&mut change.now, &mut change.after);
        }
        // A command whose connection was lost may still be at work: only after its own time is up does
        // "not done" mean that it will not be.
        change.settle = Settle::After(self.timeout);
        change.by_hand = vec![self.by_hand(&self.run)];
        change.undo_by_hand = self.undo.iter().map(|undo| self.by_hand(undo)).collect();
        change.undo = match &self.undo {
            Some(undo) => Undo::To(Spec {
                with: json!({
                    "run": undo, "check": self.check, "inverted": !self.inverted, "irreversible": true,
                    "timeout": format!("{}ms", self.timeout.as_millis()),
                }),
                ..self.spec.clone()
            }),
            None => Undo::None,
        };
        StepPlan::Change(Box::new(change))
    }
}

impl Check for CommandRun {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let (check, evidence) = self.look(CHECK.min(ctx.left())).await;
            let mut state = json!({ "check": check });
            if let Some(layer) = evidence.get("layer") {
                state["layer"] = layer.clone();
            }
            let address = self.host.target.ssh.as_deref().unwrap_or("this machine");
            let identity = json!({ "host": self.host.name, "at": address });
            Ok(Observation { identity, state, evidence, at: ctx.now() })
        }
        .boxed()
    }

    /// While an earlier step's rewrite of a file on this machine is only promised, the check still speaks of the old
    /// file: the run will change that, so it is planned as the change it is going to be.
    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        let rewritten = given
            .iter()
            .any(|fact| matches!(fact, Fact::Rendered { target, .. } if *target == self.host.name));
        match seen.state["check"].as_str() {
            Some("done") if !rewritten => StepPlan::nothing(format!("{}: already done", self.check)),
            Some("done" | "not done") => self.change(),
            _ => {
                let says = seen.evidence["says"].as_str().unwrap_or("the check gave no answer");
                let layer = seen.state["layer"].as_str().map(|l| format!(" ({l})")).unwrap_or_default();
                let host = &self.host.name;
                StepPlan::unknown(
                    "PM4201",
                    format!("whether {} is done on {host} is unknown{layer}: {says}", self.run),
                )
            }
        }
    }

    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        std::future::ready(Some(self.rehearsed(seen))).boxed()
    }
}

impl CommandRun {
    /// Its check answered, by the same way in; the command itself is not run to see whether it may be.
    fn rehearsed(&self, seen: &Observation) -> Vec<Finding> {
        let (host, run) = (&self.host.name, &self.run);
        match seen.state["check"].as_str() {
            Some("done" | "not done") => {
                let open = format!("that {run} works on {host} is known only when it is run");
                vec![
                    Finding::ok(format!("{} answers on {host}", self.check)),
                    Finding::of(Grade::Open, "PM5802", open, "a drill shows it"),
                ]
            }
            _ => {
                let says = seen.evidence["says"].as_str().unwrap_or("the check gave no answer");
                let says = format!("{} on {host} does not answer: {says}", self.check);
                vec![Finding::of(Grade::Bad, "PM5803", says, self.by_hand(&self.check))]
            }
        }
    }
}

impl Action for CommandRun {
    fn apply<'a>(&'a self, ctx: &'a Ctx, _permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            match self.port.run(&self.host, &self.run, self.timeout.min(ctx.left())).await {
                Ran::Exit { code: 0, tail } => CallEnd::applied(json!({ "exit": 0, "stdout": tail.stdout })),
                Ran::Exit { code, tail } => {
                    let says = format!("{} ended with exit {code}: {}", self.run, tail.stderr);
                    if NEVER_RAN.contains(&code) {
                        return CallEnd::rejected(false, format!("PM4202: {says}"));
                    }
                    // A failed command may have done half of its work; only its check can say that it did none.
                    match self.look(CHECK.min(ctx.left())).await.0 {
                        "not done" => CallEnd::rejected(false, format!("PM4203: {says}")),
                        check => CallEnd::indeterminate(format!("PM4204: {says}; {}: {check}", self.check)),
                    }
                }
                Ran::NotStarted { layer, says } => {
                    let retry = layer != "configuration";
                    CallEnd::rejected(
                        retry,
                        format!("PM4205: {} was not started ({layer}): {says}", self.run),
                    )
                }
                Ran::Unknown { says } => CallEnd::indeterminate(format!("PM4206: {}: {says}", self.run)),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
