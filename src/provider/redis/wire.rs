//! Redis' own protocol to real servers. One connection per call; what must be one round trip is one pipeline.

use super::info;
use super::node::{Layer, MinReplicas, Node, Place, Progress, Silent};
use super::port::{Attempt, Endpoint, Port, Reply, Trouble};
use super::sentinel::{self, Answer, Sentinels};
use super::session::{As, Work, run};
use crate::kernel::domain::{Epoch, RunId, Span};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::{Cmd, RedisResult, cmd};

/// Sentinels tell each other of themselves here; nobody else has a reason to listen.
const HELLO: &str = "__sentinel__:hello";
/// A key of a run outlives whatever it takes to look at it.
const MARKER_S: u64 = 7 * 86_400;

pub struct Wire;

fn words(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    words.for_each(|word| {
        command.arg(word);
    });
    command
}

/// Commands one after the other on one connection; the first that is refused ends it.
async fn tell(at: &Endpoint, commands: Vec<Cmd>, within: Span) -> Reply<()> {
    let work: Work<()> = Box::new(move |connection| {
        async move {
            for command in &commands {
                let _said: redis::Value = command.query_async(connection).await?;
            }
            Ok(())
        }
        .boxed()
    });
    run(at, As::Admin, within, work).await
}

fn unread(says: String) -> Trouble {
    Trouble::Silent(Silent { layer: Layer::Query, says })
}

async fn node(at: &Endpoint, within: Span) -> Reply<Node> {
    type Parts = (String, Vec<String>, (String, u64));
    let work: Work<Parts> = Box::new(|connection| {
        async move {
            let mut all = redis::pipe();
            all.cmd("INFO");
            all.cmd("CONFIG").arg("GET").arg("min-replicas-*");
            all.cmd("PUBSUB").arg("NUMSUB").arg(HELLO);
            all.query_async(connection).await
        }
        .boxed()
    });
    let (text, settings, (_, sentinels)) = run(at, As::Admin, within, work).await?;
    let mut node = info::node(&text).map_err(unread)?;
    node.min_replicas = min_replicas(&settings).map_err(unread)?;
    node.sentinels = sentinels;
    Ok(node)
}

/// Both at once; servers before 7.0 take one at a time, and then the lag goes first: with a lag of zero nothing is refused.
async fn set_min_replicas(at: &Endpoint, wanted: MinReplicas, within: Span) -> Reply<()> {
    let lag = format!("min-replicas-max-lag {}", wanted.max_lag);
    let to_write = format!("min-replicas-to-write {}", wanted.to_write);
    match tell(at, vec![words(&format!("CONFIG SET {lag} {to_write}"))], within).await {
        Err(Trouble::Denied { says, .. }) if says.contains("number of arguments") => {
            let both = [lag, to_write].map(|setting| words(&format!("CONFIG SET {setting}")));
            tell(at, both.to_vec(), within).await
        }
        other => other,
    }
}

fn min_replicas(settings: &[String]) -> Result<MinReplicas, String> {
    let of = |key: &str| {
        let at = settings.chunks_exact(2).find(|pair| pair[0] == key);
        at.and_then(|pair| pair[1].parse::<u64>().ok()).ok_or_else(|| format!("CONFIG GET has no {key}"))
    };
    Ok(MinReplicas { to_write: of("min-replicas-to-write")?, max_lag: of("min-replicas-max-lag")? })
}

async fn progress(at: &Endpoint, within: Span) -> Reply<Progress> {
    let work: Work<String> =
        Box::new(|connection| async move { words("INFO replication").query_async(connection).await }.boxed());
    info::progress(&run(at, As::Admin, within, work).await?).map_err(unread)
}

async fn attempt(at: &Endpoint, within: Span) -> Reply<Attempt> {
    let mut delete = cmd("DEL");
    delete.arg(format!("{}:never-there", at.conf.probe_key));
    let work: Work<i64> =
        Box::new(move |connection| async move { delete.query_async(connection).await }.boxed());
    match run(at, As::App, within, work).await {
        Ok(_) => Ok(Attempt::Accepted),
        Err(Trouble::Denied { sqlstate, says }) => Ok(Attempt::Refused { code: sqlstate, says }),
        Err(other) => Err(other),
    }
}

