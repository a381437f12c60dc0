//! Real DNS servers: questions over UDP with TCP when truncated, transfers and signed updates over TCP. Every
//! exchange has a deadline; nothing is sent twice except a question.

use super::message;
use super::notify;
use super::port::{Answers, NoAnswer, Port, Update, Updated};
use super::rrset::{Question, RrSet};
use crate::config::Rfc2136Target;
use crate::kernel::domain::{Span, Time};
use base64::Engine as _;
use futures_util::future::{BoxFuture, FutureExt as _, try_join_all};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RecordType, TSigVerifier, TSigner};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// A datagram is asked this often, each time waiting this long.
const UDP_TRIES: u32 = 2;
const UDP_WAIT: Duration = Duration::from_secs(1);
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// A zone larger than this is not listed.
const TRANSFER_MESSAGES: usize = 64;

#[derive(Debug, Default)]
pub struct Wire;

impl Port for Wire {
    fn ask<'a>(
        &'a self,
        zone: &'a str,
        server: SocketAddr,
        questions: &'a [Question],
        within: Span,
    ) -> BoxFuture<'a, Result<Answers, NoAnswer>> {
        async move {
            let late = || NoAnswer { layer: "udp", says: format!("no answer within {within}") };
            timeout(within.as_duration(), ask(zone, server, questions)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn resolve<'a>(
        &'a self,
        resolver: SocketAddr,
        questions: &'a [Question],
        _now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async move {
            let late = || NoAnswer { layer: "udp", says: format!("no answer within {within}") };
            let one = async |question: &Question| {
                let owner = message::name(&question.name).map_err(unusable)?;
                let reply = exchange(resolver, message::recursive(&owner, question.r#type)).await?;
                message::read_cached(&reply, question)
            };
            let all = try_join_all(questions.iter().map(one));
            timeout(within.as_duration(), all).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Result<Vec<RrSet>, NoAnswer>> {
        async move {
            let late = || NoAnswer { layer: "tcp", says: format!("no whole zone within {within}") };
            timeout(within.as_duration(), transfer(zone, now)).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn rehearse<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        held: &'a [RrSet],
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated> {
        send_update(zone, message::rehearsal(&zone.zone, held), now, within.as_duration()).boxed()
    }

    fn update<'a>(
        &'a self,
        zone: &'a Rfc2136Target,
        update: &'a Update,
        now: Time,
        within: Span,
    ) -> BoxFuture<'a, Updated> {
        async move {
            let updated =
                send_update(zone, message::update(&zone.zone, update), now, within.as_duration()).await;
            if updated == Updated::Done && zone.notify {
                notify::followers(zone, now).await;
            }
            updated
        }
        .boxed()
    }
}

fn broken(layer: &'static str) -> impl Fn(std::io::Error) -> NoAnswer {
    move |e| NoAnswer { layer, says: e.to_string() }
}

fn unusable(says: String) -> NoAnswer {
    NoAnswer { layer: "configuration", says }
}

async fn ask(zone: &str, server: SocketAddr, questions: &[Question]) -> Result<Answers, NoAnswer> {
    let apex = message::name(zone).map_err(unusable)?;
    let one = async |question: &Question| {
        let owner = message::name(&question.name).map_err(unusable)?;
        let reply = exchange(server, message::query(&owner, message::wire_type(question.r#type))).await?;
        message::authoritative(&reply)?;
        Ok::<_, NoAnswer>(message::read_set(&reply, question))
    };
    let soa = async {
        let reply = exchange(server, message::query(&apex, RecordType::SOA)).await?;
        message::authoritative(&reply)?;
        message::read_soa(&reply)
    };
    let (sets, (serial, negative_ttl)) =
        futures_util::future::try_join(try_join_all(questions.iter().map(one)), soa).await?;
    let aliases = sets.iter().filter(|(_, alias)| *alias).map(|(set, _)| set.name.clone()).collect();
    Ok(Answers { sets: sets.into_iter().map(|(set, _)| set).collect(), aliases, serial, negative_ttl })
}

/// One question, one answer: UDP first, TCP when the answer does not fit.
pub(super) async fn exchange(server: SocketAddr, question: Message) -> Result<Message, NoAnswer> {
    let bytes = question.to_vec().map_err(|e| unusable(e.to_string()))?;
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(broken("local"))?;
    socket.connect(server).await.map_err(broken("udp"))?;
    for _ in 0..UDP_TRIES {
        socket.send(&bytes).await.map_err(broken("udp"))?;
        match timeout(UDP_WAIT, answer(&socket, &question)).await {
            Ok(reply) => {
                let reply = reply.map_err(broken("udp"))?;
                return if reply.truncation {
                    exchange_tcp(server, &question, &bytes).await
                } else {
                    Ok(reply)
                };
            }
            Err(_) => continue,
        }
    }
    Err(NoAnswer { layer: "udp", says: format!("no answer to {UDP_TRIES} questions of {UDP_WAIT:?} each") })
}

async fn answer(socket: &UdpSocket, question: &Message) -> std::io::Result<Message> {
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Ok(reply) = Message::from_vec(&buffer[..length])
            && message::answers(&reply, question)
        {
            return Ok(reply);
        }
    }
}

async fn exchange_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, NoAnswer> {
    let mut stream = connect(server).await.map_err(|says| NoAnswer { layer: "tcp", says })?;
    write_frame(&mut stream, bytes).await.map_err(broken("tcp"))?;
    let reply = read_frame(&mut stream).await.map_err(broken("tcp"))?;
    let reply = Message::from_vec(&reply).map_err(|e| NoAnswer { layer: "dns", says: e.to_string() })?;
    if message::answers(&reply, question) {
        Ok(reply)
    } else {
        Err(NoAnswer { layer: "dns", says: "the answer is for another question".into() })
    }
}

async fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    match timeout(CONNECT_WAIT, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(format!("cannot connect to {server}: {e}")),
        Err(_) => Err(format!("cannot connect to {server} within {CONNECT_WAIT:?}")),
    }
}

async fn write_frame(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(|_| std::io::Error::other("the message is too long"))?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).await?;
    stream.flush().await
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads the key now; it is nowhere kept.
pub(super) fn signer(zone: &Rfc2136Target) -> Result<TSigner, String> {
    let key = zone.tsig.secret.read().map_err(|e| e.to_string())?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(key.expose().trim())
        .map_err(|_| format!("the TSIG secret of key {} is not base64", zone.tsig.name))?;
    let name = Name::from_ascii(&zone.tsig.name).map_err(|e| format!("TSIG key name: {e}"))?;
    TSigner::new(bytes, TsigAlgorithm::HmacSha256, name, 300).map_err(|e| format!("TSIG: {e}"))
}

pub(super) fn seconds(now: Time) -> u64 {
    u64::try_from(now.0 / 1_000_000).unwrap_or(0)
}

/// The zone's records, only to look for siblings: the chain of signatures of the answer is not checked.
async fn transfer(zone: &Rfc2136Target, now: Time) -> Result<Vec<RrSet>, NoAnswer> {
    let server = *zone.servers.first().ok_or_else(|| unusable("no server".into()))?;
    let apex = message::name(&zone.zone).map_err(unusable)?;
    let mut question = message::query(&apex, RecordType::AXFR);
    question.finalize(&signer(zone).map_err(unusable)?, seconds(now)).map_err(|e| unusable(e.to_string()))?;
    let bytes = question.to_vec().map_err(|e| unusable(e.to_string()))?;
    let mut stream = connect(server).await.map_err(|says| NoAnswer { layer: "tcp", says })?;
    write_frame(&mut stream, &bytes).await.map_err(broken("tcp"))?;
    let mut messages = vec![];
    let mut ends = 0;
    while ends < 2 {
        if messages.len() == TRANSFER_MESSAGES {
            return Err(NoAnswer { layer: "dns", says: "the zone is too large to list".into() });
        }
        let frame = read_frame(&mut stream).await.map_err(broken("tcp"))?;
        let reply = Message::from_vec(&frame).map_err(|e| NoAnswer { layer: "dns", says: e.to_string() })?;
        if reply.id != question.id {
            return Err(NoAnswer { layer: "dns", says: "the answer is for another question".into() });
        }
        // Some servers leave AA out of transfers: asking the zone's own server for it is authority enough.
        message::answered(&reply)?;
        ends += reply.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        messages.push(reply);
    }
    Ok(message::read_zone(&messages))
}

async fn send_update(
    zone: &Rfc2136Target,
    update: Result<Message, String>,
    now: Time,
    within: Duration,
) -> Updated {
    let prepared = update.and_then(|message| prepare(zone, message, now));
    let Prepared { server, id, bytes, mut verifier } = match prepared {
        Ok(prepared) => prepared,
        Err(says) => return Updated::NotSent { retry: false, says },
    };
    let end = Instant::now() + within;
    let mut stream = match timeout_at(end, connect(server)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(says)) => return Updated::NotSent { retry: true, says },
        Err(_) => {
            let says = format!("cannot connect to {server} within {within:?}");
            return Updated::NotSent { retry: true, says };
        }
    };
    // From the first byte on, silence means doubt.
    let talk = async {
        write_frame(&mut stream, &bytes).await?;
        read_frame(&mut stream).await
    };
    let reply = match timeout_at(end, talk).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(e)) => return Updated::Doubt(format!("the connection to {server} was lost: {e}")),
        Err(_) => return Updated::Doubt(format!("{server} did not answer within {within:?}")),
    };
    match Message::from_vec(&reply) {
        Ok(message) if message.id != id => Updated::Doubt(format!("{server} answered another question")),
        Ok(message) => message::judge_update(&message, verifier.verify(&reply).is_ok()),
        Err(e) => Updated::Doubt(format!("the answer of {server} cannot be read: {e}")),
    }
}

struct Prepared {
    server: SocketAddr,
    id: u16,
    bytes: Vec<u8>,
    verifier: TSigVerifier,
}

fn prepare(zone: &Rfc2136Target, mut message: Message, now: Time) -> Result<Prepared, String> {
    let server = *zone.servers.first().ok_or("the zone has no server")?;
    let verifier = message.finalize(&signer(zone)?, seconds(now)).map_err(|e| e.to_string())?;
    let verifier = verifier.ok_or("the message could not be signed")?;
    let bytes = message.to_vec().map_err(|e| e.to_string())?;
    Ok(Prepared { server, id: message.id, bytes, verifier })
}
