//! The real remotes behind one port: each call goes to the file of the resource's kind.

use super::cloudflare::Balancer;
use super::digitalocean::Droplet;
use super::haproxy_wire::Server;
use super::openstack::{Instance, Sessions};
use super::port::{Part, Port, Resource, Seen, Write};
#[cfg(feature = "provider-route53")]
use super::route53::HealthCheck;
use crate::config::ResourceTarget;
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::rights::of_digitalocean;
use crate::provider::hosted::{self, Api, Rights, Written, cloudflare, digitalocean};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

#[derive(Default)]
pub struct Wire {
    api: Arc<Api>,
    #[cfg(feature = "provider-route53")]
    route53: Arc<crate::provider::hosted::route53::Client>,
    openstack: Sessions,
}

/// A resource of one kind with the part of another: `bind` makes none.
const MIXED: &str = "the resource has no such part";

impl Wire {
    /// With the clients of the zones.
    pub fn beside(hosted: &hosted::Wire) -> Wire {
        Wire {
            api: hosted.api.clone(),
            #[cfg(feature = "provider-route53")]
            route53: hosted.route53.clone(),
            openstack: Sessions::default(),
        }
    }

    fn instance<'a>(&'a self, target: &'a ResourceTarget, within: Duration) -> Option<Instance<'a>> {
        let ResourceTarget::OvhInstance { auth_url, region, instance, login } = target else { return None };
        let (api, sessions) = (self.api.as_ref(), &self.openstack);
        Some(Instance { api, sessions, auth_url, region, id: instance, login, within })
    }

    fn droplet<'a>(&'a self, target: &'a ResourceTarget, within: Duration) -> Option<Droplet<'a>> {
        let ResourceTarget::DigitaloceanDroplet { api: base, droplet, token } = target else { return None };
        Some(Droplet { api: &self.api, base, id: *droplet, token, within })
    }

    fn balancer<'a>(&'a self, target: &'a ResourceTarget, within: Duration) -> Option<Balancer<'a>> {
        let ResourceTarget::CloudflareBalancer(at) = target else { return None };
        Some(Balancer { api: &self.api, at, within })
    }

    async fn look(&self, resource: &Resource, within: Duration) -> Result<Seen, NoAnswer> {
        #[cfg(feature = "provider-route53")]
        if let ResourceTarget::Route53HealthCheck(at) = &resource.target {
            return HealthCheck { client: &self.route53, at, within }.read().await;
        }
        if let Some(balancer) = self.balancer(&resource.target, within) {
            return balancer.read(&resource.part).await;
        }
        if let (ResourceTarget::Haproxy { sockets }, Some(server)) =
            (&resource.target, server(&resource.part))
        {
            return server.read(sockets, within).await;
        }
        if let Some(instance) = self.instance(&resource.target, within) {
            return instance.read().await;
        }
        match self.droplet(&resource.target, within) {
            Some(droplet) => droplet.read().await,
            None => Err(NoAnswer { layer: "local", says: MIXED.into() }),
        }
    }

    async fn told(&self, resource: &Resource, now: Time, within: Duration) -> Vec<Rights> {
        match (&resource.target, &resource.part) {
            (ResourceTarget::Haproxy { sockets }, _) => super::haproxy_wire::rights(sockets, within).await,
            (ResourceTarget::DigitaloceanDroplet { api: base, token, .. }, _) => {
                of_digitalocean(digitalocean::account(&self.api, base, token, within).await)
            }
            (ResourceTarget::CloudflareBalancer(at), Part::Order { .. }) => {
                let right = (at.zone_id.as_str(), cloudflare::EDIT_BALANCERS);
                cloudflare::rights(&self.api, (at.api.as_str(), &at.token), right, now, within).await
            }
            (ResourceTarget::CloudflareBalancer(_), _) => vec![Rights::Untold(
                "pools belong to the account, and what a token may do there is not told".into(),
            )],
            (ResourceTarget::OvhInstance { .. }, _) => match self.instance(&resource.target, within) {
                Some(instance) => instance.rights().await,
                None => vec![Rights::Untold(MIXED.into())],
            },
            (ResourceTarget::Route53HealthCheck(_), _) => {
                let says = "Route 53 has no question for it, and IAM's simulator is a service of its own";
                vec![Rights::Untold(says.into())]
            }
        }
    }

    async fn change(&self, resource: &Resource, write: Write<'_>, within: Duration) -> Written {
        #[cfg(feature = "provider-route53")]
        if let ResourceTarget::Route53HealthCheck(at) = &resource.target {
            return HealthCheck { client: &self.route53, at, within }.write(write).await;
        }
        if let Some(balancer) = self.balancer(&resource.target, within) {
            return balancer.write(&resource.part, write).await;
        }
        if let (ResourceTarget::Haproxy { sockets }, Some(server)) =
            (&resource.target, server(&resource.part))
        {
            return server.write(sockets, write, within).await;
        }
        if let Some(instance) = self.instance(&resource.target, within) {
            return instance.write(write).await;
        }
        match self.droplet(&resource.target, within) {
            Some(droplet) => droplet.write(write).await,
            None => Written::NotSent { retry: false, says: MIXED.into() },
        }
    }
}

fn server(part: &Part) -> Option<Server<'_>> {
    match part {
        Part::Whole | Part::Order { .. } | Part::Pool { .. } => None,
        Part::Server { backend, server, sessions } => Some(Server { backend, server, sessions: *sessions }),
    }
}

impl Port for Wire {
    fn read<'a>(&'a self, resource: &'a Resource, within: Span) -> BoxFuture<'a, Result<Seen, NoAnswer>> {
        async move {
            let late = || NoAnswer { layer: "http", says: format!("no whole answer within {within}") };
            let look = self.look(resource, within.as_duration());
            timeout(within.as_duration(), look).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn rights<'a>(&'a self, resource: &'a Resource, now: Time, within: Span) -> BoxFuture<'a, Vec<Rights>> {
        async move {
            let late = || vec![Rights::Untold(format!("no whole answer within {within}"))];
            let told = self.told(resource, now, within.as_duration());
            timeout(within.as_duration(), told).await.unwrap_or_else(|_| late())
        }
        .boxed()
    }

    fn write<'a>(&'a self, resource: &'a Resource, write: Write<'a>, within: Span) -> BoxFuture<'a, Written> {
        async move {
            let late = || Written::Doubt(format!("no whole answer within {within}"));
            let change = self.change(resource, write, within.as_duration());
            timeout(within.as_duration(), change).await.unwrap_or_else(|_| late())
        }
        .boxed()
    }
}
