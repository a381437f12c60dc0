//! `route53.record`, `cloudflare.record`, `powerdns.record`, `digitalocean.record`, `ovh.record`: one action; the
//! providers differ in their wire and in [`Nature`](super::nature::Nature). Seen at the API and at every authoritative
//! server that is named.

use super::cached;
use super::end::{Codes, Limited};
use super::nature;
use super::params::With;
use super::plan;
use super::port::{Look, Port, Seen, Write};
use super::set::{Held, Key};
use crate::kernel::domain::{CallEnd, Fact, Name, Observation, Span, StepPlan, Time};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::dns::{self, Asked, NoAnswer, Question, RrSet};
use futures_util::future::{BoxFuture, FutureExt as _, join, join_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

const ASK: Span = Span::secs(10);
const CALL: Span = Span::secs(20);
const CODES: Codes = Codes { refused: "PM4116", not_sent: "PM4117", doubt: "PM4118", limited: "PM4119" };

pub struct HostedRecord {
    pub kind: Name,
    pub target: Name,
    pub with: With,
    pub port: Arc<dyn Port>,
    pub dns: Arc<dyn dns::Port>,
}

/// What the API and the servers hold of the wanted names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// `None`: the API gave no usable answer.
    pub holds: Option<Vec<Held>>,
    /// Where the API failed, when it did.
    pub silent: Option<String>,
    /// Taken by the provider, and not yet published.
    pub pending: bool,
    pub servers: Vec<Served>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Served {
    pub server: SocketAddr,
    /// `None`: it gave no usable answer.
    pub holds: Option<Vec<RrSet>>,
    pub silent: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Evidence {
    pub says: BTreeMap<String, String>,
    pub serials: BTreeMap<SocketAddr, u32>,
    /// The provider's id of what it has not published yet.
    pub pending: Option<String>,
    pub others: Option<Vec<RrSet>>,
    pub others_unknown: Option<String>,
    /// Records in the zone.
    pub count: Option<u64>,
    /// How long resolvers remember that a name does not exist, as the servers say.
    #[serde(default)]
    pub negative_ttl: Option<u32>,
    /// What resolvers gave, once the API held what is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<Asked>,
    /// The longest that a resolver may rightly go on giving the old answer, in seconds.
    pub old_answers_last: Option<u32>,
}

/// In the order of `keys`; what is not there is absent.
pub(super) fn pick(keys: impl IntoIterator<Item = Key>, sets: &[Held]) -> Vec<Held> {
    let one =
        |key: Key| sets.iter().find(|set| set.key() == key).cloned().unwrap_or_else(|| Held::absent(&key));
    keys.into_iter().map(one).collect()
}

impl HostedRecord {
    fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.with.wanted.iter().map(|set| &set.name).collect();
        names.into_iter().cloned().collect()
    }

    fn questions(&self) -> Vec<Question> {
        let all: BTreeSet<Question> = self.with.wanted.iter().map(Held::question).collect();
        all.into_iter().collect()
    }

    async fn ask_servers(&self, within: Span) -> Vec<(SocketAddr, Result<dns::Answers, NoAnswer>)> {
        let zone = &self.with.zone;
        let questions = self.questions();
        let asked = zone.servers.iter().map(|server| {
            let questions = &questions;
            async move { (*server, self.dns.ask(&zone.zone, *server, questions, within).await) }
        });
        join_all(asked).await
    }

    /// Asked only once the API holds what is wanted: before, nothing that they give matters.
    async fn resolvers(&self, ctx: &Ctx, state: &State) -> Vec<Asked> {
        let holds = state.holds.as_deref().unwrap_or_default();
        let wanted = plan::kept(&self.with.wanted, holds);
        if state.pending || pick(wanted.iter().map(Held::key), holds) != wanted {
            return vec![];
        }
        let (sets, _) = cached::comparable(&wanted);
        let questions: Vec<Question> = sets.iter().map(RrSet::question).collect();
        dns::ask_resolvers(self.dns.as_ref(), &self.with.zone.resolvers, &questions, ctx).await
    }

    /// Looks again right before writing, where the remote does not compare by itself.
    async fn again(&self, ctx: &Ctx, before: &[Held]) -> Result<Value, CallEnd> {
        let names = self.names();
        let look = Look { names: &names, stale: &[], count: false };
        let seen = match self.port.read(&self.with.zone, look, ASK.min(ctx.left())).await {
            Ok(seen) => seen,
            Err(no) => {
                let says = format!(
                    "PM4117: nothing was sent: the look right before failed ({}: {})",
                    no.layer, no.says
                );
                return Err(CallEnd::rejected(true, says));
            }
        };
        let now = pick(before.iter().map(Held::key), &seen.sets);
        if now == before {
            return Ok(seen.handle);
        }
        let says = format!(
            "PM4116: somebody changed the records since they were read: now {}; nothing was written",
            super::set::show(&now)
        );
        Err(CallEnd::rejected(false, says))
    }

    /// One conditional write. `Err`: the provider asks to wait.
    async fn write(&self, ctx: &Ctx, before: &[Held], after: &[Held]) -> Result<CallEnd, Limited> {
        let nature = nature::of(&self.with.zone);
        let looked = ctx.now();
        let handle = if nature.compares {
            Value::Null
        } else {
            match self.again(ctx, before).await {
                Ok(handle) => handle,
                Err(end) => return Ok(end),
            }
        };
        let write = Write { before, after, handle: &handle };
        let written = self.port.write(&self.with.zone, write, CALL.min(ctx.left())).await;
        CODES.end(written, (!nature.compares).then(|| ctx.now().since(looked)))
    }
}

impl Check for HostedRecord {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let within = ASK.min(ctx.left());
            let names = self.names();
            let look =
                Look { names: &names, stale: &self.with.stale_values, count: self.with.max_share.is_some() };
            let (seen, answers) =
                join(self.port.read(&self.with.zone, look, within), self.ask_servers(within)).await;
            let (mut state, mut evidence) = (State::default(), Evidence::default());
            self.note(seen, &mut state, &mut evidence);
            for (server, got) in answers {
                state.servers.push(serve(server, got, &mut evidence));
            }
            evidence.resolvers = self.resolvers(ctx, &state).await;
            Ok(Observation {
                identity: json!({ "zone": self.with.zone.zone, "provider": self.with.zone.account.kind(),
                                  "api": self.with.zone.api }),
                state: json!(state),
                evidence: json!(evidence),
                at: ctx.now(),
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let unread = |what: &str, e: serde_json::Error| {
            StepPlan::unknown("PM4100", format!("the {what} of DNS cannot be read: {e}"))
        };
        let state = match State::deserialize(&seen.state) {
            Ok(state) => state,
            Err(e) => return unread("state", e),
        };
        match Evidence::deserialize(&seen.evidence) {
            Ok(evidence) => {
                let place = plan::Place {
                    kind: &self.kind,
                    target: &self.target,
                    by_hand: &|sets| super::by_hand::lines(&self.with.zone, sets),
                };
                plan::plan(&self.with, &place, &state, &evidence)
            }
            Err(e) => unread("evidence", e),
        }
    }
}

impl HostedRecord {
    fn note(&self, seen: Result<Seen, NoAnswer>, state: &mut State, evidence: &mut Evidence) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(no) => {
                state.silent = Some(no.layer.to_owned());
                evidence.says.insert("api".into(), no.says);
                return;
            }
        };
        let questions = self.questions();
        let old = seen.sets.iter().filter(|set| questions.contains(&set.question()));
        evidence.old_answers_last = old.filter_map(|set| set.ttl).max();
        (state.pending, evidence.pending) = (seen.pending.is_some(), seen.pending);
        evidence.count = seen.count;
        match seen.others {
            Ok(others) => {
                let ours = |set: &RrSet| questions.contains(&set.question());
                evidence.others = Some(others.into_iter().filter(|set| !ours(set)).collect());
            }
            Err(why) => evidence.others_unknown = Some(why),
        }
        let mut sets = seen.sets;
        sets.sort();
        state.holds = Some(sets);
    }
}

fn serve(server: SocketAddr, got: Result<dns::Answers, NoAnswer>, evidence: &mut Evidence) -> Served {
    match got {
        Ok(answers) => {
            evidence.serials.insert(server, answers.serial);
            evidence.negative_ttl = evidence.negative_ttl.max(Some(answers.negative_ttl));
            Served { server, holds: Some(answers.sets), silent: None }
        }
        Err(no) => {
            evidence.says.insert(server.to_string(), no.says);
            Served { server, holds: None, silent: Some(no.layer.to_owned()) }
        }
    }
}

impl Action for HostedRecord {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            let change = permit.change();
            let sets = |value: &Value| Vec::<Held>::deserialize(value);
            let (before, after) = match (sets(&change.from), sets(&change.to)) {
                (Ok(before), Ok(after))
                    if !after.is_empty()
                        && after.iter().all(Held::exists)
                        && before.iter().map(Held::key).eq(after.iter().map(Held::key)) =>
                {
                    (before, after)
                }
                _ => return CallEnd::rejected(false, "PM4104: the change on record is no set of records"),
            };
            CODES.patiently(ctx, CALL, || self.write(ctx, &before, &after)).await
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
