//! NOTIFY (RFC 1996) to the followers of a zone, right after an update. A primary sends its own, but some wait a second
//! with it (Knot) or five (BIND), and a datagram that is lost leaves a follower behind until its next refresh. `wire`
//! calls; nothing depends on the answers: whether a server follows is observed, not believed.

use super::message;
use super::wire::{exchange, seconds, signer};
use crate::config::Rfc2136Target;
use crate::kernel::domain::Time;
use futures_util::future::join_all;
use hickory_proto::op::Message;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// For all of them together. A follower that takes longer has been told all the same.
const WITHIN: Duration = Duration::from_millis(300);

/// Tells every server but the first, signed with the zone's key.
pub(super) async fn followers(zone: &Rfc2136Target, now: Time) {
    let told = zone.servers.iter().skip(1).map(|server| async move {
        if let Err(says) = tell(zone, *server, now).await {
            tracing::debug!(%server, zone = zone.zone, says, "the server did not take our NOTIFY");
        }
    });
    // Late is as good as silent: the primary sends its own.
    let _ = timeout(WITHIN, join_all(told)).await;
}

async fn tell(zone: &Rfc2136Target, server: SocketAddr, now: Time) -> Result<(), String> {
    let mut question: Message = message::notify(&zone.zone)?;
    question.finalize(&signer(zone)?, seconds(now)).map_err(|e| e.to_string())?;
    let reply = exchange(server, question).await.map_err(|no| format!("{}: {}", no.layer, no.says))?;
    message::answered(&reply).map_err(|no| no.says)
}