async fn app_may_configure(at: &Endpoint, within: Span) -> Reply<bool> {
    let work: Work<redis::Value> = Box::new(|connection| {
        async move { words("CONFIG GET min-replicas-to-write").query_async(connection).await }.boxed()
    });
    match run(at, As::App, within, work).await {
        Ok(_) => Ok(true),
        Err(Trouble::Denied { sqlstate, .. }) if sqlstate == "NOPERM" => Ok(false),
        Err(other) => Err(other),
    }
}

fn marker_key(at: &Endpoint, run_id: &RunId) -> String {
    format!("{}:run:{run_id}", at.conf.probe_key)
}

async fn marker(at: &Endpoint, run_id: &RunId, within: Span) -> Reply<Option<Epoch>> {
    let mut get = cmd("GET");
    get.arg(marker_key(at, run_id));
    let work: Work<Option<String>> =
        Box::new(move |connection| async move { get.query_async(connection).await }.boxed());
    let held = run(at, As::App, within, work).await?;
    let read = |text: String| text.parse().map_err(|_| unread(format!("the key of this run holds {text:?}")));
    held.map(read).transpose()
}

async fn write_marker(at: &Endpoint, run_id: &RunId, epoch: Epoch, within: Span) -> Reply<()> {
    let mut set = cmd("SET");
    set.arg(marker_key(at, run_id)).arg(epoch).arg("NX").arg("EX").arg(MARKER_S);
    let work: Work<()> = Box::new(move |connection| {
        async move {
            let _ok_or_there: RedisResult<redis::Value> = Ok(set.query_async(connection).await?);
            Ok(())
        }
        .boxed()
    });
    run(at, As::App, within, work).await
}

impl Port for Wire {
    fn node<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Node>> {
        node(at, within).boxed()
    }

    fn progress<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Progress>> {
        progress(at, within).boxed()
    }

    fn write_attempt_as_app<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<Attempt>> {
        attempt(at, within).boxed()
    }

    fn app_may_configure<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<bool>> {
        app_may_configure(at, within).boxed()
    }

    fn set_min_replicas<'a>(
        &'a self,
        at: &'a Endpoint,
        wanted: MinReplicas,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        set_min_replicas(at, wanted, within).boxed()
    }

    fn rewrite_config<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        tell(at, vec![words("CONFIG REWRITE")], within).boxed()
    }

    fn promote<'a>(&'a self, at: &'a Endpoint, within: Span) -> BoxFuture<'a, Reply<()>> {
        tell(at, vec![words("REPLICAOF NO ONE")], within).boxed()
    }

    fn follow<'a>(&'a self, at: &'a Endpoint, primary: &'a Place, within: Span) -> BoxFuture<'a, Reply<()>> {
        let mut follow = cmd("REPLICAOF");
        follow.arg(&primary.host).arg(primary.port);
        tell(at, vec![follow], within).boxed()
    }

    fn hand_over<'a>(
        &'a self,
        at: &'a Endpoint,
        to: &'a Place,
        timeout: Span,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        let ms = u64::try_from(timeout.as_duration().as_millis()).unwrap_or(u64::MAX);
        let mut order = cmd("FAILOVER");
        order.arg("TO").arg(&to.host).arg(to.port).arg("TIMEOUT").arg(ms);
        tell(at, vec![order], within).boxed()
    }

    fn sentinel<'a>(&'a self, at: &'a Sentinels, n: usize, within: Span) -> BoxFuture<'a, Reply<Answer>> {
        sentinel::wire::look(at, n, within).boxed()
    }

    fn sentinel_failover<'a>(
        &'a self,
        at: &'a Sentinels,
        n: usize,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        sentinel::wire::fail_over(at, n, within).boxed()
    }

    fn marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        within: Span,
    ) -> BoxFuture<'a, Reply<Option<Epoch>>> {
        marker(at, run, within).boxed()
    }

    fn write_marker<'a>(
        &'a self,
        at: &'a Endpoint,
        run: &'a RunId,
        epoch: Epoch,
        within: Span,
    ) -> BoxFuture<'a, Reply<()>> {
        write_marker(at, run, epoch, within).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_not_told_are_not_zero() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let both = text(&["min-replicas-max-lag", "10", "min-replicas-to-write", "1"]);
        assert_eq!(min_replicas(&both), Ok(MinReplicas::new(1, 10)));
        assert!(min_replicas(&text(&["min-replicas-max-lag", "10"])).unwrap_err().contains("to-write"));
    }
}
