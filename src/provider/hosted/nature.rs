//! What differs between the providers, as far as planning has to know.

use crate::config::{Account, HostedTarget};
use crate::kernel::domain::{Settle, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// The remote itself refuses a change of what is no longer as it was seen.
    pub compares: bool,
    /// All sets of a change happen together, or none does.
    pub whole: bool,
    /// Weights, failover policies and aliases.
    pub routes: bool,
    /// Changes are staged, and published by a further call: what the API holds is not what is served.
    pub staged: bool,
    pub least_ttl: u32,
    /// The number that stands for the provider's own choice of a TTL.
    pub auto_ttl: Option<u32>,
    /// Where the API that takes the change is run.
    pub plane: &'static str,
}

const PLAIN: Nature = Nature {
    compares: false,
    whole: true,
    routes: false,
    staged: false,
    least_ttl: 1,
    auto_ttl: None,
    plane: "the API of the primary PowerDNS server",
};

pub fn of(zone: &HostedTarget) -> Nature {
    match &zone.account {
        Account::PowerDns { .. } => PLAIN,
        Account::Cloudflare { .. } => Nature {
            least_ttl: 60,
            auto_ttl: Some(1),
            plane: "Cloudflare's API, which is not tied to one region",
            ..PLAIN
        },
        Account::DigitalOcean { .. } => Nature {
            whole: false,
            least_ttl: 30,
            plane: "DigitalOcean's API, whose regions are not published",
            ..PLAIN
        },
        Account::Ovh(_) => Nature {
            whole: false,
            staged: true,
            least_ttl: 60,
            auto_ttl: Some(0),
            plane: "OVHcloud's API (one per continent)",
            ..PLAIN
        },
        Account::Route53 { .. } => Nature {
            compares: true,
            routes: true,
            plane: "Route 53's control plane in us-east-1: an outage there can hold the change up",
            ..PLAIN
        },
    }
}

impl Nature {
    /// A call on its way that compares by itself can take effect only once. Any other could still arrive: the API's
    /// own time-out has to go by first.
    pub fn settle(&self) -> Settle {
        if self.compares { Settle::AtOnce } else { Settle::After(Span::secs(30)) }
    }
}
