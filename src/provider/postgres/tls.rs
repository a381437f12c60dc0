//! TLS to PostgreSQL: rustls with aws-lc-rs, certificate and name verified. Called by `wire` for each
//! connection.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio_postgres_rustls::MakeRustlsConnect;

pub fn connector(ca: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    Ok(MakeRustlsConnect::new(client(ca)?))
}

/// Trusts the authority in `ca`, read now so that a rotated file counts, or the system's. Other servers of data are
/// trusted in the same way.
pub fn client(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let roots = match ca {
        Some(path) => Arc::new(from_file(path)?),
        None => system()?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let fail = |why: String| format!("cannot read the authority's certificate {}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fail(e.to_string()))? {
        let certificate = certificate.map_err(|e| fail(e.to_string()))?;
        roots.add(certificate).map_err(|e| fail(e.to_string()))?;
    }
    if roots.is_empty() { Err(fail("there is no certificate in it".into())) } else { Ok(roots) }
}

/// Reading the system's store costs tens of milliseconds: once per process.
fn system() -> Result<Arc<RootCertStore>, String> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err("this machine trusts no certificate authority; name one with `ca`".into());
    }
    Ok(Arc::clone(roots))
}
