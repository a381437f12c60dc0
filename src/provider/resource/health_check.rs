//! `route53.health_check {target, inverted?, disabled?, leads_to}`: the switch that failover and weighted records hang on.
//! Asking for it is a call of the control plane; what it does is done by every name server of Route 53, the data plane.

use super::kind::{Kind, Nature, text};
use super::port::{Fields, Part, Resource};
use crate::config::{Config, ResourceTarget, Route53HealthCheck};
use crate::kernel::domain::{Effect, Fact, Settle, Spec, StepPlan, Undo, place};
use crate::provider::params::Params;
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct Switch {
    spec: Spec,
    at: Route53HealthCheck,
    inverted: Option<bool>,
    disabled: Option<bool>,
    /// Name → where it leads then: the playbook's word, since the health check knows nothing of records.
    leads_to: BTreeMap<String, Vec<String>>,
}

pub fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn Kind>), Vec<String>> {
    let mut params = Params::new(spec);
    let (inverted, disabled) = (params.maybe("inverted"), params.maybe("disabled"));
    let leads_to: Option<BTreeMap<String, Vec<String>>> = params.maybe("leads_to");
    let at = match config.resource(&spec.target) {
        Some(ResourceTarget::Route53HealthCheck(at)) => Some(at.clone()),
        _ => {
            params.problem("there is no target of kind route53_health_check with this name");
            None
        }
    };
    if inverted.is_none() && disabled.is_none() {
        params.problem("neither `inverted` nor `disabled` is given: there is nothing to set");
    }
    if leads_to.as_ref().is_some_and(|names| names.is_empty() || names.values().any(Vec::is_empty)) {
        params
            .problem("`leads_to` names each name that hangs on it, with the addresses that it then leads to");
    }
    params.done()?;
    let at = at.ok_or_else(Vec::new)?;
    let resource = Resource {
        name: spec.target.clone(),
        target: ResourceTarget::Route53HealthCheck(at.clone()),
        part: Part::Whole,
    };
    let leads_to = leads_to.unwrap_or_default();
    Ok((resource, Box::new(Switch { spec: spec.clone(), at, inverted, disabled, leads_to })))
}

fn flag(fields: &Fields, key: &str) -> bool {
    fields.get(key) == Some(&json!(true))
}

impl Kind for Switch {
    fn identity(&self) -> Value {
        json!({ "route53": self.at.api, "health_check": self.at.health_check })
    }

    fn nature(&self) -> Nature {
        Nature {
            plane: "a control-plane act; it depends on Route 53's API in us-east-1, where an outage can hold it up; what it \
                    switches is then done by the name servers themselves",
            compares: true,
            settle: Settle::AtOnce,
        }
    }

    fn wanted(&self, now: &Fields, evidence: &Value, _given: &[Fact]) -> Result<Fields, StepPlan> {
        if let Some(service) = evidence["managed_by"].as_str() {
            let says = format!("{}: it is managed by {service}, and not ours to change", self.show(now));
            return Err(StepPlan::refuse("PM4404", says));
        }
        let mut wanted = now.clone();
        for (key, value) in [("inverted", self.inverted), ("disabled", self.disabled)] {
            if let Some(value) = value {
                wanted.insert(key.into(), json!(value));
            }
        }
        Ok(wanted)
    }

    fn show(&self, fields: &Fields) -> String {
        let says = match (flag(fields, "disabled"), flag(fields, "inverted")) {
            (false, false) => "healthy as long as its checks say so",
            (false, true) => "inverted: unhealthy as long as its checks say healthy",
            (true, false) => "always healthy (disabled)",
            (true, true) => "always unhealthy (disabled and inverted)",
        };
        format!("{} is {says}", text(fields, "about"))
    }

    fn undo(&self, now: &Fields) -> Undo {
        let mut with = json!({});
        for (key, asked) in [("inverted", self.inverted), ("disabled", self.disabled)] {
            if asked.is_some() {
                with[key] = json!(flag(now, key));
            }
        }
        Undo::To(Spec { with, ..self.spec.clone() })
    }

    fn by_hand(&self, fields: &Fields) -> Vec<String> {
        let word = |key: &str| if flag(fields, key) { format!("--{key}") } else { format!("--no-{key}") };
        vec![format!(
            "aws route53 update-health-check --health-check-id {} {} {}",
            self.at.health_check,
            word("inverted"),
            word("disabled")
        )]
    }

    fn warnings(&self, _now: &Fields, _evidence: &Value) -> Vec<String> {
        let mut warnings = vec![
            "which records hang on it is not looked at; where no other set of a name is healthy, Route 53 answers as if \
             all were"
                .to_owned(),
        ];
        if !self.leads_to.is_empty() {
            let one = |(name, to): (&String, &Vec<String>)| format!("{name} to {}", to.join(", "));
            let all: Vec<String> = self.leads_to.iter().map(one).collect();
            warnings.push(format!("the playbook says that it then leads {}", all.join("; ")));
        }
        warnings
    }

    fn effects(&self, _now: &Fields, _wanted: &Fields, _evidence: &Value) -> Vec<Effect> {
        let one = |(name, to): (&String, &Vec<String>)| Effect::Records {
            name: place(name),
            kind: "A".into(),
            before: vec![],
            after: to.iter().map(|at| place(at)).collect(),
        };
        self.leads_to.iter().map(one).collect()
    }
}
