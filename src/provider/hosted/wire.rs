//! The real providers behind one port: each call goes to the file of the zone's provider.

use super::api::Api;
use super::port::{Look, Port, Seen, Write, Written};
use super::rights::{Rights, of_digitalocean};
use super::{cloudflare, digitalocean, ovh, powerdns};
use crate::config::{Account, HostedTarget};
use crate::kernel::domain::{Span, Time};
use crate::provider::dns::NoAnswer;
use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::Arc;
use tokio::time::timeout;

#[derive(Default)]
pub struct Wire {
    /// These are shared with the resources: what an account is limited by, it is limited by in both.
    pub(in crate::provider) api: Arc<Api>,
    #[cfg(feature = "provider-route53")]
    pub(in crate::provider) route53: Arc<super::route53::Client>,
    ovh: ovh::Sessions,
}

impl Wire {
    async fn look(&self, zone: &HostedTarget, look: Look<'_>, within: Span) -> Result<Seen, NoAnswer> {
        let span = within.as_duration();
        match &zone.account {
            Account::PowerDns { server, key } => {
                powerdns::Zone::new(&self.api, zone, server, key, span).read(look).await
            }
            Account::Cloudflare { zone_id, token } => {
                cloudflare::Zone::new(&self.api, zone, zone_id, token, span).read(look).await
            }
            Account::DigitalOcean { token } => {
                digitalocean::Zone::new(&self.api, zone, token, span).read(look).await
            }
            Account::Ovh(access) => ovh::Zone::new(&self.api, &self.ovh, zone, access, span).read(look).await,
            #[cfg(feature = "provider-route53")]
            Account::Route53 { zone_id, keys } => {
                self.route53.read(zone, zone_id, keys.as_ref(), look, span).await
            }
            #[cfg(not(feature = "provider-route53"))]
            Account::Route53 { .. } => Err(NoAnswer { layer: "local", says: LEFT_OUT.into() }),
        }
    }

    async fn told(&self, zone: &HostedTarget, now: Time, within: Span) -> Vec<Rights> {
        let span = within.as_duration();
        match &zone.account {
            Account::PowerDns { server, key } => {
                powerdns::Zone::new(&self.api, zone, server, key, span).rights().await
            }
            Account::Cloudflare { zone_id, token } => {
                let at = (zone.api.as_str(), token);
                cloudflare::rights(&self.api, at, (zone_id.as_str(), cloudflare::EDIT_RECORDS), now, span)
                    .await
            }
            Account::DigitalOcean { token } => {
                of_digitalocean(digitalocean::account(&self.api, &zone.api, token, span).await)
            }
            Account::Ovh(access) => {
                ovh::Zone::new(&self.api, &self.ovh, zone, access, span).rights(now).await
            }
            Account::Route53 { .. } => vec![Rights::Untold(ROUTE53.into())],
        }
    }

    async fn change(&self, zone: &HostedTarget, write: Write<'_>, within: Span) -> Written {
        let span = within.as_duration();
        match &zone.account {
            Account::PowerDns { server, key } => {
                powerdns::Zone::new(&self.api, zone, server, key, span).write(write).await
            }
            Account::Cloudflare { zone_id, token } => {
                cloudflare::Zone::new(&self.api, zone, zone_id, token, span).write(write).await
            }
            Account::DigitalOcean { token } => {
                digitalocean::Zone::new(&self.api, zone, token, span).write(write).await
            }
            Account::Ovh(access) => {
                ovh::Zone::new(&self.api, &self.ovh, zone, access, span).write(write).await
            }
            #[cfg(feature = "provider-route53")]
            Account::Route53 { zone_id, keys } => {
                self.route53.write(zone, zone_id, keys.as_ref(), write, span).await
            }
            #[cfg(not(feature = "provider-route53"))]
            Account::Route53 { .. } => Written::NotSent { retry: false, says: LEFT_OUT.into() },
        }
    }
}

const ROUTE53: &str = "Route 53 has no question for it, and IAM's simulator is a service of its own";

#[cfg(not(feature = "provider-route53"))]
const LEFT_OUT: &str = "Route 53 is left out of this build";

impl Port for Wire {
    fn read<'a>(
        &'a self,
        zone: &'a HostedTarget,
        look: Look<'a>,
        within: Span,
    ) -> BoxFuture<'a, Result<Seen, NoAnswer>> {
        async move {
            let late = || NoAnswer { layer: "http", says: format!("no whole answer within {within}") };
            timeout(within.as_duration(), self.look(zone, look, within)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn rights<'a>(&'a self, zone: &'a HostedTarget, now: Time, within: Span) -> BoxFuture<'a, Vec<Rights>> {
        async move {
            let late = || vec![Rights::Untold(format!("no whole answer within {within}"))];
            timeout(within.as_duration(), self.told(zone, now, within)).await.unwrap_or_else(|_| late())
        }
        .boxed()
    }

    fn write<'a>(&'a self, zone: &'a HostedTarget, write: Write<'a>, within: Span) -> BoxFuture<'a, Written> {
        async move {
            let late = || Written::Doubt(format!("no whole answer within {within}"));
            timeout(within.as_duration(), self.change(zone, write, within)).await.unwrap_or_else(|_| late())
        }
        .boxed()
    }
}
