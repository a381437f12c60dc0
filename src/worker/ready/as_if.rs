//! A registry in which the outage is there: whatever a playbook waits for (its origin down, its alert firing) counts as so,
//! once it could be seen that it is not. Everything else is judged as it is. So a playbook can be looked through to its end on
//! a quiet day; nothing that is bound here is ever called to change anything.

use crate::kernel::domain::{Fact, Finding, Name, Observation, Spec, StepPlan, Time};
use crate::kernel::port::{Bound, Check, Ctx, ProviderError, Registry};
use futures_util::future::BoxFuture;

pub struct AsIf<'a>(pub &'a dyn Registry);

impl Registry for AsIf<'_> {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        let bound = self.0.bind(spec)?;
        Ok(match waits_for_it(spec) {
            true => Bound::Check(Box::new(Assumed { inner: bound, site: down(spec) })),
            false => bound,
        })
    }
}

/// Guards that only an outage fulfils.
pub fn waits_for_it(spec: &Spec) -> bool {
    match spec.kind.as_str() {
        "quorum" => spec.with.get("down").is_some(),
        "still_firing" => true,
        _ => false,
    }
}

fn down(spec: &Spec) -> Option<Name> {
    spec.with.get("down")?;
    spec.with.get("site")?.as_str().map(Name::from)
}

struct Assumed {
    inner: Bound,
    site: Option<Name>,
}

impl Check for Assumed {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        self.inner.check().observe(ctx)
    }
    fn plan(&self, seen: &Observation, given: &[Fact], now: Time) -> StepPlan {
        match self.inner.check().plan(seen, given, now) {
            // That it is not so can be seen, and that is what was asked. What cannot be seen stays unknown.
            StepPlan::Refuse(why) => {
                let why: Vec<&str> = why.iter().map(|reason| reason.says.as_str()).collect();
                let gives = self.site.iter().map(|site| Fact::Down { site: site.clone() }).collect();
                StepPlan::gives(gives, format!("it can be told: {}", why.join("; ")))
            }
            other => other,
        }
    }
    fn rehearse<'a>(&'a self, ctx: &'a Ctx, seen: &'a Observation) -> BoxFuture<'a, Option<Vec<Finding>>> {
        self.inner.check().rehearse(ctx, seen)
    }
}
