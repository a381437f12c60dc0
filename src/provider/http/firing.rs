//! `still_firing`: does the alert's own source still say so? Asked at every Alertmanager, Prometheus and Zabbix of the
//! source: one that was cut off knows less, never more.

use super::alertmanager::{Standing, question, standing};
use super::port::{Auth, Get, Port, Reply};
use super::{prometheus, zabbix};
use crate::config::{Config, Source};
use crate::kernel::domain::{Fact, Finding, Grade, Name, Observation, Span, Spec, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use crate::provider::params::Params;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const ASK: Span = Span::secs(5);

pub struct StillFiring {
    name: Name,
    source: Source,
    labels: BTreeMap<String, String>,
    /// When no source can be reached, that this site is down by a majority may stand in.
    or_site: Option<Name>,
    port: Arc<dyn Port>,
}

/// Whose questions and answers they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Alertmanager,
    Prometheus,
    Zabbix,
}

pub fn read(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<StillFiring, Vec<String>> {
    let mut params = Params::new(spec);
    let name: Option<Name> = params.need("source");
    let labels: BTreeMap<String, String> = params.need("labels").unwrap_or_default();
    let or_site: Option<Name> = params.maybe("or_site");
    let source = name.as_ref().and_then(|name| config.sources.get(name)).cloned();
    match (&name, &source) {
        (Some(name), None) => params.problem(format!("there is no source {name}")),
        (Some(name), Some(source)) if !source.can_be_asked() => {
            params.problem(format!("source {name} has no `api`, no `prometheus` and no `zabbix` to ask"));
        }
        _ => {}
    }
    if labels.is_empty() && spec.with.get("labels").is_some() {
        params.problem("`labels` is empty: any alert would do");
    }
    params.done()?;
    match (name, source) {
        (Some(name), Some(source)) => Ok(StillFiring { name, source, labels, or_site, port }),
        _ => Err(vec![]),
    }
}

impl StillFiring {
    fn auth(&self) -> Result<Option<Auth>, ProviderError> {
        let secret = |text: &crate::config::SecretRef| {
            text.read().map_err(|e| ProviderError::new("PM1101", e.to_string()))
        };
        if let Some(token) = &self.source.bearer {
            return Ok(Some(Auth::Bearer(secret(token)?)));
        }
        let Some(user) = self.source.user.clone() else { return Ok(None) };
        let password = self.source.password.as_ref().map(secret).transpose()?;
        Ok(Some(Auth::Basic { user, password }))
    }

    /// Everyone who can be asked: Alertmanagers, then servers of Prometheus, then of Zabbix.
    fn asked(&self) -> impl Iterator<Item = (&String, Who)> {
        let managers = self.source.api.iter().map(|url| (url, Who::Alertmanager));
        let rules = self.source.prometheus.iter().map(|url| (url, Who::Prometheus));
        managers.chain(rules).chain(self.source.zabbix.iter().map(|url| (url, Who::Zabbix)))
    }

    async fn ask(
        &self,
        api: &String,
        who: Who,
        auth: Option<Auth>,
        within: Span,
    ) -> Result<Standing, String> {
        let url = match who {
            Who::Alertmanager => question(api, &self.labels)?,
            Who::Prometheus => prometheus::question(api),
            Who::Zabbix => {
                let token = match &auth {
                    Some(Auth::Bearer(token)) => Some(token),
                    Some(Auth::Basic { .. }) | None => None,
                };
                // A few questions, one after the other.
                let (within, urls) = (Span(within.0 / 2), std::slice::from_ref(api));
                let asked = zabbix::Asked { port: self.port.as_ref(), urls, token, within };
                return asked.standing(&self.labels).await;
            }
        };
        let get = Get { auth, ..Get::of(url) };
        match self.port.get(&get, within).await {
            Ok(Reply { status: 200, body }) if who == Who::Prometheus => {
                prometheus::standing(&body, &self.labels)
            }
            Ok(Reply { status: 200, body }) => standing(&body, &self.labels),
            Ok(Reply { status, .. }) => Err(format!("it answered status {status}")),
            Err(failed) => Err(format!("{}: {}", failed.layer.as_str(), failed.says)),
        }
    }
}

impl StillFiring {
    /// Whether the source can be asked at all, whatever it says.
    fn rehearsed(&self, seen: &Observation) -> Vec<Finding> {
        let (lost, reached): (Vec<_>, Vec<_>) =
            self.asked().map(|(api, _)| api.as_str()).partition(|api| seen.state[*api] == "unknown");
        let grade = if reached.is_empty() { Grade::Unknown } else { Grade::Warn };
        let says = |api: &&str| format!("{api} ({})", seen.evidence[*api].as_str().unwrap_or("not asked"));
        let lost: Vec<String> = lost.iter().map(says).collect();
        let mut findings = vec![];
        if !reached.is_empty() {
            findings.push(Finding::ok(format!("it can be asked at {}", reached.join(", "))));
        }
        if !lost.is_empty() {
            let says = format!("it cannot be asked whether an alert still fires: {}", lost.join("; "));
            findings.push(Finding::of(grade, "PM5807", says, "see that its API answers from here"));
        }
        if reached.iter().any(|api| seen.state[*api] == "suppressed") {
            let says = "this alert is silenced or inhibited there: it would start nothing";
            findings.push(Finding::of(
                Grade::Warn,
                "PM4321",
                says,
                "see the silences, and whether they are still meant",
            ));
        }
        findings
    }
}

impl Check for StillFiring {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let auth = self.auth()?;
            let within = ASK.min(ctx.left());
            let asked = self.asked().map(|(api, who)| {
                let auth = auth.clone();
                async move { (api.clone(), self.ask(api, who, auth, within).await) }
            });
            let (mut state, mut evidence) = (BTreeMap::new(), BTreeMap::new());
            for (api, answer) in join_all(asked).await {
                match answer {
                    Ok(standing) => state.insert(api, standing.as_str()),
                    Err(says) => {
                        evidence.insert(api.clone(), says);
                        state.insert(api, "unknown")
                    }
                };
            }
            let identity = json!({ "source": self.name, "labels": self.labels });
            Ok(Observation { identity, state: json!(state), evidence: json!(evidence), at: ctx.now() })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, given: &[Fact], _now: Time) -> StepPlan {
        let that = |wanted: &str| -> Vec<&str> {
            let said = self.asked().filter(|(api, _)| seen.state[api.as_str()] == wanted);
            said.map(|(api, _)| api.as_str()).collect()
        };
        let (firing, suppressed, absent) = (that("firing"), that("suppressed"), that("absent"));
        let resolved = that("resolved");
        if !suppressed.is_empty() {
            let says =
                format!("silenced or inhibited, says {}: somebody wants no action", suppressed.join(", "));
            return StepPlan::refuse("PM4321", says);
        }
        if !resolved.is_empty() {
            return StepPlan::refuse("PM4322", format!("resolved, says {}", resolved.join(", ")));
        }
        if !firing.is_empty() {
            return StepPlan::nothing(format!("still firing, says {}", firing.join(", ")));
        }
        if !absent.is_empty() {
            return StepPlan::refuse(
                "PM4322",
                format!("resolved: {} does not have it any more", absent.join(", ")),
            );
        }
        let words: Vec<String> = self
            .asked()
            .map(|(api, _)| {
                format!("{api} ({})", seen.evidence[api.as_str()].as_str().unwrap_or("not asked"))
            })
            .collect();
        let unreachable = format!("nobody of {} gave an answer: {}", self.name, words.join(", "));
        match &self.or_site {
            Some(site) if given.contains(&Fact::Down { site: site.clone() }) => StepPlan::nothing(format!(
                "{unreachable}; that {site} is down by a majority of vantages stands in"
            )),
            _ => StepPlan::unknown("PM4320", unreachable),
        }
    }

    fn rehearse<'a>(&'a self, _ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        std::future::ready(Some(self.rehearsed(seen))).boxed()
    }
}

#[cfg(test)]
#[path = "firing_tests.rs"]
mod tests;
