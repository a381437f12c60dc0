//! Looking at servers, for the actions and checks of this room, and whether a primary is alive.

use super::node::{Layer, Node, Peer, Seen, Silent};
use super::port::{Endpoint, Port, Reply, Trouble};
use crate::kernel::domain::{Fact, Name, Span};
use crate::kernel::port::{Ctx, ProviderError};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

/// A living primary refuses. The code of every such refusal: no further rung of a ladder may be tried after
/// it.
pub const ALIVE: &str = "PM3101";
/// One look. A blackholed host costs this much at each observation.
pub const LOOK: Span = Span::secs(2);

/// Time for one call: never more than `most`, never past the deadline.
pub fn within(ctx: &Ctx, most: Span) -> Span {
    ctx.left().min(most)
}

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
        Err(Trouble::Ours { says }) => Err(ProviderError::new("PM3100", says)),
    }
}

/// All at the same time.
pub async fn look_at_all(port: &dyn Port, all: &[Endpoint], ctx: &Ctx) -> Result<Vec<Peer>, ProviderError> {
    let looks = all
        .iter()
        .map(|at| async move { look(port, at, ctx).await.map(|seen| Peer { name: at.name.clone(), seen }) });
    join_all(looks).await.into_iter().collect()
}

/// What a standby tells of the primary that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// It streams, with a fresh message: the primary lives, whatever our own probes say.
    Streams,
    /// It does not stream from this primary.
    No,
    /// Its receiver is hidden from our role: grant pg_monitor.
    Hidden,
}

/// `named`: the playbook says that it follows this primary. One that was found in the configuration is passed
/// over only when its sender is surely another configured server, or its lineage another.
pub fn witness(
    peer: &Peer,
    primary: &Endpoint,
    lineage: Option<&str>,
    others: &[Endpoint],
    named: bool,
) -> Witness {
    let Some(node) = peer.seen.node().filter(|node| node.in_recovery) else { return Witness::No };
    if !named {
        let foreign_lineage =
            matches!((lineage, node.system.as_deref()), (Some(ours), Some(theirs)) if ours != theirs);
        let sender = node.receiver.as_ref().and_then(|r| Some((r.host.as_deref()?, r.port?)));
        let follows = |at: &Endpoint| sender == Some((at.conf.address.as_str(), at.conf.port));
        if foreign_lineage || (!follows(primary) && others.iter().any(follows)) {
            return Witness::No;
        }
    }
    match node.streams() {
        Some(true) => Witness::Streams,
        Some(false) => Witness::No,
        None => Witness::Hidden,
    }
}

/// The origin guard's word on the site of `at`.
pub fn said_down(at: &Endpoint, given: &[Fact]) -> bool {
    is_down(at.site.as_ref(), given)
}

pub fn is_down(site: Option<&Name>, given: &[Fact]) -> bool {
    site.is_some_and(|site| given.iter().any(|fact| matches!(fact, Fact::Down { site: s } if s == site)))
}

/// This run itself has ordered this already, and nobody heard the end: it was allowed then, by guards that are looked at again
/// before it is ordered anew. Without this word a living server would only be refused, and the doubt never end (decision 0089).
pub fn is_ours(target: &Name, given: &[Fact]) -> bool {
    given.iter().any(|fact| matches!(fact, Fact::Ours { target: of, .. } if of == target))
}

/// Words for a refusal by life.
pub fn alive(target: &Name, why: &str) -> String {
    format!(
        "{target} is alive: {why}. Nothing was changed. Fail over a living primary only when the origin \
        guard says that its site is down for users; otherwise this is a network problem between Pointsman \
        and {target}."
    )
}

/// Who runs it, in the words of a refusal, with the action that goes through it.
pub fn managed(target: &str, manager: &str) -> String {
    let instead = match manager.to_ascii_lowercase().starts_with("patroni") {
        true => {
            "Use patroni.switchover while its leader lives and patroni.failover when it is lost, on a target of kind \
             patroni"
        }
        false => "Fail over through it",
    };
    format!(
        "{target} is run by {manager}, which takes back what is done underneath it. {instead}. Nothing was changed."
    )
}
