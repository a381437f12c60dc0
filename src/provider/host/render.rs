//! `file.render`: values in a `KEY=value` file on one machine, replaced whole and only if it is still the file that
//! was read. That a service takes the new values up is another step: its check must be able to see it.

use super::env_file;
use super::port::{FileRead, FileWritten, Host, Port};
use crate::config::Config;
use crate::kernel::domain::{
    CallEnd, Change, Digest, Fact, Observation, Reason, Settle, Span, Spec, StepPlan, Time, Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::params::Params;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const LOOK: Span = Span::secs(10);
const CALL: Span = Span::secs(20);

pub struct FileRender {
    spec: Spec,
    host: Host,
    file: String,
    set: BTreeMap<String, String>,
    port: Arc<dyn Port>,
}

pub fn read(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<FileRender, Vec<String>> {
    let mut params = Params::new(spec);
    let host = super::find(spec, config, &mut params);
    let file: Option<String> = params.need("file");
    let given: Option<BTreeMap<String, Value>> = params.need("set");
    if let Some(file) = &file
        && (!super::is_plain(file)
            || !file.starts_with('/')
            || file.contains([' ', '\n'])
            || file.contains("/../"))
    {
        params.problem(format!("`file`: {file:?} is not a plain absolute path"));
    }
    let mut set = BTreeMap::new();
    for (key, value) in given.iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                params.problem(format!("`set.{key}` is not one value"));
                continue;
            }
        };
        for says in [env_file::check_key(key).err(), env_file::check_value(&text).err()].into_iter().flatten()
        {
            params.problem(format!("`set.{key}`: {says}"));
        }
        set.insert(key.clone(), text);
    }
    if given.is_some_and(|given| given.is_empty()) {
        params.problem("`set` is empty: there is nothing to write");
    }
    params.done()?;
    match (host, file) {
        (Some(host), Some(file)) => Ok(FileRender { spec: spec.clone(), host, file, set, port }),
        _ => Err(vec![]),
    }
}

impl FileRender {
    /// State and evidence. The digest of the whole text is evidence: a changed comment is no changed fact.
    fn describe(&self, read: FileRead) -> (Value, Value) {
        let keys: Vec<&str> = self.set.keys().map(String::as_str).collect();
        match read {
            FileRead::Text(text) => {
                let evidence = json!({ "digest": Digest::of(text.as_bytes()), "bytes": text.len() });
                match env_file::values(&text, &keys) {
                    Ok(values) => (json!({ "file": "there", "values": values }), evidence),
                    Err(problems) => (json!({ "file": "unclear", "problems": problems }), evidence),
                }
            }
            FileRead::Missing => (json!({ "file": "missing" }), Value::Null),
            FileRead::Unusable { says } => (json!({ "file": "unusable" }), json!({ "says": says })),
            FileRead::Unreachable { layer, says } => {
                (json!({ "file": "unknown", "layer": layer }), json!({ "says": says }))
            }
        }
    }

    fn change(&self, values: &BTreeMap<String, String>, digest: &Value) -> StepPlan {
        let show = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        let mut change = Change::new(json!(values), json!(self.set));
        change.gives = vec![Fact::Rendered { target: self.host.name.clone(), file: self.file.clone() }];
        change.undo =
            Undo::To(Spec { with: json!({ "file": self.file, "set": values }), ..self.spec.clone() });
        let set = |map: &BTreeMap<String, String>| {
            let each = |(key, value): (&String, &String)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('|', "\\|")
                    .replace('&', "\\&")
                    .replace('\'', "'\\''");
                format!("sed -i 's|^{key}=.*|{key}={value}|' {}   # on {}", self.file, self.host.name)
            };
            map.iter().map(each).collect::<Vec<_>>()
        };
        (change.by_hand, change.undo_by_hand) = (set(&self.set), set(values));
        // The replacement carries the old text's digest: of two on their way only one can take effect.
        change.settle = Settle::AtOnce;
        change.detail = json!({ "old_digest": digest });
        (change.now, change.after) = (show(values), show(&self.set));
        StepPlan::Change(Box::new(change))
    }
}

impl Check for FileRender {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let read = self.port.read_file(&self.host, &self.file, LOOK.min(ctx.left())).await;
            let (state, evidence) = self.describe(read);
            let identity = json!({ "host": self.host.name, "file": self.file });
            Ok(Observation { identity, state, evidence, at: ctx.now() })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let (file, host) = (&self.file, &self.host.name);
        let says = seen.evidence["says"].as_str().unwrap_or("no reason was given");
        match seen.state["file"].as_str() {
            Some("there") => {
                let Ok(values) = BTreeMap::<String, String>::deserialize(&seen.state["values"]) else {
                    return StepPlan::unknown(
                        "PM4210",
                        format!("what was read of {file} on {host} is not clear"),
                    );
                };
                if values == self.set {
                    return StepPlan::nothing(format!("{file} on {host} holds these values"));
                }
                self.change(&values, &seen.evidence["digest"])
            }
            Some("unclear") => {
                let problems = seen.state["problems"].as_array();
                let reason = |p: &Value| {
                    Reason::new(
                        "PM4211",
                        format!("{file} on {host}: {}", p.as_str().unwrap_or("it is unclear")),
                    )
                };
                StepPlan::Refuse(problems.into_iter().flatten().map(reason).collect())
            }
            Some("missing") => {
                let says = format!("{file} does not exist on {host}; it is rewritten, never created");
                StepPlan::refuse("PM4212", says)
            }
            Some("unusable") => {
                StepPlan::refuse("PM4213", format!("{file} on {host} cannot be worked on: {says}"))
            }
            _ => {
                let layer = seen.state["layer"].as_str().unwrap_or("unknown");
                StepPlan::unknown("PM4214", format!("{file} on {host} could not be read ({layer}): {says}"))
            }
        }
    }
}

impl Action for FileRender {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            let change = permit.change();
            let written = Digest::deserialize(&change.detail["old_digest"]);
            let (Ok(old), Ok(set)) = (written, BTreeMap::<String, String>::deserialize(&change.to)) else {
                return CallEnd::rejected(false, "PM4215: the change on record is no rewrite of a file");
            };
            let text = match self.port.read_file(&self.host, &self.file, LOOK.min(ctx.left())).await {
                FileRead::Text(text) if Digest::of(text.as_bytes()) == old => text,
                FileRead::Text(_) | FileRead::Missing => {
                    return moved("its text is not what was read before");
                }
                FileRead::Unusable { says } => return CallEnd::rejected(false, format!("PM4213: {says}")),
                FileRead::Unreachable { layer, says } => {
                    return CallEnd::rejected(true, format!("PM4214: not reached ({layer}): {says}"));
                }
            };
            let new = env_file::rewrite(&text, &set);
            let within = CALL.min(ctx.left());
            match self.port.write_file(&self.host, &self.file, old, &new, within).await {
                FileWritten::Done { window } => {
                    let new = Digest::of(new.as_bytes());
                    CallEnd::applied(json!({ "old_digest": old, "new_digest": new, "window": window }))
                }
                FileWritten::Moved { says } => moved(&says),
                FileWritten::Refused { retry, says } => CallEnd::rejected(retry, format!("PM4217: {says}")),
                FileWritten::Unknown { says } => CallEnd::indeterminate(format!("PM4218: {says}")),
            }
        }
        .boxed()
    }
}

/// Somebody changed the file in between: nothing was written, and a new look may find the change still right.
fn moved(says: &str) -> CallEnd {
    CallEnd::rejected(true, format!("PM4216: somebody changed the file meanwhile, it was left alone: {says}"))
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
