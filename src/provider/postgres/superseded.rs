//! `postgres.superseded {target, by}`: the old primary runs as a primary although another server was promoted.
//!
//! A guard that no playbook names: the fence watch puts it before the fence of an old primary that came back. It is
//! proven only by both servers answering: same data, both primaries, and `by` on the newer timeline. Then, and only
//! then, a living primary may be fenced without the origin guard.

use super::look::look;
use super::node::{Node, Seen};
use super::port::{Endpoint, Port};
use crate::kernel::domain::{Fact, Name, Observation, StepPlan, Time};
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
    /// A standby of the same data that follows the promoted server's timeline.
    Follows { timeline: u32 },
    /// A standby, but not (yet) of the new timeline, or that cannot be known.
    Standby(String),
    /// A primary on an older timeline than the promoted one, which is a primary too.
    Stale { timeline: u32, newer: u32 },
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
    let both = |new: &Node| Some((node.timeline?, new.timeline?));
    let same = |new: &Node| node.system.is_some() && node.system == new.system;
    let unlike = || match (promoted, new) {
        (Seen::Silent(silent), _) => format!("the promoted server does not answer ({})", silent.says),
        (_, None) => "the promoted server is no primary".to_owned(),
        (_, Some(new)) if !same(new) => "it holds other data than the promoted server".to_owned(),
        (_, Some(new)) => format!(
            "its timeline is {} and that of the promoted server {}",
            said(node.timeline),
            said(new.timeline)
        ),
    };
    let timelines = new.filter(|new| same(new)).and_then(both);
    match (node.in_recovery, timelines) {
        (true, Some((own, newer))) if own >= newer => Standing::Follows { timeline: own },
        (true, _) => Standing::Standby(unlike()),
        (false, Some((timeline, newer))) if timeline < newer => Standing::Stale { timeline, newer },
        (false, _) => Standing::Primary(unlike()),
    }
}

pub fn said(timeline: Option<u32>) -> String {
    timeline.map_or("unknown".to_owned(), |timeline| timeline.to_string())
}

impl Check for Superseded {
    fn observe<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<Observation, ProviderError>> {
        async move {
            let at = ctx.now();
            let port = self.port.as_ref();
            let (old, new) = join(look(port, &self.target, ctx), look(port, &self.by, ctx)).await;
            let (old, new) = (old?, new?);
            let system = old.node().and_then(|node| node.system.clone());
            Ok(Observation {
                identity: json!({ "system": system }),
                state: json!(standing(&old, &new)),
                evidence: json!({ "old": old.role(), "promoted": new.role() }),
                at,
            })
        }
        .boxed()
    }

    fn plan(&self, seen: &Observation, _given: &[Fact], _now: Time) -> StepPlan {
        is_superseded(seen, &self.target.name, &self.by.name)
    }
}

/// The verdict over a [`Standing`] that was observed; of a server, or of a member of a cluster beside another one.
pub fn is_superseded(seen: &Observation, target: &Name, by: &Name) -> StepPlan {
    match Standing::deserialize(&seen.state) {
        Ok(Standing::Stale { timeline, newer }) => StepPlan::gives(
            vec![Fact::Superseded { target: target.clone(), by: by.clone() }],
            format!("{target} is a primary of timeline {timeline}, and {by} of timeline {newer}"),
        ),
        Ok(Standing::Silent(why) | Standing::Standby(why) | Standing::Primary(why)) => {
            StepPlan::unknown("PM3107", format!("it is not proven that {by} supersedes {target}: {why}"))
        }
        Ok(Standing::Follows { .. }) => {
            StepPlan::refuse("PM3107", format!("{target} follows {by} as a standby: nothing to fence"))
        }
        Err(_) => StepPlan::unknown("PM3109", "the observation cannot be read; look again"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::{Layer, Silent};
    use super::*;

    fn node(in_recovery: bool, timeline: u32, system: &str) -> Seen {
        let (timeline, system) = (Some(timeline), Some(system.to_owned()));
        Seen::Answers(Box::new(Node { in_recovery, timeline, system, ..Node::default() }))
    }
    fn silent() -> Seen {
        Seen::Silent(Silent { layer: Layer::Tcp, says: "refused".into() })
    }

    #[test]
    fn only_two_primaries_of_one_lineage_on_different_timelines_prove_it() {
        let new = node(false, 2, "1");
        assert_eq!(standing(&node(false, 1, "1"), &new), Standing::Stale { timeline: 1, newer: 2 });
        for (old, promoted) in [
            (node(false, 1, "1"), silent()),
            (node(false, 1, "1"), node(true, 2, "1")),
            (node(false, 1, "2"), node(false, 2, "1")),
            (node(false, 2, "1"), node(false, 2, "1")),
            (node(false, 3, "1"), node(false, 2, "1")),
        ] {
            assert!(matches!(standing(&old, &promoted), Standing::Primary(_)), "{old:?} {promoted:?}");
        }
    }

    #[test]
    fn a_standby_counts_only_when_it_has_the_new_timeline_of_the_same_data() {
        let new = node(false, 2, "1");
        assert_eq!(standing(&node(true, 2, "1"), &new), Standing::Follows { timeline: 2 });
        assert!(matches!(standing(&node(true, 1, "1"), &new), Standing::Standby(_)));
        assert!(matches!(standing(&node(true, 2, "2"), &new), Standing::Standby(_)));
        assert!(matches!(standing(&node(true, 2, "1"), &silent()), Standing::Standby(_)));
        assert!(matches!(standing(&silent(), &new), Standing::Silent(_)));
    }
}
