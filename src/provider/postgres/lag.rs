//! `postgres.lag {target, primary?, max_bytes, max_seconds, max_sample_age}`: is the loss of a promotion
//! bounded?
//!
//! A dead primary cannot be asked, so samples are; a living one is asked as well. Known loss is the last
//! position of the primary minus the standby's. The age of what is known counts up to the first look that
//! failed, not to now: an outage that lasts does not make the last sample worse. What is not known never
//! passes.

use super::look::{LOOK, within};
use super::node::Progress;
use super::port::{Endpoint, Port, Trouble};
use super::sampler::Window;
use crate::kernel::domain::{Fact, Lsn, Observation, Span, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError, Sample};
use crate::units::show_bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Lag {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub primary: Option<Endpoint>,
    pub max_bytes: u64,
    pub max_time: Span,
    pub max_sample_age: Span,
}

/// What is known of the distance, as numbers. `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    /// The standby's own answer; without it nothing else counts.
    standby: Option<Lsn>,
    standby_role: String,
    bytes: Option<u64>,
    /// From the last time at which the standby had everything, to the last look at the primary.
    behind_us: Option<u64>,
    /// From the last look that reached the primary to the first that did not, or to now.
    sample_age_us: Option<u64>,
    /// Why something is unknown.
    why: Option<String>,
}

impl Lag {
    async fn observe(&self, ctx: &Ctx) -> Result<Observation, ProviderError> {
        let at = ctx.now();
        let first = async {
            match &self.primary {
                Some(primary) => progress(self.port.as_ref(), primary, ctx).await,
                None => Ok(Err("no primary is named".to_owned())),
            }
        };
        let (first, second) = join(first, progress(self.port.as_ref(), &self.target, ctx)).await;
        let (first, second) = (first?, second?);
        let mut samples = ctx.samples.recent(&self.target.name);
        if let Ok(live) = first.as_ref()
            && !live.in_recovery
        {
            samples.push(Sample {
                at,
                primary: live.position,
                standby: second.as_ref().ok().and_then(|standby| standby.position),
                timeline: live.timeline,
                lineage: live.system.clone(),
            });
        }
        let known = known(&samples, second.as_ref(), at);
        Ok(Observation {
            identity: json!({ "system": second.as_ref().ok().and_then(|standby| standby.system.clone()) }),
            state: json!({ "standby": known.standby_role, "known": known.bytes.is_some() }),
            evidence: json!(known),
            at,
        })
    }

    fn judge(&self, known: &Known) -> StepPlan {
        let target = &self.target.name;
        if known.standby_role == "primary" {
            return StepPlan::refuse(
                "PM3303",
                format!("{target} is a primary and not a standby: it has no lag"),
            );
        }
        let why = known.why.as_deref().unwrap_or("no reason is known");
        let (Some(bytes), Some(behind), Some(age)) = (known.bytes, known.behind_us, known.sample_age_us)
        else {
            let says = format!("how far {target} is behind is unknown, and unknown does not pass: {why}");
            return StepPlan::unknown("PM3301", says);
        };
        let (behind, age) = (Span(behind), Span(age));
        if age > self.max_sample_age {
            return StepPlan::unknown(
                "PM3302",
                format!(
                    "the primary was last seen {age} before the first look that failed, at most {} is \
                    allowed: what was written meanwhile is unknown",
                    self.max_sample_age
                ),
            );
        }
        let says = format!("{behind}, {} behind at the last sample", show_bytes(bytes));
        let allowed = format!("at most {}, {}", self.max_time, show_bytes(self.max_bytes));
        if bytes > self.max_bytes || behind > self.max_time {
            return StepPlan::refuse("PM3304", format!("{target} is {says}; {allowed} is allowed"));
        }
        StepPlan::nothing(format!("{says} ({allowed})"))
    }
}

/// A look that failed is a reason; only our own fault is an error.
async fn progress(
    port: &dyn Port,
    at: &Endpoint,
    ctx: &Ctx,
) -> Result<Result<Progress, String>, ProviderError> {
    match port.progress(at, within(ctx, LOOK)).await {
        Err(Trouble::Ours { says }) => Err(ProviderError::new("PM3100", says)),
        other => Ok(other.map_err(|trouble| format!("{} does not answer: {trouble}", at.name))),
    }
}

fn known(samples: &[Sample], standby: Result<&Progress, &String>, now: Time) -> Known {
    let standby = match standby {
        Ok(standby) => standby,
        Err(why) => {
            return Known { standby_role: "unreachable".into(), why: Some(why.clone()), ..Known::default() };
        }
    };
    let role = if standby.in_recovery { "standby" } else { "primary" };
    let base = Known { standby: standby.position, standby_role: role.into(), ..Known::default() };
    let unknown = |why: &str| Known { why: Some(why.to_owned()), ..base.clone() };
    let Some(had) = standby.position else { return unknown("the standby does not tell its position") };
    let window = Window::of(samples);
    let Some(last) = window.last_good else { return unknown("the primary was never sampled") };
    let Some(end) = last.primary else { return unknown("the primary was never sampled") };
    if last.timeline.is_none() || last.timeline != standby.timeline {
        return unknown(
            "the standby is not on the timeline of the last sample; positions cannot be compared",
        );
    }
    if last.lineage.is_some() && last.lineage != standby.system {
        return unknown("the last sample is of another system identifier");
    }
    let had_all = |sample: &&Sample| {
        sample.timeline == last.timeline && sample.primary.is_some_and(|primary| primary <= had)
    };
    let safe = samples.iter().rev().find(had_all);
    let age = window.first_failed.unwrap_or(now).since(last.at);
    Known {
        bytes: Some(end.0.saturating_sub(had.0)),
        behind_us: safe.map(|safe| last.at.since(safe.at).0),
        sample_age_us: Some(age.0),
        why: safe.is_none().then(|| "no sample is so old that the standby has all of it".to_owned()),
        ..base
    }
}

impl Check for Lag {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        Lag::observe(self, ctx).boxed()
    }
    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        match Known::deserialize(&seen.evidence) {
            Ok(known) => self.judge(&known),
            Err(_) => StepPlan::unknown("PM3109", "the observation cannot be read; look again"),
        }
    }
}
