//! Zones that a provider serves and that are changed through its API.

use super::SecretRef;
use super::parse::{secret, url};
use super::servers::{self, LostWith};
use crate::document::{Table, code};
use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct HostedTarget {
    pub zone: String,
    /// The API's base URL, without a slash at its end.
    pub api: String,
    /// Authoritative servers of the zone, to look at what they serve. None: only the API is asked.
    pub servers: Vec<SocketAddr>,
    pub lost_with: LostWith,
    /// Recursive resolvers, asked what users get.
    pub resolvers: Vec<SocketAddr>,
    pub account: Account,
}

/// The provider, and how to get in.
#[derive(Clone, Debug)]
pub enum Account {
    PowerDns {
        server: String,
        key: SecretRef,
    },
    Cloudflare {
        zone_id: String,
        token: SecretRef,
    },
    DigitalOcean {
        token: SecretRef,
    },
    Ovh(OvhAccess),
    /// Without `keys` the SDK's own chain: environment, profile, web identity, the instance's role.
    Route53 {
        zone_id: String,
        keys: Option<AwsKeys>,
    },
}

#[derive(Clone, Debug)]
pub enum OvhAccess {
    /// Signed requests.
    Keys { application: String, secret: SecretRef, consumer: SecretRef },
    /// A service account: client credentials for a token.
    Service { client: String, secret: SecretRef, token_url: String },
}

#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub id: String,
    pub secret: SecretRef,
}

impl Account {
    /// The target's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Account::PowerDns { .. } => "powerdns",
            Account::Cloudflare { .. } => "cloudflare",
            Account::DigitalOcean { .. } => "digitalocean",
            Account::Ovh(_) => "ovh",
            Account::Route53 { .. } => "route53",
        }
    }
}

pub(super) const KINDS: [&str; 5] = ["powerdns", "cloudflare", "digitalocean", "ovh", "route53"];

pub(super) fn read(table: &Table<'_>, kind: &str) -> Option<HostedTarget> {
    let (account, usual) = match kind {
        "powerdns" => (powerdns(table), None),
        "cloudflare" => (cloudflare(table), Some("https://api.cloudflare.com/client/v4")),
        "digitalocean" => (digitalocean(table), Some("https://api.digitalocean.com")),
        "ovh" => (ovh(table), Some("https://eu.api.ovh.com/1.0")),
        _ => (route53(table), Some("https://route53.amazonaws.com")),
    };
    if usual.is_none() {
        table.need("api");
    }
    let given = url(table, "api");
    if let (Some(given), Some(_)) = (&given, usual) {
        must_be_private(table, "api", given);
    }
    let zone = table.need_text("zone");
    if kind == "ovh" {
        // Its API shows what is staged: only the servers can tell that it was published.
        table.need("servers");
    }
    let servers = servers::read(table);
    let lost_with = servers::read_lost_with(table, &servers, None);
    let resolvers = servers::read_resolvers(table, &servers);
    let api = given.or_else(|| usual.map(str::to_owned))?.trim_end_matches('/').to_owned();
    Some(HostedTarget { zone: zone?.to_owned(), api, servers, lost_with, resolvers, account: account? })
}

/// Whether a credential may be sent there: over TLS, or without leaving this machine.
pub fn is_private(given: &str) -> bool {
    let parsed = url::Url::parse(given).ok();
    let loopback = parsed.as_ref().and_then(|url| url.host()).is_some_and(|host| match host {
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
        url::Host::Domain(_) => false,
    });
    loopback || given.starts_with("https://")
}

pub(super) fn must_be_private(table: &Table<'_>, key: &'static str, given: &str) {
    if !is_private(given) {
        let says = format!("{key:?} must be https: a credential is sent there");
        table.sink.error(code::BAD_VALUE, table.key_at(key), says);
    }
}

fn powerdns(table: &Table<'_>) -> Option<Account> {
    table.need("key");
    let server = table.text("server").unwrap_or("localhost").to_owned();
    Some(Account::PowerDns { server, key: secret(table, "key")? })
}

fn cloudflare(table: &Table<'_>) -> Option<Account> {
    table.need("token");
    let (zone_id, token) = (table.need_text("zone_id"), secret(table, "token"));
    Some(Account::Cloudflare { zone_id: zone_id?.to_owned(), token: token? })
}

fn digitalocean(table: &Table<'_>) -> Option<Account> {
    table.need("token");
    Some(Account::DigitalOcean { token: secret(table, "token")? })
}

fn ovh(table: &Table<'_>) -> Option<Account> {
    let service = table.get("client_id").is_some();
    if service == table.get("application_key").is_some() {
        let says = "an OVH zone has either \"application_key\", \"application_secret\" and \"consumer_key\", \
                    or \"client_id\" and \"client_secret\"";
        table.sink.error(code::MISSING, table.at.clone(), says);
        table.ignore_rest();
        return None;
    }
    if service {
        table.need("client_secret");
        let (client, secret) = (table.need_text("client_id"), secret(table, "client_secret"));
        let token_url = url(table, "token_url");
        if let Some(given) = &token_url {
            must_be_private(table, "token_url", given);
        }
        let token_url = token_url.unwrap_or_else(|| "https://www.ovh.com/auth/oauth2/token".to_owned());
        return Some(Account::Ovh(OvhAccess::Service {
            client: client?.to_owned(),
            secret: secret?,
            token_url,
        }));
    }
    table.need("application_secret");
    table.need("consumer_key");
    let application = table.need_text("application_key");
    let (secret, consumer) = (secret(table, "application_secret"), secret(table, "consumer_key"));
    let keys = OvhAccess::Keys { application: application?.to_owned(), secret: secret?, consumer: consumer? };
    Some(Account::Ovh(keys))
}

fn route53(table: &Table<'_>) -> Option<Account> {
    let (zone_id, keys) = (table.need_text("zone_id"), aws_keys(table));
    let zone_id = zone_id?.trim_start_matches("/hostedzone/").to_owned();
    Some(Account::Route53 { zone_id, keys })
}

/// Without them the SDK's own chain is asked.
pub(super) fn aws_keys(table: &Table<'_>) -> Option<AwsKeys> {
    let id = table.text("access_key_id").map(str::to_owned);
    let secret = secret(table, "secret_access_key");
    if id.is_some() != table.get("secret_access_key").is_some() {
        let says = "\"access_key_id\" and \"secret_access_key\" belong together";
        table.sink.error(code::MISSING, table.at.clone(), says);
    }
    id.zip(secret).map(|(id, secret)| AwsKeys { id, secret })
}
