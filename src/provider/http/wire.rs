//! The real network: GET, bounded in time and size, and a TCP connect.

use super::client::{Clients, failed, words};
use super::memory::ProbeMemory;
use super::port::{Auth, Failed, Get, Layer, MAX_BODY, Pinged, Port, Reply, SqlPing};
use crate::kernel::domain::{Name, Span, Time};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Wire {
    memory: ProbeMemory,
    /// Without it `sql` probes are blind.
    sql: Option<Arc<dyn SqlPing>>,
    clients: Clients,
}

impl Wire {
    pub fn new(sql: Option<Arc<dyn SqlPing>>) -> Wire {
        Wire { sql, ..Wire::default() }
    }

    /// A client for one request, so that no answer comes over an old connection or an old resolution.
    fn client(&self, get: &Get, within: Duration) -> Result<reqwest::Client, Failed> {
        let local = |says: String| Failed { layer: Layer::Local, says };
        let url = url::Url::parse(&get.url).map_err(|e| local(format!("{:?}: {e}", get.url)))?;
        let mut builder = self.clients.builder(within)?;
        if let (Some(pin), Some(host)) = (get.pin, url.host_str()) {
            builder = builder.resolve(host, SocketAddr::new(pin, 0));
        }
        builder.build().map_err(|e| local(words(&e)))
    }

    /// Any answer will do, also a refusal: the header is the server's own.
    async fn dated(&self, url: &str, within: Duration) -> Option<Time> {
        let client = self.client(&Get::of(url), within).ok()?;
        let response = client.get(url).send().await.ok()?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        match header("age") {
            Some(_) => None,
            None => http_date(header("date")?),
        }
    }

    async fn fetch(&self, get: &Get, within: Duration) -> Result<Reply, Failed> {
        let client = self.client(get, within)?;
        let mut request = match &get.question {
            Some(json) => client.post(&get.url).header("content-type", "application/json").body(json.clone()),
            None => client.get(&get.url),
        };
        for (name, value) in &get.headers {
            request = request.header(*name, value);
        }
        request = match &get.auth {
            Some(Auth::Basic { user, password }) => {
                request.basic_auth(user, password.as_ref().map(|secret| secret.expose()))
            }
            Some(Auth::Bearer(token)) => request.bearer_auth(token.expose()),
            None => request,
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = vec![];
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_BODY {
                body.truncate(MAX_BODY);
                break;
            }
        }
        Ok(Reply { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Port for Wire {
    fn get<'a>(&'a self, get: &'a Get, within: Span) -> BoxFuture<'a, Result<Reply, Failed>> {
        async move {
            let within = within.as_duration();
            let late = || Failed { layer: Layer::Http, says: format!("no whole answer within {within:?}") };
            timeout(within, self.fetch(get, within)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn date<'a>(&'a self, url: &'a str, within: Span) -> BoxFuture<'a, Option<Time>> {
        async move {
            let within = within.as_duration();
            timeout(within, self.dated(url, within)).await.ok().flatten()
        }
        .boxed()
    }

    fn tcp<'a>(&'a self, address: &'a str, within: Span) -> BoxFuture<'a, Result<(), Failed>> {
        async move {
            let within = within.as_duration();
            let late = || Failed { layer: Layer::Tcp, says: format!("no connection within {within:?}") };
            timeout(within, connect(address)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn sql_ping<'a>(&'a self, target: &'a Name, within: Span) -> BoxFuture<'a, Pinged> {
        match &self.sql {
            Some(sql) => sql.ping(target, within),
            None => async { Pinged::Blind("no database client is there to ask with".into()) }.boxed(),
        }
    }

    fn memory(&self) -> &ProbeMemory {
        &self.memory
    }
}

async fn connect(address: &str) -> Result<(), Failed> {
    let addresses: Vec<SocketAddr> = match lookup_host(address).await {
        Ok(found) => found.collect(),
        Err(e) => return Err(Failed { layer: Layer::Dns, says: e.to_string() }),
    };
    let mut last = Failed { layer: Layer::Dns, says: format!("{address} has no address") };
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(e)) => last = Failed { layer: Layer::Tcp, says: format!("{address}: {e}") },
            Err(_) => {
                last = Failed { layer: Layer::Tcp, says: format!("{address}: no answer in {CONNECT:?}") }
            }
        }
    }
    Err(last)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn http_date(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Time(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_the_form_that_servers_send_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Time(784_111_777_000_000)));
        assert_eq!(http_date("yesterday"), None);
    }
}
