//! The one way to build an HTTP client: the system's authorities, no redirect, no proxy, no connection used twice.
//!
//! Used by the probes of this room, and by every provider that is spoken to over HTTP.

use super::port::{Failed, Layer};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(2);

/// The system's authorities are read once, when first needed: that takes longer than everything else at start.
#[derive(Default)]
pub struct Clients {
    tls: OnceLock<Result<rustls::ClientConfig, String>>,
}

impl Clients {
    pub fn tls(&self) -> Result<rustls::ClientConfig, Failed> {
        let made = self.tls.get_or_init(tls_config).clone();
        made.map_err(|says| Failed { layer: Layer::Local, says })
    }

    /// For one request, so that no answer comes over an old connection or an old resolution.
    pub fn builder(&self, within: Duration) -> Result<reqwest::ClientBuilder, Failed> {
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(within * 2 / 3))
            .timeout(within))
    }
}

fn tls_config() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, _) = roots.add_parsable_certificates(found.certs);
    // Without authorities every certificate is refused: probes then fail in TLS and are blind, never down.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Which layer a request failed in. Only what TLS itself said is TLS: a connection closed during the handshake is
/// what a dying server does.
pub fn failed(error: reqwest::Error) -> Failed {
    let layer = match error.is_connect() {
        _ if is_tls(&error) => Layer::Tls,
        true if is_dns(&error) => Layer::Dns,
        true => Layer::Tcp,
        false => Layer::Http,
    };
    Failed { layer, says: words(&error.without_url()) }
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An I/O error's source is the source of what it wraps: the wrapped error itself has to be asked for.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

fn is_dns(error: &(dyn Error + 'static)) -> bool {
    error.to_string().starts_with("dns error") || error.source().is_some_and(is_dns)
}

/// The last words of the chain: the cause, not "error sending request".
pub fn words(error: &dyn Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let (first, last) = (error.to_string(), deepest.to_string());
    if first == last { first } else { format!("{first}: {last}") }
}
