//! Slack's side of Socket Mode: an address with a ticket that is good for one connection, a greeting, envelopes that have to be
//! acknowledged within three seconds, each by one connection, and a word before it closes one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Json;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response as Greeting};

use super::{APP, Sent, Slack, World};
use crate::net::on_lab;

#[derive(Default)]
pub(super) struct Sockets {
    at: Option<SocketAddr>,
    tickets: Vec<String>,
    opened: u32,
    count: u32,
    /// Those that are connected, in the order of their coming.
    lines: BTreeMap<u32, mpsc::UnboundedSender<Order>>,
}

enum Order {
    Say(Value),
    /// An envelope, and who waits for what acknowledges it.
    Ask(Value, oneshot::Sender<Value>),
    Close,
}

/// `apps.connections.open`
pub(super) fn open(world: &mut World) -> Response {
    let sockets = &mut world.sockets;
    let Some(at) = sockets.at else { return super::no("link_disabled") };
    sockets.opened += 1;
    let ticket = format!("ticket-{}-0123456789abcdef", sockets.opened);
    sockets.tickets.push(ticket.clone());
    Json(json!({ "ok": true, "url": format!("ws://{at}/link/?ticket={ticket}&app_id={APP}") }))
        .into_response()
}

impl Slack {
    /// From now on it takes connections.
    pub async fn with_sockets(self) -> anyhow::Result<Slack> {
        let world = self.world.clone();
        let at = on_lab(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let at = listener.local_addr()?;
            let serving = async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let world = world.clone();
                    tokio::spawn(async move { serve(tcp, &world).await });
                }
            };
            tokio::spawn(serving);
            Ok(at)
        })
        .await?;
        self.world().sockets.at = Some(at);
        Ok(self)
    }

    /// Connections at the moment.
    pub fn lines(&self) -> usize {
        self.world().sockets.lines.len()
    }

    /// How often an address was asked for.
    pub fn opened(&self) -> u32 {
        self.world().sockets.opened
    }

    fn order(&self, newest: bool, order: Order) -> anyhow::Result<()> {
        let world = self.world();
        let mut lines = world.sockets.lines.values();
        let line = if newest { lines.next_back() } else { lines.next() };
        line.context("nobody is connected")?.send(order).context("the connection is no more")
    }

    /// Over one connection, the newest or the oldest; and how it was acknowledged.
    pub async fn ask_by_socket(&self, payload: Value, newest: bool) -> anyhow::Result<Sent> {
        let (send, answer) = oneshot::channel();
        let id = {
            let mut world = self.world();
            world.count += 1;
            format!("envelope-{}", world.count)
        };
        let envelope = json!({ "envelope_id": id, "type": "interactive", "accepts_response_payload": true, "payload": payload });
        let began = Instant::now();
        self.order(newest, Order::Ask(envelope, send))?;
        let ack =
            on_lab(async move { Ok(tokio::time::timeout(Duration::from_secs(3), answer).await) }).await?;
        match ack {
            Ok(Ok(ack)) => Ok(Sent { status: 200, body: ack["payload"].clone(), took: began.elapsed() }),
            Ok(Err(_)) => bail!("the connection ended before it was acknowledged"),
            Err(_) => bail!("it was not acknowledged within three seconds"),
        }
    }

    /// That the oldest connection will be closed soon.
    pub fn warn(&self, reason: &str) -> anyhow::Result<()> {
        let says = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "lab" } });
        self.order(false, Order::Say(says))
    }

    /// The oldest connection, or without a word all of them.
    pub fn close(&self, all: bool) -> anyhow::Result<()> {
        for _ in 0..if all { self.lines() } else { 1 } {
            // Taken out first: once it is told, it takes itself out, and the next one would be the oldest.
            let (_, line) = self.world().sockets.lines.pop_first().context("nobody is connected")?;
            line.send(Order::Close).context("the connection is no more")?;
        }
        Ok(())
    }
}

fn ticket(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("ticket=")).map(str::to_owned)
}

async fn serve(tcp: TcpStream, world: &std::sync::Mutex<World>) {
    let mut shown = None;
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let greet = |request: &Request, greeting: Greeting| -> Result<Greeting, ErrorResponse> {
        shown = ticket(request);
        Ok(greeting)
    };
    let Ok(mut wire) = tokio_tungstenite::accept_hdr_async(tcp, greet).await else { return };
    let (send, mut orders) = mpsc::unbounded_channel();
    let me = {
        let mut world = world.lock().expect("invariant: no panic while holding the lock");
        let sockets = &mut world.sockets;
        let Some(place) = sockets.tickets.iter().position(|known| Some(known) == shown.as_ref()) else {
            return;
        };
        sockets.tickets.remove(place);
        sockets.count += 1;
        sockets.lines.insert(sockets.count, send);
        sockets.count
    };
    let hello = json!({ "type": "hello", "num_connections": 1, "connection_info": { "app_id": APP } });
    let mut waiting: BTreeMap<String, oneshot::Sender<Value>> = BTreeMap::new();
    let mut alive = wire.send(Message::text(hello.to_string())).await.is_ok();
    while alive {
        tokio::select! {
            order = orders.recv() => alive = match order {
                Some(Order::Say(says)) => wire.send(Message::text(says.to_string())).await.is_ok(),
                Some(Order::Ask(envelope, answer)) => {
                    waiting.insert(envelope["envelope_id"].as_str().unwrap_or_default().to_owned(), answer);
                    wire.send(Message::text(envelope.to_string())).await.is_ok()
                }
                Some(Order::Close) | None => false,
            },
            came = wire.next() => match came {
                Some(Ok(Message::Text(text))) => {
                    let ack: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
                    let answer = waiting.remove(ack["envelope_id"].as_str().unwrap_or_default());
                    if let Some(answer) = answer {
                        let _ = answer.send(ack);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => alive = false,
            },
        }
    }
    let _ = wire.close(None).await;
    world.lock().expect("invariant: no panic while holding the lock").sockets.lines.remove(&me);
}
