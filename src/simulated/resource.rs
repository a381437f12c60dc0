//! Resources at remotes: fields by target and part, with the state before the last change for stale reads.

use super::{Fault, Hook};
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::{Rights, Written};
use crate::provider::resource::{Fields, Part, Port, Resource, Seen, Write};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Default)]
struct Thing {
    now: Fields,
    before: Fields,
    evidence: Value,
}

#[derive(Default)]
struct Things {
    all: BTreeMap<String, Thing>,
    /// How often something came to be so by a write.
    written: BTreeMap<String, u32>,
}

pub struct ResourceModel {
    hook: Arc<dyn Hook>,
    things: Mutex<Things>,
}

/// What is apart of what at one target; what is only asked for is no part of it.
pub fn key(resource: &Resource) -> String {
    let name = &resource.name;
    match &resource.part {
        Part::Whole => name.to_string(),
        Part::Server { backend, server, .. } => format!("{name} {backend}/{server}"),
        Part::Order { .. } => format!("{name} order"),
        Part::Pool { id, .. } => format!("{name} {id}"),
    }
}

impl ResourceModel {
    pub fn new(hook: Arc<dyn Hook>) -> ResourceModel {
        ResourceModel { hook, things: Mutex::default() }
    }

    fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().expect("invariant: no panic while holding the lock")
    }

    /// It stands there with these fields; also how somebody changes it by hand.
    pub fn put(&self, key: &str, fields: Fields, evidence: Value) {
        let thing = Thing { before: fields.clone(), now: fields, evidence };
        self.things().all.insert(key.into(), thing);
    }

    pub fn holds(&self, key: &str) -> Option<Fields> {
        self.things().all.get(key).map(|thing| thing.now.clone())
    }

    pub fn all(&self) -> BTreeMap<String, Fields> {
        self.things().all.iter().map(|(key, thing)| (key.clone(), thing.now.clone())).collect()
    }

    /// `KEY set: FIELDS` → how often a write did that.
    pub fn effects(&self) -> BTreeMap<String, u32> {
        self.things().written.clone()
    }
}

impl Things {
    /// The part, else the whole of its target.
    fn of(&mut self, resource: &Resource) -> Option<(String, &mut Thing)> {
        let key = Some(key(resource)).filter(|key| self.all.contains_key(key));
        let key = key.unwrap_or_else(|| resource.name.to_string());
        self.all.get_mut(&key).map(|thing| (key, thing))
    }
}

impl Port for ResourceModel {
    fn read<'a>(&'a self, resource: &'a Resource, _within: Span) -> BoxFuture<'a, Result<Seen, NoAnswer>> {
        async move {
            let fault = self.hook.before("resource.read", false).await;
            let thing = self.things().of(resource).map(|(_, thing)| thing.clone());
            let seen = match (fault, thing) {
                (Fault::Reject | Fault::LoseReply, _) => {
                    Err(NoAnswer { layer: "connection", says: "no answer, as planted".into() })
                }
                (_, None) => Err(NoAnswer { layer: "api", says: "there is no such thing".into() }),
                (fault, Some(thing)) => {
                    let fields = if fault == Fault::Stale { thing.before } else { thing.now };
                    Ok(Seen { fields, pending: None, evidence: thing.evidence, handle: Value::Null })
                }
            };
            self.hook.after("resource.read", false).await;
            seen
        }
        .boxed()
    }

    fn rights<'a>(&'a self, resource: &'a Resource, _now: Time, _within: Span) -> BoxFuture<'a, Vec<Rights>> {
        async move {
            let fault = self.hook.before("resource.rights", false).await;
            self.hook.after("resource.rights", false).await;
            vec![match fault {
                Fault::None | Fault::Stale => Rights::May(format!("{} may be changed", resource.name)),
                Fault::Reject | Fault::LoseReply => Rights::Untold("no answer, as planted".into()),
            }]
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        resource: &'a Resource,
        write: Write<'a>,
        _within: Span,
    ) -> BoxFuture<'a, Written> {
        async move {
            let fault = self.hook.before("resource.write", true).await;
            if fault == Fault::Reject {
                return Written::Refused { says: "refused, as planted".into() };
            }
            {
                let mut things = self.things();
                let written = things.of(resource).map(|(key, thing)| {
                    thing.before = std::mem::replace(&mut thing.now, write.after.clone());
                    format!("{key} set: {}", json!(write.after))
                });
                if let Some(written) = written {
                    *things.written.entry(written).or_default() += 1;
                }
            }
            self.hook.after("resource.write", true).await;
            match fault {
                Fault::LoseReply => Written::Doubt("the reply was lost".into()),
                _ => Written::Done(json!({})),
            }
        }
        .boxed()
    }
}
