//! Resources at remotes: fields by target, with the state before the last change for stale reads.

use super::{Fault, Hook};
use crate::kernel::domain::{Name, Span};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::resource::{Fields, Port, Resource, Seen, Write};
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

pub struct ResourceModel {
    hook: Arc<dyn Hook>,
    things: Mutex<BTreeMap<Name, Thing>>,
}

impl ResourceModel {
    pub fn new(hook: Arc<dyn Hook>) -> ResourceModel {
        ResourceModel { hook, things: Mutex::default() }
    }

    fn things(&self) -> MutexGuard<'_, BTreeMap<Name, Thing>> {
        self.things.lock().expect("invariant: no panic while holding the lock")
    }

    /// It stands there with these fields; also how somebody changes it by hand.
    pub fn put(&self, name: &str, fields: Fields, evidence: Value) {
        let thing = Thing { before: fields.clone(), now: fields, evidence };
        self.things().insert(name.into(), thing);
    }

    pub fn holds(&self, name: &str) -> Option<Fields> {
        self.things().get(&Name::from(name)).map(|thing| thing.now.clone())
    }
}

impl Port for ResourceModel {
    fn read<'a>(&'a self, resource: &'a Resource, _within: Span) -> BoxFuture<'a, Result<Seen, NoAnswer>> {
        async move {
            let fault = self.hook.before("resource.read", false).await;
            let thing = self.things().get(&resource.name).cloned();
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
            if let Some(thing) = self.things().get_mut(&resource.name) {
                thing.before = std::mem::replace(&mut thing.now, write.after.clone());
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
