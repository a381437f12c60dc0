//! Real Sentinels, over connections of our own like every server. Called by the room's `wire`.

use super::super::node::{Layer, Silent};
use super::super::port::{Reply, Trouble};
use super::super::session::{As, Work, run};
use super::Sentinels;
use super::told::{self, Answer, Words};
use crate::kernel::domain::Span;
use futures_util::FutureExt;
use redis::{RedisError, cmd};

type Lists = (String, Words, Vec<Words>, Vec<Words>, String);

/// Five questions at once, then the one whose *no* is an error.
pub async fn look(at: &Sentinels, n: usize, within: Span) -> Reply<Answer> {
    let master = at.conf.master.clone();
    let work: Work<(Lists, Option<String>)> = Box::new(move |connection| {
        async move {
            let mut all = redis::pipe();
            all.cmd("SENTINEL").arg("MYID");
            for list in ["MASTER", "REPLICAS", "SENTINELS"] {
                all.cmd("SENTINEL").arg(list).arg(&master);
            }
            all.cmd("INFO").arg("sentinel");
            let lists: Lists = all.query_async(connection).await?;
            let mut quorum = cmd("SENTINEL");
            quorum.arg("CKQUORUM").arg(&master);
            let said: Result<String, RedisError> = quorum.query_async(connection).await;
            match said {
                Ok(_) => Ok((lists, None)),
                Err(no) if no.code() == Some("NOQUORUM") => {
                    Ok((lists, Some(no.detail().unwrap_or("CKQUORUM says no").to_owned())))
                }
                Err(other) => Err(other),
            }
        }
        .boxed()
    });
    let ((id, master, replicas, others, info), no_quorum) =
        run(&at.server(n), As::Admin, within, work).await?;
    let read = told::answer(id, (&master, &replicas, &others), no_quorum, &info);
    read.map_err(|says| Trouble::Silent(Silent { layer: Layer::Query, says }))
}

/// Forces a failover, as if the primary were not reachable, without asking the other Sentinels. It answers when it has begun.
pub async fn fail_over(at: &Sentinels, n: usize, within: Span) -> Reply<()> {
    let master = at.conf.master.clone();
    let work: Work<()> = Box::new(move |connection| {
        async move {
            let mut order = cmd("SENTINEL");
            order.arg("FAILOVER").arg(&master);
            let _ok: redis::Value = order.query_async(connection).await?;
            Ok(())
        }
        .boxed()
    });
    run(&at.server(n), As::Admin, within, work).await
}
