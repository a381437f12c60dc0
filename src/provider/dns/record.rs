//! `dns.record`: several names and types of one zone, swapped in one conditional update and verified at every
//! authoritative server. DNS is never the fence: resolvers keep old answers for as long as they like.

mod rehearse;

use super::caches::{self, Asked, Caches};
use super::claim;
use super::port::{Answers, NoAnswer, Port, Update, Updated};
use super::rrset::{Question, RrSet, RrType, show};
use super::silent::{Silent, judge as judge_silent};
use crate::config::Rfc2136Target;
use crate::kernel::domain::{
    CallEnd, Change, Effect, Epoch, Fact, Finding, Name, Observation, Settle, Span, Spec, StepPlan, Time,
    Undo,
};
use crate::kernel::journal::Permit;
use crate::kernel::port::{Action, Check, Ctx, ProviderError};
use crate::provider::owner::{Claim, Owner};
use futures_util::future::{BoxFuture, FutureExt as _, join, join_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const ASK: Span = Span::secs(5);
const CALL: Span = Span::secs(10);

pub struct DnsRecord {
    pub target: Name,
    /// Its name in normal form.
    pub zone: Rfc2136Target,
    /// Sorted.
    pub wanted: Vec<RrSet>,
    /// Addresses of the old site; other names that still hold one are a warning.
    pub stale_values: Vec<String>,
    /// The site that the run leads away from; servers may be lost with it.
    pub from_site: Option<Name>,
    pub wait_ttl: bool,
    pub port: Arc<dyn Port>,
    pub owner: Owner,
}

/// What the servers hold of the wanted names. Serials and words are evidence.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    servers: Vec<ServerState>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ServerState {
    server: SocketAddr,
    /// `None`: it gave no usable answer.
    holds: Option<Vec<RrSet>>,
    /// Names among them that are aliases.
    #[serde(default)]
    aliases: Vec<String>,
    /// Where it failed, when it did.
    silent: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Evidence {
    serials: BTreeMap<SocketAddr, u32>,
    negative_ttl: Option<u32>,
    /// The longest that a resolver may rightly go on giving the old answer, in seconds.
    old_answers_last: Option<u32>,
    says: BTreeMap<SocketAddr, String>,
    /// What resolvers gave, once the first server held what is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resolvers: Vec<Asked>,
    /// Other sets of the zone that hold one of the stale values; `None`: could not be listed.
    siblings: Option<Vec<RrSet>>,
    siblings_unknown: Option<String>,
    /// What would be written as the owner; `None`: nothing is claimed here.
    #[serde(default)]
    mine: Option<Claim>,
    /// An epoch of ours that this journal does not know.
    #[serde(default)]
    ahead: Option<Epoch>,
}

impl DnsRecord {
    /// The wanted sets, and for an alias the data that may not stand beside it.
    fn questions(&self) -> Vec<Question> {
        let mut questions: Vec<Question> = self.wanted.iter().map(RrSet::question).collect();
        for set in self.wanted.iter().filter(|set| set.r#type == RrType::Cname) {
            let beside = [RrType::A, RrType::Aaaa, RrType::Txt];
            questions.extend(beside.map(|kind| Question { name: set.name.clone(), r#type: kind }));
        }
        questions.extend(self.claims());
        questions
    }

    fn claims(&self) -> Vec<Question> {
        if self.zone.claim { claim::questions(&self.wanted) } else { vec![] }
    }

    fn mine(&self, ctx: &Ctx, epoch: Epoch) -> Option<Claim> {
        if self.zone.claim { self.owner.claim(ctx, epoch) } else { None }
    }

    fn caches(&self) -> Caches<'_> {
        Caches { resolvers: &self.zone.resolvers, wait: self.wait_ttl }
    }

    /// Of the wanted names, sorted.
    fn held(&self, server: &ServerState) -> Vec<RrSet> {
        let mine = |set: &&RrSet| self.wanted.iter().any(|wanted| wanted.question() == set.question());
        let mut sets: Vec<RrSet> = server.holds.iter().flatten().filter(mine).cloned().collect();
        sets.sort_by_key(RrSet::question);
        sets
    }

    /// Asked only once the zone holds what is wanted: before, nothing that they give matters.
    async fn resolvers(&self, ctx: &Ctx, first: Option<&ServerState>) -> Vec<Asked> {
        let wanted: Vec<Question> = self.wanted.iter().map(RrSet::question).collect();
        let mut sorted = self.wanted.clone();
        sorted.sort_by_key(RrSet::question);
        match first {
            Some(first) if self.held(first) == sorted => {
                caches::ask(self.port.as_ref(), &self.zone.resolvers, &wanted, ctx).await
            }
            _ => vec![],
        }
    }

    async fn siblings(&self, ctx: &Ctx) -> (Option<Vec<RrSet>>, Option<String>) {
        if self.stale_values.is_empty() {
            return (Some(vec![]), None);
        }
        match self.port.list(&self.zone, ctx.now(), ASK.min(ctx.left())).await {
            Ok(sets) => {
                let ours = |set: &RrSet| self.wanted.iter().any(|wanted| wanted.question() == set.question());
                let stale = |set: &RrSet| set.values.iter().any(|v| self.stale_values.contains(v));
                (Some(sets.into_iter().filter(|set| stale(set) && !ours(set)).collect()), None)
            }
            Err(no) => (None, Some(format!("{}: {}", no.layer, no.says))),
        }
    }

    /// One update. `instead`: what is sent when the server's policy, and not a condition, proves to refuse it.
    async fn send(&self, ctx: &Ctx, update: &Update, instead: Option<&Update>) -> CallEnd {
        let server = self.zone.servers.first();
        let mut sent = self.port.update(&self.zone, update, ctx.now(), CALL.min(ctx.left())).await;
        let mut done = json!({ "server": server, "rcode": "NOERROR" });
        if let (Updated::Refused { rcode, .. }, Some(instead)) = (&sent, instead)
            && rcode == "REFUSED"
        {
            done["unclaimed"] =
                json!("the server refuses the owner record: let the key write TXT of _pointsman.*");
            sent = self.port.update(&self.zone, instead, ctx.now(), CALL.min(ctx.left())).await;
        }
        match sent {
            Updated::Done => CallEnd::applied(done),
            Updated::Refused { rcode, says } => CallEnd::rejected(false, format!("PM4105: {rcode}: {says}")),
            Updated::NotSent { retry, says } => {
                CallEnd::rejected(retry, format!("PM4106: nothing was sent: {says}"))
            }
            Updated::Doubt(says) => CallEnd::indeterminate(format!("PM4107: {says}")),
        }
    }

    /// Warnings of servers that are lost with the site; any other silence is unknown.
    fn lost(&self, state: &State, evidence: &Evidence) -> Result<Vec<String>, StepPlan> {
        let silent = |seen: &ServerState| {
            let layer = seen.silent.as_ref()?;
            let says = evidence.says.get(&seen.server).map_or("", String::as_str);
            Some(Silent { server: seen.server, says: format!("{layer}: {says}") })
        };
        let silent = state.servers.iter().filter_map(silent).collect();
        judge_silent(silent, &self.zone.lost_with, self.from_site.as_ref())
    }

    fn conflict(&self, seen: &ServerState) -> Option<StepPlan> {
        let holds = seen.holds.as_deref().unwrap_or_default();
        for set in &self.wanted {
            let alias = seen.aliases.contains(&set.name);
            let data = holds
                .iter()
                .any(|held| held.name == set.name && held.r#type != RrType::Cname && held.exists());
            if set.r#type != RrType::Cname && alias {
                let says = format!("{} is an alias (CNAME) now; it cannot hold other records", set.name);
                return Some(StepPlan::refuse("PM4103", says));
            }
            if set.r#type == RrType::Cname && data {
                let says = format!("{} holds other records now; it cannot become an alias (CNAME)", set.name);
                return Some(StepPlan::refuse("PM4103", says));
            }
        }
        None
    }

    fn warnings(&self, lost: Vec<String>, evidence: &Evidence) -> Vec<String> {
        let mut warnings = lost;
        for set in evidence.siblings.iter().flatten() {
            warnings.push(format!("{set} stays as it is and still points at the old site"));
        }
        if let Some(why) = &evidence.siblings_unknown {
            warnings.push(format!("whether other names still point at the old site is unknown: {why}"));
        }
        warnings.extend(self.caches().warning(evidence.old_answers_last));
        warnings
    }

    fn change(&self, held: Vec<RrSet>, claims: &[RrSet], lost: Vec<String>, evidence: &Evidence) -> StepPlan {
        let mut change = Change::new(json!(held), json!(self.wanted));
        change.now = show(&held);
        change.after = show(&self.wanted);
        change.undo = self.undo(&held);
        change.effects = self.effects(&held);
        (change.by_hand, change.undo_by_hand) = (self.by_hand(&self.wanted), self.by_hand(&held));
        // Seeing the old set proves that nothing happened, or makes no difference: an update still on its way
        // demands the old set, and so does the next; only one of them can ever take effect.
        change.settle = Settle::AtOnce;
        change.warnings = self.warnings(lost, evidence);
        change.lasts = self.caches().lasts(evidence.old_answers_last);
        change.detail = json!({ "old_answers_last_seconds": evidence.old_answers_last, "claims": claims });
        StepPlan::Change(Box::new(change))
    }

    fn effects(&self, held: &[RrSet]) -> Vec<Effect> {
        let before = |set: &RrSet| held.iter().find(|old| old.question() == set.question());
        let effect = |set: &RrSet| Effect::Records {
            name: set.name.clone(),
            kind: set.r#type.as_str().to_owned(),
            before: before(set).map(|old| old.values.clone()).unwrap_or_default(),
            after: set.values.clone(),
        };
        self.wanted.iter().map(effect).collect()
    }

    /// Ready to paste, for whoever has the zone's key.
    fn by_hand(&self, sets: &[RrSet]) -> Vec<String> {
        let Some(server) = self.zone.servers.first() else { return vec![] };
        let mut lines =
            vec![format!("server {} {}", server.ip(), server.port()), format!("zone {}", self.zone.zone)];
        for set in sets {
            let kind = set.r#type.as_str();
            lines.push(format!("update delete {} {kind}", set.name));
            let ttl = set.ttl.unwrap_or(60);
            let quoted = |value: &String| match set.r#type {
                RrType::Txt => format!("\"{}\"", value.replace('"', "\\\"")),
                RrType::A | RrType::Aaaa | RrType::Cname => value.clone(),
            };
            let add = |value| format!("update add {} {ttl} {kind} {}", set.name, quoted(value));
            lines.extend(set.values.iter().map(add));
        }
        lines.push("send".to_owned());
        let words: Vec<String> = lines.iter().map(|l| format!("'{}'", l.replace('\'', "'\\''"))).collect();
        vec![format!(
            "printf '%s\\n' {} | nsupdate -k KEYFILE   # the key of {}",
            words.join(" "),
            self.target
        )]
    }

    fn undo(&self, held: &[RrSet]) -> Undo {
        let new: Vec<String> = held.iter().filter(|set| !set.exists()).map(|s| s.to_string()).collect();
        if !new.is_empty() {
            let text = format!("delete what was added to {} ({} before)", self.zone.zone, new.join("; "));
            return Undo::ByHand(text);
        }
        let record = |set: &RrSet| json!({ "name": set.name, "type": set.r#type, "values": set.values, "ttl": set.ttl });
        let records: Vec<Value> = held.iter().map(record).collect();
        let with = json!({ "records": records, "from_site": self.from_site });
        Undo::To(Spec { kind: "dns.record".into(), target: self.target.clone(), with })
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value, what: &str) -> Result<T, StepPlan> {
    T::deserialize(value)
        .map_err(|e| StepPlan::unknown("PM4100", format!("the {what} of DNS cannot be read: {e}")))
}

impl Check for DnsRecord {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let questions = self.questions();
            let within = ASK.min(ctx.left());
            let asked = self.zone.servers.iter().map(|server| async {
                (*server, self.port.ask(&self.zone.zone, *server, &questions, within).await)
            });
            let (answers, (siblings, siblings_unknown)) = join(join_all(asked), self.siblings(ctx)).await;
            let mine = self.mine(ctx, ctx.epoch);
            let mut evidence = Evidence { siblings, siblings_unknown, mine, ..Evidence::default() };
            let servers: Vec<ServerState> =
                answers.into_iter().map(|(at, got)| note(at, got, &mut evidence)).collect();
            let first = servers.first().and_then(|first| first.holds.as_deref()).unwrap_or_default();
            evidence.resolvers = self.resolvers(ctx, servers.first()).await;
            evidence.ahead = evidence.mine.as_ref().and_then(|mine| claim::ahead(first, mine));
            Ok(Observation {
                identity: json!({ "zone": self.zone.zone, "primary": self.zone.servers.first() }),
                state: json!(State { servers }),
                evidence: json!(evidence),
                at: ctx.now(),
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let (state, evidence): (State, Evidence) =
            match (read(&seen.state, "state"), read(&seen.evidence, "evidence")) {
                (Ok(state), Ok(evidence)) => (state, evidence),
                (Err(plan), _) | (_, Err(plan)) => return plan,
            };
        let lost = match self.lost(&state, &evidence) {
            Ok(lost) => lost,
            Err(unknown) => return unknown,
        };
        let Some(first) = state.servers.first() else {
            return StepPlan::unknown("PM4101", "no server was asked");
        };
        if let Some(refusal) = self.conflict(first) {
            return refusal;
        }
        let now = self.held(first);
        let mut wanted = self.wanted.clone();
        wanted.sort_by_key(RrSet::question);
        let others: Vec<String> = state
            .servers
            .iter()
            .filter(|server| server.holds.is_some() && self.held(server) != now)
            .map(|server| format!("{} holds {}", server.server, show(&self.held(server))))
            .collect();
        if !others.is_empty() {
            let follow = if now == wanted { "waiting for it to follow" } else { "the servers disagree" };
            let says = format!("{} holds {}, but {}: {follow}", first.server, show(&now), others.join("; "));
            return StepPlan::unknown("PM4102", says);
        }
        if now == wanted {
            let says = match lost.as_slice() {
                [] => format!("all {} servers hold {}", state.servers.len(), show(&now)),
                lost => format!(
                    "{} of {} servers hold {}; {}",
                    state.servers.len() - lost.len(),
                    state.servers.len(),
                    show(&now),
                    lost.join("; ")
                ),
            };
            return self.caches().settled(says, &now, true, &evidence.resolvers);
        }
        let claims = match &evidence.mine {
            Some(mine) => claim::judge(&self.claims(), first.holds.as_deref().unwrap_or_default(), mine),
            None => Ok(vec![]),
        };
        match claims {
            Ok(claims) => self.change(now, &claims, lost, &evidence),
            Err(refusal) => refusal,
        }
    }

    fn rehearse<'a>(&'a self, ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        async move { Some(self.rehearsed(ctx, seen).await) }.boxed()
    }
}

fn note(server: SocketAddr, got: Result<Answers, NoAnswer>, evidence: &mut Evidence) -> ServerState {
    match got {
        Ok(answers) => {
            evidence.serials.insert(server, answers.serial);
            let negative = Some(answers.negative_ttl);
            evidence.negative_ttl = evidence.negative_ttl.max(negative);
            let names = answers.sets.iter().filter(|set| !claim::is_claim(set));
            let ttls = names.map(|set| set.ttl.or(negative));
            evidence.old_answers_last = ttls.fold(evidence.old_answers_last, Option::max);
            ServerState { server, holds: Some(answers.sets), aliases: answers.aliases, silent: None }
        }
        Err(no) => {
            evidence.says.insert(server, no.says);
            ServerState { server, holds: None, aliases: vec![], silent: Some(no.layer.to_owned()) }
        }
    }
}

impl Action for DnsRecord {
    fn apply<'a>(&'a self, ctx: &'a Ctx, permit: Permit) -> BoxFuture<'a, CallEnd> {
        async move {
            let change = permit.change();
            let sets = |value: &Value| Vec::<RrSet>::deserialize(value);
            let (before, after) = match (sets(&change.from), sets(&change.to)) {
                (Ok(before), Ok(after)) if after.iter().all(RrSet::exists) && !after.is_empty() => {
                    (before, after)
                }
                _ => return CallEnd::rejected(false, "PM4104: the change on record is no set of records"),
            };
            let bare = Update { before, after };
            let Some(mine) = self.mine(ctx, permit.epoch()) else { return self.send(ctx, &bare, None).await };
            let Ok(seen) = sets(change.detail.get("claims").unwrap_or(&json!([]))) else {
                return CallEnd::rejected(false, "PM4104: the claims on record are no set of records");
            };
            let mut claimed = bare.clone();
            claim::add(&mut claimed, &seen, &mine);
            // A key that may not write TXT must not cost the failover, where there is no claim to respect.
            let instead = seen.iter().all(|set| !set.exists()).then_some(&bare);
            self.send(ctx, &claimed, instead).await
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
