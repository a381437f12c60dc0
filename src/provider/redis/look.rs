//! Looking at servers, for the actions and checks of this room, and who can tell that a primary lives.

use super::node::{Layer, Node, Peer, Seen, Silent};
use super::port::{Endpoint, Port, Reply, Trouble};
use crate::kernel::domain::{CallEnd, Fact, Name, Span, Time};
use crate::kernel::port::{Ctx, ProviderError};
pub use crate::provider::postgres::{ALIVE, LOOK, alive, is_ours, within};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// One call that changes something.
pub const CALL: Span = Span::secs(3);

/// A look that failed is an observation; only our own fault is an error.
pub async fn look(port: &dyn Port, at: &Endpoint, ctx: &Ctx) -> Result<Seen, ProviderError> {
    seen(port.node(at, within(ctx, LOOK)).await)
}

pub fn seen(reply: Reply<Node>) -> Result<Seen, ProviderError> {
    match reply {
        Ok(node) => Ok(Seen::Answers(Box::new(node))),
        Err(Trouble::Silent(silent)) => Ok(Seen::Silent(silent)),
        Err(Trouble::Denied { sqlstate, says }) => {
            Ok(Seen::Silent(Silent { layer: Layer::Query, says: format!("{says} ({sqlstate})") }))
        }
        Err(Trouble::Doubt { says }) => Ok(Seen::Silent(Silent { layer: Layer::Timeout, says })),
        Err(Trouble::Ours { says }) => Err(ours(says)),
    }
}

pub fn ours(says: String) -> ProviderError {
    ProviderError::new("PM3100", says)
}

/// All at the same time.
pub async fn look_at_all(port: &dyn Port, all: &[Endpoint], ctx: &Ctx) -> Result<Vec<Peer>, ProviderError> {
    let looks = all
        .iter()
        .map(|at| async move { look(port, at, ctx).await.map(|seen| Peer { name: at.name.clone(), seen }) });
    join_all(looks).await.into_iter().collect()
}

/// Those of `peers` that hear `primary`: then it lives, whatever our own probes say. One that the playbook names (`sure`)
/// counts whatever address it has for its primary; another must have this one.
pub fn witnesses(peers: &[Peer], primary: &Endpoint, sure: &[&Name]) -> Vec<Name> {
    let hears = |peer: &&Peer| {
        let Some(node) = peer.seen.node().filter(|node| node.replica && node.follows_alive()) else {
            return false;
        };
        let this = node
            .link
            .as_ref()
            .is_some_and(|link| link.host == primary.conf.address && link.port == primary.conf.port);
        this || sure.contains(&&peer.name)
    };
    peers.iter().filter(hears).map(|peer| peer.name.clone()).collect()
}

/// The origin guard's word on the site of `at`.
pub fn said_down(at: &Endpoint, given: &[Fact]) -> bool {
    crate::provider::postgres::is_down(at.site.as_ref(), given)
}

/// Nothing was touched yet.
pub fn untouched(trouble: Trouble) -> CallEnd {
    match trouble {
        Trouble::Silent(silent) => CallEnd::rejected(true, format!("{}: {}", silent.layer, silent.says)),
        Trouble::Denied { sqlstate, says } => CallEnd::rejected(false, format!("{says} ({sqlstate})")),
        Trouble::Ours { says } => CallEnd::rejected(false, says),
        Trouble::Doubt { says } => CallEnd::indeterminate(says),
    }
}

/// A question that was not answered changed nothing.
pub fn unasked(trouble: Trouble) -> CallEnd {
    match trouble {
        Trouble::Doubt { says } => CallEnd::rejected(true, says),
        other => untouched(other),
    }
}

/// How long before the write the last look was, since no server of Redis compares for us.
pub fn window(ctx: &Ctx, looked: Time) -> u64 {
    u64::try_from(ctx.now().since(looked).as_duration().as_millis()).unwrap_or(u64::MAX)
}

/// Writes the file, so that a restart keeps the role. No command shows whether it was done, so its own word is kept.
pub async fn written(port: &dyn Port, at: &Endpoint, there: bool, ctx: &Ctx) -> Value {
    if !there {
        return json!("none: started as before, it would be what it was before");
    }
    match port.rewrite_config(at, within(ctx, CALL)).await {
        Ok(()) => json!("written"),
        Err(trouble) => json!(format!("NOT written, so a restart makes it what it was before: {trouble}")),
    }
}

/// Who runs it, in the words of a refusal.
pub fn managed(target: &Name, manager: &str) -> String {
    let by = match manager.starts_with("Sentinel") {
        true => "Fail over through it: sentinel.failover; what is done underneath it, it takes back",
        false => "Fail over through it (CLUSTER FAILOVER on the replica)",
    };
    format!("{target} is run by {manager}. {by}. Nothing was changed.")
}
