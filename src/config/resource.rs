//! Things at a remote with a few fields that an action sets: a server behind a load balancer, a machine at a provider.

use super::SecretRef;
use super::balancer::{self, CloudflareBalancer, Route53HealthCheck};
use super::hosted::must_be_private;
use super::parse::{secret, url};
use crate::document::{Table, code};
use std::fmt;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub enum ResourceTarget {
    /// Every process that balances; all must do alike.
    Haproxy {
        sockets: Vec<HaproxySocket>,
    },
    /// A machine of the public cloud, by OpenStack.
    OvhInstance {
        /// Keystone, with its version: `https://auth.cloud.ovh.net/v3`.
        auth_url: String,
        region: String,
        instance: String,
        login: OpenstackLogin,
    },
    DigitaloceanDroplet {
        api: String,
        droplet: u64,
        token: SecretRef,
    },
    CloudflareBalancer(CloudflareBalancer),
    Route53HealthCheck(Route53HealthCheck),
}

/// Where one HAProxy listens for commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaproxySocket {
    Unix(PathBuf),
    /// `address:port`; it knows no password.
    Tcp(String),
}

impl fmt::Display for HaproxySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HaproxySocket::Unix(path) => write!(f, "{}", path.display()),
            HaproxySocket::Tcp(at) => f.write_str(at),
        }
    }
}

#[derive(Clone, Debug)]
pub enum OpenstackLogin {
    Application {
        id: String,
        secret: SecretRef,
    },
    /// A user of the project.
    User {
        user: String,
        domain: String,
        password: SecretRef,
        project: String,
    },
}

impl ResourceTarget {
    /// The target's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            ResourceTarget::Haproxy { .. } => "haproxy",
            ResourceTarget::OvhInstance { .. } => "ovh_instance",
            ResourceTarget::DigitaloceanDroplet { .. } => "digitalocean_droplet",
            ResourceTarget::CloudflareBalancer(_) => "cloudflare_balancer",
            ResourceTarget::Route53HealthCheck(_) => "route53_health_check",
        }
    }
}

pub(super) const KINDS: [&str; 5] =
    ["haproxy", "ovh_instance", "digitalocean_droplet", "cloudflare_balancer", "route53_health_check"];

pub(super) fn read(table: &Table<'_>, kind: &str) -> Option<ResourceTarget> {
    match kind {
        "haproxy" => haproxy(table),
        "ovh_instance" => ovh_instance(table),
        "cloudflare_balancer" => balancer::cloudflare(table),
        "route53_health_check" => balancer::health_check(table),
        _ => droplet(table),
    }
}

/// A base URL that credentials are sent to, without a slash at its end.
pub(super) fn base(table: &Table<'_>, key: &'static str, usual: &str) -> String {
    let given = url(table, key);
    if let Some(given) = &given {
        must_be_private(table, key, given);
    }
    given.as_deref().unwrap_or(usual).trim_end_matches('/').to_owned()
}

fn haproxy(table: &Table<'_>) -> Option<ResourceTarget> {
    table.need("sockets");
    let mut sockets: Vec<HaproxySocket> = vec![];
    for node in table.list("sockets").unwrap_or_default() {
        let text = table.sink.text(node, "each of \"sockets\"").unwrap_or_default();
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let socket = match port.map(|(_, port)| port.parse::<u16>()) {
            _ if text.starts_with('/') => HaproxySocket::Unix(text.into()),
            Some(Ok(port)) if port > 0 => HaproxySocket::Tcp(text.to_owned()),
            _ => {
                let says = "each of \"sockets\" must be a path or address:port";
                let hint = "for example \"/run/haproxy/admin.sock\"";
                table.sink.error_hint(code::BAD_VALUE, node.at.clone(), says, hint);
                continue;
            }
        };
        if sockets.contains(&socket) {
            table.sink.error(code::BAD_VALUE, node.at.clone(), format!("{socket} is listed twice"));
        }
        sockets.push(socket);
    }
    if sockets.is_empty() && table.get("sockets").is_some() {
        table.sink.error(code::BAD_VALUE, table.key_at("sockets"), "\"sockets\" must name at least one");
    }
    Some(ResourceTarget::Haproxy { sockets })
}

fn ovh_instance(table: &Table<'_>) -> Option<ResourceTarget> {
    let auth_url = base(table, "auth_url", "https://auth.cloud.ovh.net/v3");
    let (region, instance) = (table.need_text("region"), table.need_text("instance"));
    if instance.is_some_and(|instance| !is_plain(instance)) {
        let says = "\"instance\" is the id of a machine, not its name";
        table.sink.error(code::BAD_VALUE, table.key_at("instance"), says);
    }
    let application = table.get("application_credential_id").is_some();
    if application == table.get("user").is_some() {
        let says = "a machine of OVHcloud has either \"application_credential_id\" and \
                    \"application_credential_secret\", or \"user\", \"password\" and \"project\"";
        table.sink.error(code::MISSING, table.at.clone(), says);
        table.ignore_rest();
        return None;
    }
    let login = if application {
        table.need("application_credential_secret");
        let id = table.need_text("application_credential_id");
        let secret = secret(table, "application_credential_secret");
        OpenstackLogin::Application { id: id?.to_owned(), secret: secret? }
    } else {
        table.need("password");
        let (user, project) = (table.need_text("user"), table.need_text("project"));
        let domain = table.text("user_domain").unwrap_or("Default").to_owned();
        let password = secret(table, "password");
        let (user, project) = (user?.to_owned(), project?.to_owned());
        OpenstackLogin::User { user, domain, password: password?, project }
    };
    let (region, instance) = (region?.to_owned(), instance?.to_owned());
    Some(ResourceTarget::OvhInstance { auth_url, region, instance, login })
}

/// It becomes a part of a URL.
pub(super) fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn droplet(table: &Table<'_>) -> Option<ResourceTarget> {
    let api = base(table, "api", "https://api.digitalocean.com");
    table.need("droplet");
    table.need("token");
    let droplet = table.integer("droplet", 1, i64::MAX).and_then(|id| u64::try_from(id).ok());
    let token = secret(table, "token");
    Some(ResourceTarget::DigitaloceanDroplet { api, droplet: droplet?, token: token? })
}
