//! One short connection per call, bounded from outside: the driver's own time-outs cover the TCP connect
//! alone, and a stopped server accepts and then says nothing. Called by `wire` only.
//!
//! The connection is driven beside the work, without a task of its own: dropping the call drops the socket.

use super::node::{Layer, Silent};
use super::port::{Endpoint, Reply, Trouble};
use super::tls;
use crate::config::{SecretRef, TlsMode};
use crate::kernel::domain::Span;
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{Client, Config, Connection, Error, NoTls};

/// As whom to speak.
#[derive(Clone, Copy)]
pub enum As {
    /// Pointsman's own role; only the catalogue is on its search path.
    Admin,
    App,
}

/// What the server itself said while the session was being set up, for the attempt to write as the
/// application.
pub enum Opening {
    Server { sqlstate: String, by_rules: bool, says: String },
    Trouble(Trouble),
}

/// The silent end of a session: how far it came.
fn silent(layer: Layer, says: impl Into<String>) -> Trouble {
    Trouble::Silent(Silent { layer, says: says.into() })
}

pub type Work<T> = Box<dyn for<'c> FnOnce(&'c Client) -> BoxFuture<'c, Result<T, Error>> + Send>;

/// Opens, works, closes; never longer than `within`.
pub async fn run<T: Send>(at: &Endpoint, who: As, within: Span, work: Work<T>) -> Reply<T> {
    opened(at, who, within, work).await.map_err(|opening| match opening {
        Opening::Server { sqlstate, says, .. } => silent(layer_of(&sqlstate), says),
        Opening::Trouble(trouble) => trouble,
    })
}

/// Like [`run`], but what the server said to the connection itself is kept apart.
pub async fn opened<T: Send>(at: &Endpoint, who: As, within: Span, work: Work<T>) -> Result<T, Opening> {
    let until = Instant::now() + within.as_duration();
    let mut config = config(at, who, within).map_err(|says| Opening::Trouble(Trouble::Ours { says }))?;
    resolve(&mut config, at, until).await.map_err(Opening::Trouble)?;
    let late = || Opening::Trouble(silent(Layer::Timeout, format!("no session within {within}")));
    match at.conf.tls {
        TlsMode::Disable => {
            let opened = timeout_at(until, config.connect(NoTls)).await.map_err(|_| late())?;
            let (client, connection) = opened.map_err(opening)?;
            drive(client, connection, until, work).await.map_err(Opening::Trouble)
        }
        TlsMode::VerifyFull => {
            let tls = tls::connector(at.conf.ca.as_deref())
                .map_err(|says| Opening::Trouble(Trouble::Ours { says }))?;
            let opened = timeout_at(until, config.connect(tls)).await.map_err(|_| late())?;
            let (client, connection) = opened.map_err(opening)?;
            drive(client, connection, until, work).await.map_err(Opening::Trouble)
        }
    }
}

fn config(at: &Endpoint, who: As, within: Span) -> Result<Config, String> {
    let conf = &at.conf;
    let (user, password, database, path) = match who {
        As::Admin => (&conf.user, &conf.password, &conf.database, " -c search_path=pg_catalog"),
        As::App => {
            let app = conf.app_role.as_ref().ok_or_else(|| format!("{} has no app_role", at.name))?;
            (&app.user, &app.password, &app.database, "")
        }
    };
    let mut config = Config::new();
    config.user(user).dbname(database).port(conf.port).application_name("pointsman");
    config.options(format!("-c statement_timeout={}{path}", within.as_millis().max(1)));
    if let Some(secret) = password.as_ref().map(SecretRef::read).transpose().map_err(|e| e.to_string())? {
        config.password(secret.expose());
    }
    if matches!(conf.tls, TlsMode::VerifyFull) {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    Ok(config)
}

/// Resolves here, so that a name that cannot be resolved is told from a host that does not answer.
async fn resolve(config: &mut Config, at: &Endpoint, until: Instant) -> Result<(), Trouble> {
    let name = at.conf.address.as_str();
    let found = timeout_at(until, tokio::net::lookup_host((name, at.conf.port))).await;
    let found = found.map_err(|_| silent(Layer::Dns, format!("{name} was not resolved in time")))?;
    let mut any = false;
    for address in found.map_err(|e| silent(Layer::Dns, format!("{name}: {e}")))? {
        config.host(name).hostaddr(address.ip());
        any = true;
    }
    if any { Ok(()) } else { Err(silent(Layer::Dns, format!("{name} has no address"))) }
}

async fn drive<S, T>(
    client: Client,
    connection: Connection<tokio_postgres::Socket, S>,
    until: Instant,
    work: Work<T>,
) -> Reply<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    T: Send,
{
    let mut connection = Box::pin(async move {
        // Moved into the await: once it ends it is dropped, and requests in flight fail at once.
        let _closed_or_failed = connection.await;
    });
    let result = {
        let mut job = work(&client);
        let both = async {
            tokio::select! {
                biased;
                done = &mut job => return done,
                () = &mut connection => {}
            }
            job.await
        };
        timeout_at(until, both).await
    };
    match result {
        Err(_) => Err(Trouble::Doubt { says: "the time for it ran out".into() }),
        Ok(done) => {
            drop(client);
            // Says good-bye properly, so that the server does not log a lost client.
            let _ = timeout(Duration::from_millis(20), &mut connection).await;
            done.map_err(asked)
        }
    }
}

/// An error before any statement was sent.
fn opening(error: Error) -> Opening {
    if let Some(db) = error.as_db_error() {
        return Opening::Server {
            sqlstate: db.code().code().to_owned(),
            by_rules: db.code().code() == "28000" && db.routine() == Some("ClientAuthentication"),
            says: db.message().to_owned(),
        };
    }
    let says = chain(&error);
    let text = error.to_string();
    let layer = match text.as_str() {
        "error performing TLS handshake" => Layer::Tls,
        "authentication error" | "invalid configuration" => Layer::Auth,
        "error connecting to server" => Layer::Tcp,
        // The socket was open and was closed on us before the session stood.
        _ => Layer::Startup,
    };
    Opening::Trouble(silent(layer, says))
}

/// An error after the session stood. `ERROR` is the server's proof that the statement took no effect; a
/// session that was ended may have committed first.
fn asked(error: Error) -> Trouble {
    match error.as_db_error() {
        Some(db) if ended(db) => Trouble::Doubt { says: db.message().to_owned() },
        Some(db) => Trouble::Denied { sqlstate: db.code().code().to_owned(), says: db.message().to_owned() },
        None => Trouble::Doubt { says: chain(&error) },
    }
}

fn ended(db: &DbError) -> bool {
    matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || matches!(db.severity(), "FATAL" | "PANIC")
}

fn layer_of(sqlstate: &str) -> Layer {
    match sqlstate {
        "57P03" | "57P01" | "57P02" | "57P05" => Layer::Startup,
        "53300" | "53000" | "53200" => Layer::Busy,
        _ => Layer::Auth,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut says = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        says = format!("{says}: {inner}");
        cause = inner.source();
    }
    says
}
