//! Where requests come from: TCP, TCP under TLS, and the socket beside the database, which works when network, names and
//! certificates do not. `worker::serve` opens them.

use crate::config::Tls;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The other end of a connection. No header says more: proxies are not believed.
#[derive(Clone, Debug)]
pub enum Peer {
    Address(SocketAddr),
    Socket,
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Peer {
        Peer::Address(*stream.remote_addr())
    }
}
impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Peer {
        Peer::Address(*stream.remote_addr())
    }
}
impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Peer {
        Peer::Socket
    }
}

/// Handshakes on their way at once; more wait in the kernel's queue.
const SHAKING: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(10);

type Shaken = Option<(TlsStream<TcpStream>, SocketAddr)>;

/// TCP under TLS. A peer that does not finish its handshake holds up nobody.
pub struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    shaking: FuturesUnordered<BoxFuture<'static, Shaken>>,
}

impl TlsListener {
    pub fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> TlsListener {
        TlsListener { tcp, acceptor, shaking: FuturesUnordered::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (stream, address) = Listener::accept(&mut self.tcp), if self.shaking.len() < SHAKING => {
                    let shake = self.acceptor.accept(stream);
                    self.shaking.push(Box::pin(async move {
                        match tokio::time::timeout(HANDSHAKE, shake).await {
                            Ok(Ok(stream)) => Some((stream, address)),
                            Ok(Err(error)) => {
                                tracing::debug!(%address, %error, "a TLS handshake failed");
                                None
                            }
                            Err(_) => None,
                        }
                    }));
                }
                Some(shaken) = self.shaking.next(), if !self.shaking.is_empty() => {
                    if let Some(ready) = shaken {
                        return ready;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Reads certificate and key; called before anything is started.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let failed = |path: &Path, why: String| format!("{} cannot be used: {why}", path.display());
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|e| failed(&tls.certificate, e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| failed(&tls.key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| failed(&tls.certificate, e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The socket's place in the data directory.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("pointsman.sock")
}

/// A socket that only its owner may open, from its first moment on. The directory's lock is held: an older one is stale.
pub fn bind_socket(data: &Path) -> io::Result<UnixListener> {
    let path = socket_path(data);
    // Made where nobody else can look, and moved into place when its rights are right.
    let hidden = tempfile::Builder::new().prefix(".s").rand_bytes(4).tempdir_in(data)?;
    let made = hidden.path().join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, &path)?;
    Ok(listener)
}
