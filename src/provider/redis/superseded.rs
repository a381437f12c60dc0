//! `redis.superseded {target, by}`: the old primary runs as a primary although another server was promoted.
//!
//! A guard that no playbook names: the fence watch puts it before the fence of an old primary that came back. It is
//! proven only by both servers answering as primaries, and by `by` having begun its history where one of `target` ended.
//! A primary that was restarted without its data has forgotten that, and nothing is proven: people are told instead.

use super::look::look;
use super::node::Seen;
use super::port::{Endpoint, Port};
use crate::kernel::domain::{Fact, Observation, StepPlan, Time};
use crate::kernel::port::{Check, Ctx, ProviderError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub struct Superseded {
    pub port: Arc<dyn Port>,
    pub target: Endpoint,
    pub by: Endpoint,
}

/// How an old primary stands to the server that was promoted in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does not answer.
    Silent(String),
    /// A replica with the promoted server's history.
    Follows,
    /// A replica, but not (yet) of that history, or that cannot be known.
    Replica(String),
    /// A primary of the history that the promoted one came from; that one is a primary, too.
    Stale,
    /// A primary, and it is not known to be the stale one.
    Primary(String),
}

/// Pure. What is not known is never "follows" and never "stale".
pub fn standing(old: &Seen, promoted: &Seen) -> Standing {
    let node = match old {
        Seen::Silent(silent) => return Standing::Silent(format!("{}: {}", silent.layer, silent.says)),
        Seen::Answers(node) => node,
    };
    let new = promoted.primary();
    let unlike = || match (promoted, new) {
        (Seen::Silent(silent), _) => format!("the promoted server does not answer ({})", silent.says),
        (_, None) => "the promoted server is no primary".to_owned(),
        (_, Some(_)) => "its history is none that the promoted server knows".to_owned(),
    };
    let whole = node.offset.is_some();
    match (node.replica, new) {
        (true, Some(new)) if whole && node.replid == new.replid => Standing::Follows,
        (true, _) => Standing::Replica(unlike()),
        (false, Some(new)) if new.replid2.as_ref().is_some_and(|history| node.knows(history)) => {
            Standing::Stale
        }
        (false, _) => Standing::Primary(unlike()),
    }
}

impl Check for Superseded {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let port = self.port.as_ref();
            let (old, new) = join(look(port, &self.target, ctx), look(port, &self.by, ctx)).await;
            let (old, new) = (old?, new?);
            Ok(Observation {
                identity: json!({ "replid": old.node().map(|node| &node.replid), "address": self.target.address() }),
                state: json!(standing(&old, &new)),
                evidence: json!({ "old": old.role(), "promoted": new.role() }),
                at,
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        let (target, by) = (&self.target.name, &self.by.name);
        match Standing::deserialize(&seen.state) {
            Ok(Standing::Stale) => StepPlan::gives(
                vec![Fact::Superseded { target: target.clone(), by: by.clone() }],
                format!("{target} is a primary of the history that {by} was promoted from"),
            ),
            Ok(Standing::Silent(why) | Standing::Replica(why) | Standing::Primary(why)) => {
                StepPlan::unknown("PM3107", format!("it is not proven that {by} supersedes {target}: {why}"))
            }
            Ok(Standing::Follows) => {
                StepPlan::refuse("PM3107", format!("{target} follows {by} as a replica: nothing to fence"))
            }
            Err(_) => StepPlan::unknown("PM3109", "the observation cannot be read; look again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::{Layer, Node, Silent};
    use super::*;

    fn node(replica: bool, replid: &str, replid2: Option<&str>) -> Seen {
        let replid2 = replid2.map(str::to_owned);
        Seen::Answers(Box::new(Node {
            replica,
            replid: replid.into(),
            replid2,
            offset: Some(9),
            ..Node::default()
        }))
    }
    fn silent() -> Seen {
        Seen::Silent(Silent { layer: Layer::Tcp, says: "refused".into() })
    }

    #[test]
    fn only_two_primaries_of_one_history_prove_it() {
        let new = node(false, "n", Some("o"));
        assert_eq!(standing(&node(false, "o", None), &new), Standing::Stale);
        assert_eq!(
            standing(&node(false, "again", Some("o")), &new),
            Standing::Stale,
            "restarted with its data"
        );
        for (old, promoted) in [
            (node(false, "o", None), silent()),
            (node(false, "o", None), node(true, "n", Some("o"))),
            (node(false, "empty", None), node(false, "n", Some("o"))),
            (node(false, "n2", Some("n")), node(false, "n", None)),
        ] {
            assert!(matches!(standing(&old, &promoted), Standing::Primary(_)), "{old:?} {promoted:?}");
        }
    }

    #[test]
    fn a_replica_counts_only_with_the_new_history() {
        let new = node(false, "n", Some("o"));
        assert_eq!(standing(&node(true, "n", Some("o")), &new), Standing::Follows);
        assert!(matches!(standing(&node(true, "o", None), &new), Standing::Replica(_)));
        assert!(matches!(standing(&node(true, "n", None), &silent()), Standing::Replica(_)));
        assert!(matches!(standing(&silent(), &new), Standing::Silent(_)));
    }
}
