//! `ovh.instance`, `digitalocean.droplet`: a machine at its provider is switched off. As a fence this is the rung
//! *powered_off*, which the playbook's `proves` gives to the database on it: the provider says that it is off.
//!
//! Switching on is the undo, and nothing that a playbook can ask for: a machine that comes back brings its old primary.

use super::kind::{Kind, Nature, text};
use super::port::{Fields, Part, Resource};
use crate::config::{Config, OpenstackLogin, ResourceTarget};
use crate::kernel::domain::{Fact, Name, Settle, Span, Spec, StepPlan, Undo};
use crate::provider::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Power {
    On,
    Off,
}

struct Machine {
    spec: Spec,
    target: ResourceTarget,
    site: Name,
    /// What may run on it: a proof about a server of another site says nothing about this machine.
    neighbours: BTreeSet<Name>,
    wanted: Power,
}

pub fn read(spec: &Spec, config: &Config) -> Result<(Resource, Box<dyn Kind>), Vec<String>> {
    let mut params = Params::new(spec);
    let wanted = params.maybe("power").unwrap_or(Power::Off);
    let kind = if spec.kind.as_str() == "ovh.instance" { "ovh_instance" } else { "digitalocean_droplet" };
    let target = config.resource(&spec.target).filter(|target| target.kind() == kind).cloned();
    if target.is_none() {
        params.problem(format!("there is no target of kind {kind} with this name"));
    }
    let site = config.target(&spec.target).and_then(|target| target.site.clone());
    if target.is_some() && site.is_none() {
        params.problem("the target has no `site`: a machine is only switched off while its site is down");
    }
    params.done()?;
    let (target, site) = target.zip(site).ok_or_else(Vec::new)?;
    let neighbours = config.targets.iter().filter(|(_, other)| other.site.as_ref() == Some(&site));
    let neighbours = neighbours.map(|(name, _)| name.clone()).collect();
    let resource = Resource { name: spec.target.clone(), target: target.clone(), part: Part::Whole };
    Ok((resource, Box::new(Machine { spec: spec.clone(), target, site, neighbours, wanted })))
}

impl Machine {
    /// What runs on it may be alive, and only places outside can say that nobody is served. A fence that is put up
    /// again stands on the proof that another primary superseded one of this site.
    fn may_be_cut(&self, given: &[Fact]) -> bool {
        given.iter().any(|fact| match fact {
            Fact::Down { site } => *site == self.site,
            Fact::Superseded { target, .. } => self.neighbours.contains(target),
            _ => false,
        })
    }
}

impl Kind for Machine {
    fn identity(&self) -> Value {
        match &self.target {
            ResourceTarget::OvhInstance { auth_url, region, instance, .. } => {
                json!({ "openstack": auth_url, "region": region, "instance": instance })
            }
            ResourceTarget::DigitaloceanDroplet { api, droplet, .. } => {
                json!({ "api": api, "droplet": droplet })
            }
            _ => Value::Null,
        }
    }

    fn nature(&self) -> Nature {
        let plane = match &self.target {
            ResourceTarget::OvhInstance { .. } => {
                "a control-plane act; it depends on OVHcloud's OpenStack in the machine's own region, and on its login"
            }
            _ => "a control-plane act; it depends on DigitalOcean's API, whose regions are not published",
        };
        Nature { plane, compares: false, settle: Settle::After(Span::secs(30)) }
    }

    fn wanted(&self, now: &Fields, _evidence: &Value, given: &[Fact]) -> Result<Fields, StepPlan> {
        if !["on", "off"].contains(&text(now, "power")) {
            let says = format!("{}: neither on nor off, and nothing is proven by it", self.show(now));
            return Err(StepPlan::unknown("PM4402", says));
        }
        if self.wanted == Power::Off && text(now, "power") == "on" && !self.may_be_cut(given) {
            let says = format!(
                "{}, and no guard says that {} is down by a majority: what is alive is not switched off",
                self.show(now),
                self.site
            );
            return Err(StepPlan::refuse("PM4410", says));
        }
        let mut wanted = now.clone();
        wanted.insert("power".into(), json!(self.wanted));
        Ok(wanted)
    }

    fn show(&self, fields: &Fields) -> String {
        format!("{} is {}", text(fields, "name"), text(fields, "power"))
    }

    fn undo(&self, now: &Fields) -> Undo {
        Undo::To(Spec { with: json!({ "power": text(now, "power") }), ..self.spec.clone() })
    }

    fn by_hand(&self, fields: &Fields) -> Vec<String> {
        let off = text(fields, "power") == "off";
        match &self.target {
            ResourceTarget::OvhInstance { region, instance, login, .. } => {
                let verb = if off { "stop" } else { "start" };
                let who = match login {
                    OpenstackLogin::Application { .. } => "the application credential",
                    OpenstackLogin::User { .. } => "the user",
                };
                vec![format!(
                    "OS_REGION_NAME={region} openstack server {verb} {instance}   # as {who} of the configuration; look \
                     with: openstack server show {instance} -c status"
                )]
            }
            ResourceTarget::DigitaloceanDroplet { droplet, .. } => {
                let verb = if off { "power-off" } else { "power-on" };
                vec![format!("doctl compute droplet-action {verb} {droplet} --wait")]
            }
            _ => vec![],
        }
    }

    fn warnings(&self, _now: &Fields, evidence: &Value) -> Vec<String> {
        let mut warnings = vec![];
        match (&self.target, self.wanted) {
            (_, Power::On) => warnings.push("what ran on the machine when it stopped may start again".into()),
            (ResourceTarget::OvhInstance { .. }, Power::Off) => {
                warnings
                    .push("the guest is asked to shut down first; what it does not end is cut off".into());
            }
            (_, Power::Off) => warnings.push("as if the plug were pulled: nothing is shut down first".into()),
        }
        if self.wanted == Power::Off {
            let says =
                "whoever may use the provider's account can switch it on again; nothing here hinders that";
            warnings.push(says.into());
        }
        warnings
            .extend(evidence["last"].as_str().map(|last| format!("the last action at the provider: {last}")));
        warnings
    }
}
