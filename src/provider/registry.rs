//! From `provider.verb` to the code that carries it out. The only place that knows them all.

use super::{Owner, dns, host, hosted, http, patroni, postgres, redis, resource};
use crate::config::Config;
use crate::kernel::domain::{Name, Span, Spec};
use crate::kernel::port::{Bound, Registry};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The ways out: real clients, or models of them.
#[derive(Clone)]
pub struct Ports {
    pub postgres: Arc<dyn postgres::Port>,
    pub patroni: Arc<dyn patroni::Port>,
    pub redis: Arc<dyn redis::Port>,
    pub dns: Arc<dyn dns::Port>,
    pub host: Arc<dyn host::Port>,
    pub hosted: Arc<dyn hosted::Port>,
    pub resource: Arc<dyn resource::Port>,
    pub http: Arc<dyn http::Port>,
    /// In whose name claims are left at remotes.
    pub owner: Owner,
}

impl Ports {
    /// The real clients. `config` names the targets of `sql` probes.
    pub fn real(config: Arc<Config>) -> Ports {
        let postgres = Arc::new(postgres::Wire);
        let hosted = hosted::Wire::default();
        let ping = Arc::new(Pinger { config, port: postgres.clone() });
        Ports {
            postgres,
            patroni: Arc::new(patroni::Wire::default()),
            redis: Arc::new(redis::Wire),
            dns: Arc::new(dns::Wire),
            host: Arc::new(host::Wire::default()),
            resource: Arc::new(resource::Wire::beside(&hosted)),
            hosted: Arc::new(hosted),
            http: Arc::new(http::Wire::new(Some(ping))),
            owner: Owner::default(),
        }
    }
}

/// `sql` probes: the room of PostgreSQL lends its query to the room of probes.
struct Pinger {
    config: Arc<Config>,
    port: Arc<postgres::Wire>,
}

impl http::SqlPing for Pinger {
    fn ping<'a>(&'a self, target: &'a Name, within: Span) -> BoxFuture<'a, http::Pinged> {
        use postgres::{Layer, Port as _, Trouble};
        let down = |says: String| http::Pinged::Down(http::Failed { layer: http::Layer::Sql, says });
        Box::pin(async move {
            let Some(at) = postgres::Endpoint::of(&self.config, target) else {
                return http::Pinged::Blind(format!("{target} is not a postgres target"));
            };
            match self.port.ping(&at, within).await {
                Ok(()) => http::Pinged::Up,
                Err(Trouble::Silent(silent)) if matches!(silent.layer, Layer::Auth | Layer::Tls) => {
                    http::Pinged::Blind(silent.says)
                }
                Err(Trouble::Silent(silent)) => down(format!("{}: {}", silent.layer, silent.says)),
                Err(Trouble::Doubt { says }) => down(says),
                Err(trouble @ (Trouble::Denied { .. } | Trouble::Ours { .. })) => {
                    http::Pinged::Blind(trouble.to_string())
                }
            }
        })
    }
}

pub struct ProviderRegistry {
    pub config: Arc<Config>,
    pub ports: Ports,
}

impl Registry for ProviderRegistry {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        match spec.kind.as_str() {
            "postgres.fence"
            | "postgres.promote"
            | "postgres.lag"
            | "postgres.superseded"
            | "postgres.unfence"
            | "postgres.standby"
            | "sql.write_probe" => postgres::bind(spec, &self.config, &self.ports),
            "patroni.switchover"
            | "patroni.failover"
            | "patroni.promote_standby_cluster"
            | "patroni.demote_cluster"
            | "patroni.superseded"
            | "patroni.undemote_cluster" => patroni::bind(spec, &self.config, &self.ports),
            "redis.fence" | "redis.promote" | "redis.failover" | "redis.replicate" | "redis.unreplicate"
            | "redis.unfence" | "redis.replica" | "redis.superseded" | "redis.write_probe"
            | "sentinel.failover" => redis::bind(spec, &self.config, &self.ports),
            "dns.record" => dns::bind(spec, &self.config, &self.ports),
            "route53.record"
            | "cloudflare.record"
            | "powerdns.record"
            | "digitalocean.record"
            | "ovh.record" => hosted::bind(spec, &self.config, &self.ports),
            _ if resource::is_one(spec) => resource::bind(spec, &self.config, &self.ports),
            "command.run" | "file.render" => host::bind(spec, &self.config, &self.ports),
            "http.expect" | "quorum" | "still_firing" => http::bind(spec, &self.config, &self.ports),
            other => Err(vec![format!("there is no action or check named {other:?}")]),
        }
    }
}
