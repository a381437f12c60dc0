//! Socket Mode: our own connection to Slack, for networks that let nothing in. Slack sends over it what it would send by HTTP; each
//! thing is acknowledged by its envelope's id. What it sends is not signed: that it comes over TLS from Slack, by a ticket
//! that the app's token got, is what vouches for it. `worker` keeps the connection.

use super::Slack;
use crate::notify::Delivery;
use crate::notify::plain::plain;
use crate::provider::http::words;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const CONNECT: Duration = Duration::from_secs(10);
/// Slack says something every few seconds, and be it "are you there"; we ask when it is quiet.
const QUIET: Duration = Duration::from_secs(25);
const DEAD: u32 = 3;
const MOST: usize = 1 << 20;
const SEND: Duration = Duration::from_secs(3);

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// One connection that Slack has greeted or will greet.
pub struct Line {
    wire: WebSocketStream<Box<dyn Wire>>,
    quiet: u32,
}

/// What came over it.
#[derive(Debug)]
pub enum Said {
    Hello,
    /// To be acknowledged within three seconds.
    Envelope {
        id: String,
        kind: String,
        payload: Value,
    },
    /// This connection will be closed soon; another one is to take its place.
    Leave {
        why: String,
    },
}

impl Slack {
    /// A connection, where the channel has an app token.
    pub async fn open_line(&self) -> Result<Line, String> {
        let token = self.configured.app_token.as_ref().ok_or("there is no app_token")?;
        let answer = self.call_as(token, "apps.connections.open", &json!({})).await;
        let answer = answer.map_err(|failed| match failed {
            Delivery::Refused(says) | Delivery::Failed { says, .. } => says,
            Delivery::Done => "nothing was answered".to_owned(),
        })?;
        let url = answer["url"].as_str().ok_or("Slack answered without an address to connect to")?;
        let tls = self.poster.tls().map_err(|failed| failed.says)?;
        match tokio::time::timeout(CONNECT, connect(url, tls)).await {
            Ok(opened) => opened,
            Err(_) => Err("connecting took too long".to_owned()),
        }
    }
}

/// The address holds a ticket: it stands in no error.
async fn connect(url: &str, tls: rustls::ClientConfig) -> Result<Line, String> {
    let parsed = url::Url::parse(url).map_err(|_| "the address that Slack gave is none")?;
    let host = parsed.host_str().ok_or("the address that Slack gave has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let encrypted = parsed.scheme() == "wss";
    // As with `api`: in clear no further than this machine.
    let here = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if !(encrypted || (parsed.scheme() == "ws" && here)) {
        return Err(format!("the address that Slack gave begins with {}", plain(parsed.scheme())));
    }
    let port = parsed.port().unwrap_or(if encrypted { 443 } else { 80 });
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|e| format!("TCP: {}", words(&e)))?;
    let wire: Box<dyn Wire> = if encrypted {
        let name = rustls::pki_types::ServerName::try_from(host).map_err(|e| format!("TLS: {e}"))?;
        let shaken = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await;
        Box::new(shaken.map_err(|e| format!("TLS: {}", words(&e)))?)
    } else {
        Box::new(tcp)
    };
    Line::over(url, wire).await
}

