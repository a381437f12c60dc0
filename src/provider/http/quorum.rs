//! `quorum`: is it down, or up, as seen from several places that do not fail together? One vote is one vantage; who is
//! blind does not vote, and the count is over those configured, never over those that answered.

use super::look::{Answer, control, judge, raw, vantage};
use super::memory::ProbeMemory;
use super::port::Port;
use crate::config::{Config, Probe, Vantage};
use crate::kernel::domain::{Fact, Finding, Grade, Name, Observation, Span, Spec, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use crate::provider::params::Params;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LOOK: Span = Span::secs(4);

/// How many votes are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Need {
    Named(Named),
    Number(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Majority,
    All,
}

impl Need {
    fn of(self, vantages: usize) -> usize {
        match self {
            Need::Named(Named::Majority) => vantages / 2 + 1,
            Need::Named(Named::All) => vantages,
            Need::Number(n) => n,
        }
    }
}

pub struct Quorum {
    probes: Vec<(Name, Probe)>,
    vantages: Vec<(Name, Vantage)>,
    /// The answer that is wanted: `down` or `up`.
    wanted: &'static str,
    need: usize,
    site: Option<Name>,
    port: Arc<dyn Port>,
}

pub fn read(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<Quorum, Vec<String>> {
    let mut params = Params::new(spec);
    let probe_names: Vec<Name> = params.need("probes").unwrap_or_default();
    let vantage_names: Vec<Name> = params.need("vantages").unwrap_or_default();
    let (down, up): (Option<Need>, Option<Need>) = (params.maybe("down"), params.maybe("up"));
    let site: Option<Name> = params.maybe("site");
    let (wanted, need) = match (down, up) {
        (Some(need), None) => ("down", need),
        (None, Some(need)) => ("up", need),
        _ => {
            params.problem("say either `down` or `up`, as majority, all or a number of vantages");
            ("down", Need::Number(1))
        }
    };
    if wanted == "down" && site.is_none() {
        params.problem("`site` is missing: which site is it that would be down?");
    }
    let mut probes = vec![];
    for name in &probe_names {
        match config.probes.get(name) {
            Some(probe) => probes.push((name.clone(), probe.clone())),
            None => params.problem(format!("there is no probe {name}")),
        }
    }
    let mut vantages = vec![];
    for name in &vantage_names {
        match vantage(config, name) {
            Some(place) => vantages.push((name.clone(), place)),
            None => params.problem(format!("there is no vantage {name}")),
        }
    }
    check_forms(&probes, &vantages, &mut params);
    check_votes(&vantages, need, &mut params);
    if probes.is_empty() || vantages.is_empty() {
        params.problem("`probes` and `vantages` must not be empty");
    }
    params.done()?;
    let need = need.of(vantages.len());
    Ok(Quorum { probes, vantages, wanted, need, site, port })
}

fn check_forms(probes: &[(Name, Probe)], vantages: &[(Name, Vantage)], params: &mut Params<'_>) {
    for (name, probe) in probes {
        let forms = [probe.http.is_some(), probe.tcp.is_some(), probe.sql.is_some()];
        if forms.iter().filter(|set| **set).count() != 1 {
            params.problem(format!("probe {name} needs exactly one of `http`, `tcp` and `sql`"));
        }
        for (place, vantage) in vantages {
            if probe.sql.is_some() && vantage.blackbox.is_some() {
                params
                    .problem(format!("probe {name} is a query, which {place} cannot ask; only `local` can"));
            }
        }
    }
}

fn check_votes(vantages: &[(Name, Vantage)], need: Need, params: &mut Params<'_>) {
    let names: BTreeSet<&Name> = vantages.iter().map(|(name, _)| name).collect();
    if names.len() < vantages.len() {
        params.problem("a vantage is listed twice; it has one vote");
    }
    let enough = need.of(vantages.len());
    if enough == 0 || enough > vantages.len() {
        params.problem(format!("{enough} votes are needed, there are {} vantages", vantages.len()));
    }
    if need != Need::Named(Named::Majority) {
        return;
    }
    if vantages.len().is_multiple_of(2) {
        params.problem(format!(
            "a majority of {} vantages: an even number can be split in halves",
            vantages.len()
        ));
    }
    let domains: BTreeSet<&Name> = vantages.iter().map(|(_, vantage)| &vantage.domain).collect();
    if domains.len() < names.len() {
        params.problem("vantages that share a failure domain have no majority: they fail together");
    }
}

/// The vote of one vantage.
fn vote(answers: &[(Name, Answer)]) -> &'static str {
    let all = |wanted: &str| answers.iter().all(|(_, answer)| answer.as_str() == wanted);
    match () {
        () if answers.is_empty() => "blind",
        () if all("down") => "down",
        () if all("up") => "up",
        () if answers.iter().any(|(_, answer)| answer.as_str() == "blind") => "blind",
        () => "mixed",
    }
}

impl Quorum {
    async fn ask(&self, name: &Name, place: &Vantage, now: Time, within: Span) -> Vec<(Name, Answer)> {
        let port = self.port.as_ref();
        let looks = self.probes.iter().map(|(_, probe)| raw(port, probe, place, within));
        let seen = join_all(looks).await;
        let any_down = seen.iter().any(|answer| matches!(answer, Answer::Down(_)));
        let control = if any_down { control(port, place, within).await } else { Ok(()) };
        let worth = |((probe, definition), answer): (&(Name, Probe), Answer)| {
            let key = ProbeMemory::key(probe, definition, name);
            (probe.clone(), judge(port.memory(), answer, control.clone(), &key, now))
        };
        self.probes.iter().zip(seen).map(worth).collect()
    }

    /// `local blind (gra-app blind: …), blackbox-par down`
    fn table(&self, seen: &Observation) -> String {
        let row = |(name, _): &(Name, Vantage)| {
            let vote = seen.state["votes"][name.as_str()].as_str().unwrap_or("blind");
            let answers = seen.evidence[name.as_str()].as_object();
            let says =
                |(probe, answer): (&String, &Value)| format!("{probe} {}", answer.as_str().unwrap_or("?"));
            let all: Vec<String> = answers.into_iter().flatten().map(says).collect();
            format!("{name} says {vote} ({})", all.join(", "))
        };
        self.vantages.iter().map(row).collect::<Vec<_>>().join("; ")
    }
}

impl Quorum {
    /// Who is blind does not vote; on the night it is one vote less.
    fn rehearsed(&self, seen: &Observation) -> Vec<Finding> {
        let blind = |(name, _): &&(Name, Vantage)| seen.state["votes"][name.as_str()] == "blind";
        let finding = |(name, _): &(Name, Vantage)| {
            let said = seen.evidence[name.as_str()].as_object().into_iter().flatten();
            let said: Vec<String> =
                said.map(|(probe, answer)| format!("{probe} {}", answer.as_str().unwrap_or("?"))).collect();
            let says = format!("{name} is blind and does not vote: {}", said.join(", "));
            Finding::of(
                Grade::Warn,
                "PM5809",
                says,
                "a probe counts once it has said up; see that it is reached",
            )
        };
        self.vantages.iter().filter(blind).map(finding).collect()
    }
}

impl Check for Quorum {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let within = LOOK.min(Span(ctx.left().0 / 2));
            let asked = self.vantages.iter().map(|(name, place)| async move {
                (name.to_string(), self.ask(name, place, ctx.now(), within).await)
            });
            let (mut votes, mut evidence) = (BTreeMap::new(), BTreeMap::new());
            for (name, answers) in join_all(asked).await {
                votes.insert(name.clone(), vote(&answers));
                let said: BTreeMap<String, String> =
                    answers.iter().map(|(probe, answer)| (probe.to_string(), answer.to_string())).collect();
                evidence.insert(name, said);
            }
            let probes: Vec<&Name> = self.probes.iter().map(|(name, _)| name).collect();
            let identity = json!({ "probes": probes });
            let state = json!({ "votes": votes });
            Ok(Observation { identity, state, evidence: json!(evidence), at: ctx.now() })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let count = |wanted: &str| {
            let of = |(name, _): &&(Name, Vantage)| seen.state["votes"][name.as_str()] == wanted;
            self.vantages.iter().filter(of).count()
        };
        let contrary = if self.wanted == "down" { "up" } else { "down" };
        let (votes, against) = (count(self.wanted), count(contrary));
        let of = self.vantages.len();
        let table = self.table(seen);
        if votes >= self.need {
            let down = self.site.iter().filter(|_| self.wanted == "down");
            let gives = down.map(|site| Fact::Down { site: site.clone() }).collect();
            let says = format!("{votes} of {of} vantages say {} (need {}): {table}", self.wanted, self.need);
            return StepPlan::gives(gives, says);
        }
        if against > of / 2 {
            let says = format!("{against} of {of} vantages say {contrary}: {table}");
            return StepPlan::refuse("PM4310", says);
        }
        let says =
            format!("only {votes} of {of} vantages say {}, {} are needed: {table}", self.wanted, self.need);
        StepPlan::unknown("PM4311", says)
    }

    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        std::future::ready(Some(self.rehearsed(seen))).boxed()
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
pub(super) mod tests;
