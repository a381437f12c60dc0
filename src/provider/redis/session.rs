//! One short connection per call, bounded from outside. The socket and its TLS are opened here, so that each failure has
//! its place; the client of the `redis` crate speaks over it. Called by `wire` only.
//!
//! The connection is driven beside the work, without a task of its own: dropping the call drops the socket.

use super::node::{Layer, Silent};
use super::port::{Endpoint, Reply, Trouble};
use crate::config::{SecretRef, TlsMode};
use crate::kernel::domain::Span;
use crate::provider::postgres::tls_client;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, RedisResult};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// As whom to speak.
#[derive(Clone, Copy)]
pub enum As {
    Admin,
    /// The application's user; Pointsman's own where the target names none.
    App,
}

pub type Work<T> =
    Box<dyn for<'c> FnOnce(&'c mut MultiplexedConnection) -> BoxFuture<'c, RedisResult<T>> + Send>;

fn silent(layer: Layer, says: impl Into<String>) -> Trouble {
    Trouble::Silent(Silent { layer, says: says.into() })
}

/// Opens, works, closes; never longer than `within`.
pub async fn run<T: Send>(at: &Endpoint, who: As, within: Span, work: Work<T>) -> Reply<T> {
    let until = Instant::now() + within.as_duration();
    let login = login(at, who).map_err(|says| Trouble::Ours { says })?;
    let tcp = connect(at, until).await?;
    match at.conf.tls {
        TlsMode::Disable => speak(tcp, &login, within, until, work).await,
        TlsMode::VerifyFull => {
            let tls = tls_client(at.conf.ca.as_deref()).map_err(|says| Trouble::Ours { says })?;
            let host = at.conf.address.clone();
            let name = rustls::pki_types::ServerName::try_from(host).map_err(|e| Trouble::Ours {
                says: format!("{} is no name for TLS: {e}", at.conf.address),
            })?;
            let shaken = timeout_at(until, TlsConnector::from(Arc::new(tls)).connect(name, tcp)).await;
            let shaken = shaken.map_err(|_| silent(Layer::Timeout, format!("no TLS within {within}")))?;
            let stream = shaken.map_err(|e| silent(Layer::Tls, e.to_string()))?;
            speak(stream, &login, within, until, work).await
        }
    }
}

fn login(at: &Endpoint, who: As) -> Result<RedisConnectionInfo, String> {
    let conf = &at.conf;
    let (user, password) = match (who, &conf.app_role) {
        (As::App, Some(app)) => (Some(&app.user), &app.password),
        (As::App, None) | (As::Admin, _) => (conf.user.as_ref(), &conf.password),
    };
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(secret) = password.as_ref().map(SecretRef::read).transpose().map_err(|e| e.to_string())? {
        login = login.set_password(secret.expose());
    }
    Ok(login)
}

/// Resolves here, so that a name that cannot be resolved is told from a host that does not answer.
async fn connect(at: &Endpoint, until: Instant) -> Reply<TcpStream> {
    let name = at.conf.address.as_str();
    let found = timeout_at(until, tokio::net::lookup_host((name, at.conf.port))).await;
    let found = found.map_err(|_| silent(Layer::Dns, format!("{name} was not resolved in time")))?;
    let mut why = silent(Layer::Dns, format!("{name} has no address"));
    for address in found.map_err(|e| silent(Layer::Dns, format!("{name}: {e}")))? {
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|e| silent(Layer::Tcp, e.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(e)) => why = silent(Layer::Tcp, format!("{address}: {e}")),
            Err(_) => return Err(silent(Layer::Timeout, format!("{address}: no connection in time"))),
        }
    }
    Err(why)
}

async fn speak<S, T: Send>(
    stream: S,
    login: &RedisConnectionInfo,
    within: Span,
    until: Instant,
    work: Work<T>,
) -> Reply<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(within.as_duration()));
    let opened = timeout_at(until, MultiplexedConnection::new_with_config(login, stream, config)).await;
    let opened = opened.map_err(|_| silent(Layer::Timeout, format!("no session within {within}")))?;
    let (mut connection, driver) = opened.map_err(|e| opening(&e))?;
    let mut driver = Box::pin(driver);
    let job = async {
        let mut job = work(&mut connection);
        tokio::select! {
            biased;
            done = &mut job => return done,
            () = &mut driver => {}
        }
        // The driver is gone, so that what waits for an answer fails at once.
        drop(driver);
        job.await
    };
    match timeout_at(until, job).await {
        Err(_) => Err(Trouble::Doubt { says: "the time for it ran out".into() }),
        Ok(done) => done.map_err(|e| asked(&e)),
    }
}

/// An error before any command of ours was sent.
fn opening(error: &RedisError) -> Trouble {
    let layer = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(_) | ErrorKind::Extension => Layer::Auth,
        ErrorKind::Io => Layer::Tcp,
        _ => Layer::Query,
    };
    let layer = if error.detail().is_some_and(|says| says.contains("max number of clients")) {
        Layer::Busy
    } else {
        layer
    };
    silent(layer, error.to_string())
}

/// An error after the session stood. The server's own error is its proof that the command took no effect.
fn asked(error: &RedisError) -> Trouble {
    let says = error.to_string();
    match (error.kind(), error.code()) {
        (ErrorKind::Server(_) | ErrorKind::Extension, Some(code)) => {
            let says = error.detail().map_or(says, str::to_owned);
            Trouble::Denied { sqlstate: code.to_owned(), says }
        }
        (ErrorKind::Server(_) | ErrorKind::Extension, None) => {
            Trouble::Denied { sqlstate: "ERR".into(), says }
        }
        _ => Trouble::Doubt { says },
    }
}
