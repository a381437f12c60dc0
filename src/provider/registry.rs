//! From `provider.verb` to the code that carries it out. The only place that knows them all.

use super::{dns, host, http, postgres};
use crate::config::Config;
use crate::kernel::domain::Spec;
use crate::kernel::port::{Bound, Registry};
use std::sync::Arc;

/// The ways out: real clients, or models of them.
#[derive(Clone)]
pub struct Ports {
    pub postgres: Arc<dyn postgres::Port>,
    pub dns: Arc<dyn dns::Port>,
    pub host: Arc<dyn host::Port>,
    pub http: Arc<dyn http::Port>,
}

pub struct ProviderRegistry {
    pub config: Arc<Config>,
    pub ports: Ports,
}

impl Registry for ProviderRegistry {
    fn bind(&self, spec: &Spec) -> Result<Bound, Vec<String>> {
        match spec.kind.as_str() {
            "postgres.fence" | "postgres.promote" | "postgres.lag" | "sql.write_probe" => {
                postgres::bind(spec, &self.config, &self.ports)
            }
            "dns.record" => dns::bind(spec, &self.config, &self.ports),
            "command.run" | "file.render" => host::bind(spec, &self.config, &self.ports),
            "http.expect" | "quorum" | "still_firing" => http::bind(spec, &self.config, &self.ports),
            other => Err(vec![format!("there is no action or check named {other:?}")]),
        }
    }
}
