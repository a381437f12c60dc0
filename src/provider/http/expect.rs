//! `http.expect`: a URL answers as it should, several times in a row, pinned to an address or through real resolvers.

use super::look::{Answer, LOCAL, judge_status, raw, vantage};
use super::port::{Get, Port};
use crate::config::{Config, Probe, Vantage};
use crate::kernel::domain::{Fact, Name, Observation, Reason, Span, Spec, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use crate::provider::params::Params;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const LOOK: Span = Span::secs(5);
const BETWEEN: Span = Span::millis(100);

pub struct HttpExpect {
    probe: Probe,
    url: String,
    contains: Option<String>,
    passes: u32,
    vantages: Vec<(Name, Vantage)>,
    /// The site that is proven to serve when it passes.
    site: Option<Name>,
    port: Arc<dyn Port>,
}

pub fn read(spec: &Spec, config: &Config, port: Arc<dyn Port>) -> Result<HttpExpect, Vec<String>> {
    let mut params = Params::new(spec);
    let url: Option<String> = params.need("url");
    let resolve_to: Option<IpAddr> = params.maybe("resolve_to");
    let status: Option<u16> = params.maybe("status");
    let passes: u32 = params.maybe("passes").unwrap_or(1);
    let contains: Option<String> = params.maybe("contains");
    let site: Option<Name> = params.maybe("site");
    let names: Vec<Name> = params.maybe("vantages").unwrap_or_else(|| vec![LOCAL.into()]);
    // How long a step is looked at again and again; the engine keeps that time.
    let _within = params.span("within");
    if let Some(text) = &url {
        check_url(text, resolve_to, &mut params);
    }
    if !(1..=100).contains(&passes) {
        params.problem(format!("`passes`: {passes} is not between 1 and 100"));
    }
    if status.is_some_and(|status| !(100..600).contains(&status)) {
        params.problem("`status` is no HTTP status");
    }
    if names.is_empty() {
        params.problem("`vantages` is empty: nobody would look");
    }
    let mut vantages = vec![];
    for name in names {
        match vantage(config, &name) {
            Some(place) if place.blackbox.is_some() && contains.is_some() => {
                params.problem(format!(
                    "`contains` cannot be seen from {name}: its exporter does not show the body"
                ));
            }
            Some(place) => vantages.push((name, place)),
            None => params.problem(format!("`vantages`: there is no vantage {name}")),
        }
    }
    params.done()?;
    let url = url.ok_or_else(Vec::new)?;
    let probe = Probe { http: Some(url.clone()), resolve_to, status, tcp: None, sql: None };
    Ok(HttpExpect { probe, url, contains, passes, vantages, site, port })
}

fn check_url(text: &str, resolve_to: Option<IpAddr>, params: &mut Params<'_>) {
    match url::Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            params.problem(format!("`url`: {text:?} is neither http nor https"));
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            params.problem("`url` holds credentials; a playbook never does");
        }
        Ok(url) if resolve_to.is_some() && !matches!(url.host(), Some(url::Host::Domain(_))) => {
            params.problem("`resolve_to` needs a name in `url`, not an address");
        }
        Ok(_) => {}
        Err(e) => params.problem(format!("`url`: {text:?}: {e}")),
    }
}

impl HttpExpect {
    /// Passes in a row until the first that is none, or all.
    async fn passes(&self, ctx: &Ctx, place: &Vantage) -> (u32, Answer) {
        for pass in 0..self.passes {
            if pass > 0 && !ctx.sleep(BETWEEN).await {
                return (pass, Answer::Blind("no time was left".into()));
            }
            match self.once(place, LOOK.min(ctx.left())).await {
                Answer::Up => {}
                other => return (pass, other),
            }
        }
        (self.passes, Answer::Up)
    }

    async fn once(&self, place: &Vantage, within: Span) -> Answer {
        let Some(wanted) = &self.contains else {
            return raw(self.port.as_ref(), &self.probe, place, within).await;
        };
        let get = Get { pin: self.probe.resolve_to, ..Get::of(&self.url) };
        match self.port.get(&get, within).await {
            Ok(reply) => match judge_status(self.probe.status, reply.status) {
                Answer::Up if !reply.body.contains(wanted.as_str()) => {
                    Answer::Blind(format!("the body does not contain {wanted:?}"))
                }
                answer => answer,
            },
            Err(failed) => Answer::Down(failed),
        }
    }
}

impl Check for HttpExpect {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let looks = self.vantages.iter().map(|(name, place)| async move {
                let (passes, answer) = self.passes(ctx, place).await;
                (name.to_string(), passes, answer)
            });
            let (mut state, mut evidence) = (BTreeMap::new(), BTreeMap::new());
            for (name, passes, answer) in join_all(looks).await {
                state.insert(name.clone(), if answer == Answer::Up { "pass" } else { "fail" });
                evidence.insert(name, json!({ "passes": passes, "says": answer.to_string() }));
            }
            let pin = self.probe.resolve_to.map(|address| address.to_string());
            let identity = json!({ "url": self.url, "resolve_to": pin });
            Ok(Observation { identity, state: json!(state), evidence: json!(evidence), at: ctx.now() })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let failing: Vec<Reason> = self
            .vantages
            .iter()
            .filter(|(name, _)| seen.state[name.as_str()] != "pass")
            .map(|(name, _)| {
                let about: &Value = &seen.evidence[name.as_str()];
                let (says, passes) =
                    (about["says"].as_str().unwrap_or("not looked"), about["passes"].as_u64());
                let passed = passes.unwrap_or(0);
                Reason::new(
                    "PM4301",
                    format!("{} from {name}: {says} (after {passed} of {} passes)", self.url, self.passes),
                )
            })
            .collect();
        if !failing.is_empty() {
            return StepPlan::Unknown(failing);
        }
        let gives = self.site.iter().map(|site| Fact::Serves { site: site.clone() }).collect();
        let says = format!("{} passed {} times from {} vantages", self.url, self.passes, self.vantages.len());
        StepPlan::gives(gives, says)
    }
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