impl Line {
    async fn over(url: &str, wire: Box<dyn Wire>) -> Result<Line, String> {
        let bounds = WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST));
        let opened = tokio_tungstenite::client_async_with_config(url, wire, Some(bounds)).await;
        let (wire, _) = opened.map_err(|e| format!("WebSocket: {}", words(&e)))?;
        Ok(Line { wire, quiet: 0 })
    }

    /// The next thing that is for us. An error: the connection is no more.
    pub async fn next(&mut self) -> Result<Said, String> {
        loop {
            let message = match tokio::time::timeout(QUIET, self.wire.next()).await {
                Ok(Some(message)) => message.map_err(|e| words(&e))?,
                Ok(None) => return Err("Slack closed the connection".to_owned()),
                Err(_) if self.quiet >= DEAD => return Err("nothing came any more".to_owned()),
                Err(_) => {
                    self.quiet += 1;
                    self.send(Message::Ping(Default::default())).await?;
                    continue;
                }
            };
            self.quiet = 0;
            match message {
                Message::Text(text) => {
                    if let Some(said) = read(&text) {
                        return Ok(said);
                    }
                }
                Message::Close(_) => return Err("Slack closed the connection".to_owned()),
                // A ping is answered by the library, with the next thing that is written or read.
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    /// What Slack waits for, with what its form is to show.
    pub async fn acknowledge(&mut self, id: &str, show: Option<Value>) -> Result<(), String> {
        let mut ack = json!({ "envelope_id": id });
        if let Some(show) = show {
            ack["payload"] = show;
        }
        self.send(Message::text(ack.to_string())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        match tokio::time::timeout(SEND, self.wire.send(message)).await {
            Ok(sent) => sent.map_err(|e| words(&e)),
            Err(_) => Err("nothing can be sent any more".to_owned()),
        }
    }
}

/// `None`: not for us.
fn read(text: &str) -> Option<Said> {
    let value: Value = serde_json::from_str(text).ok()?;
    let kind = value["type"].as_str()?.to_owned();
    match (kind.as_str(), value["envelope_id"].as_str()) {
        ("hello", _) => Some(Said::Hello),
        ("disconnect", _) => {
            Some(Said::Leave { why: plain(value["reason"].as_str().unwrap_or("no reason was given")) })
        }
        (_, Some(id)) => Some(Said::Envelope { id: id.to_owned(), kind, payload: value["payload"].clone() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_says_is_understood_and_nothing_else_is() {
        let said = |text: &str| format!("{:?}", read(text));
        assert_eq!(said(r#"{"type":"hello","num_connections":1}"#), "Some(Hello)");
        assert!(said(r#"{"type":"disconnect","reason":"refresh_requested"}"#).contains("refresh_requested"));
        let envelope = r#"{"envelope_id":"e1","type":"interactive","payload":{"type":"block_actions"}}"#;
        assert!(said(envelope).contains("\"e1\"") && said(envelope).contains("block_actions"));
        for noise in ["", "{}", "[]", r#"{"type":"interactive","payload":{}}"#, r#"{"type":7}"#] {
            assert_eq!(said(noise), "None", "{noise}");
        }
    }

    /// A certificate of its own, and a server with it that says hello.
    fn greeter() -> (u16, rustls::pki_types::CertificateDer<'static>) {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .arg("-keyout")
            .arg(file("key.pem"))
            .arg("-out")
            .arg(file("cert.pem"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let cert = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.clone()], key)
            .unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((tcp, _)) = listener.accept().await {
                    let Ok(wire) = tls.accept(tcp).await else { continue };
                    let Ok(mut wire) = tokio_tungstenite::accept_async(wire).await else { continue };
                    let _ = wire.send(Message::text(r#"{"type":"hello"}"#)).await;
                    let _ = wire.next().await;
                }
            });
        });
        (port, cert)
    }

    fn trusting(cert: Option<rustls::pki_types::CertificateDer<'static>>) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        cert.into_iter().for_each(|cert| roots.add(cert).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        config
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    #[tokio::test]
    async fn only_whose_certificate_is_known_is_spoken_to() {
        let (port, cert) = greeter();
        let url = format!("wss://localhost:{port}/link/?ticket=sesame");
        let mut line = connect(&url, trusting(Some(cert))).await.unwrap();
        assert!(matches!(line.next().await, Ok(Said::Hello)));
        // It speaks to one at a time.
        drop(line);
        let stranger = connect(&url, trusting(None)).await.map(drop).unwrap_err();
        assert!(stranger.contains("TLS: ") && !stranger.contains("sesame"), "{stranger}");
        for clear in ["ws://192.0.2.1/?ticket=sesame", "http://127.0.0.1/", "wss://", "slack"] {
            let refused = connect(clear, trusting(None)).await.map(drop).unwrap_err();
            assert!(
                refused.contains("the address that Slack gave") && !refused.contains("sesame"),
                "{refused}"
            );
        }
    }
}
