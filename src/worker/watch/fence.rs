//! One look at one old primary, and what it means. Called every two seconds for each open watch.

use super::{Seen, refence, write};
use crate::kernel::domain::{FenceRung, FenceWatchState, Name, Record, RunId, Span};
use crate::kernel::engine::{Run, Summary, WatchLine};
use crate::kernel::port::Registry as _;
use crate::provider::postgres::{Attempt, Endpoint, Port, Seen as Node, Silent, Standing, Trouble, standing};
use crate::provider::{patroni, redis};
use crate::worker::App;
use futures_util::future::join;
use serde::Deserialize as _;

const LOOK: Span = Span::secs(2);
/// A look that cannot tell whether a primary takes writes is taken for a yes when it is repeated.
const DOUBTFUL: u32 = 2;

/// What an old primary is found to be.
#[derive(Clone, Debug, PartialEq)]
enum Sight {
    /// A standby of the new timeline, or a replica of the new history.
    Standby(String),
    /// It does not answer, or is no primary: nothing is proven by that, and nothing is wrong.
    Quiet(String),
    /// It runs as a primary, and the application was refused just now.
    Fenced(FenceRung, String),
    /// It takes writes, or may. `stale`: it is proven that the promoted server supersedes it.
    Loose { stale: bool, says: String },
    /// It runs as a primary, and the attempt to write as the application gave nothing.
    Doubtful { stale: bool, says: String },
}

/// Whether anything is left to be watched.
pub async fn look_after(app: &App, id: &RunId) -> anyhow::Result<bool> {
    let Some(run) = app.run(id).await? else { return Ok(false) };
    for line in run.watch_lines() {
        if let Some(by) = promoted_again(app, &run, &line).await? {
            let says = format!("{} was promoted again by run {by}", line.target);
            write(app, id, record(&line, FenceWatchState::Closed, says)).await?;
            continue;
        }
        let sight = look(app, &run, &line).await;
        judge(app, &run, &line, sight).await?;
    }
    let run = app.run(id).await?;
    Ok(run.is_some_and(|run| run.finished.is_none() || !run.watch_lines().is_empty()))
}

/// A later run has made it the primary: then it is no old primary any more.
async fn promoted_again(app: &App, run: &Run, line: &WatchLine) -> anyhow::Result<Option<RunId>> {
    let newer = app.summaries(super::NEWEST).await?;
    let config = &app.registry.config;
    let member = config.postgres(&line.target).and_then(|conf| conf.patroni.as_ref());
    let is = |promoted: &Name| {
        *promoted == line.target || member.is_some_and(|member| member.cluster == *promoted)
    };
    let promoted = |summary: &&Summary| {
        summary.opened > run.opened && summary.watches.iter().any(|watch| is(&watch.promoted))
    };
    Ok(newer.iter().find(promoted).map(|summary| summary.run.clone()))
}

async fn look(app: &App, run: &Run, line: &WatchLine) -> Sight {
    let config = &app.registry.config;
    if let (Some(old), Some(new)) =
        (redis::Endpoint::of(config, &line.target), redis::Endpoint::of(config, &line.promoted))
    {
        return look_at_redis(app.registry.ports.redis.as_ref(), &old, &new).await;
    }
    let port = app.registry.ports.postgres.as_ref();
    let promoted = &line.promoted;
    let Some(old) = Endpoint::of(config, &line.target) else {
        return Sight::Quiet(format!("{} is not configured any more", line.target));
    };
    let found = match patroni::Endpoint::of(config, promoted) {
        Some(_) => look_at_clusters(app, run, line).await,
        None => look_at_servers(port, &old, Endpoint::of(config, promoted)).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(why) => return Sight::Quiet(format!("how it stands to {promoted} is not known: {why}")),
    };
    match found {
        Standing::Follows { timeline } => {
            Sight::Standby(format!("a standby of {promoted} on timeline {timeline}"))
        }
        Standing::Silent(why) => Sight::Quiet(format!("it does not answer ({why})")),
        Standing::Standby(why) => Sight::Quiet(format!("a standby, but {why}")),
        Standing::Stale { timeline, newer } => {
            let says = format!("a primary of timeline {timeline}, beside {promoted} of timeline {newer}");
            attempt(port, &old, true, says).await
        }
        Standing::Primary(why) => attempt(port, &old, false, format!("a primary, and {why}")).await,
    }
}

async fn look_at_servers(port: &dyn Port, old: &Endpoint, new: Option<Endpoint>) -> Result<Standing, String> {
    let new = new.ok_or("that one is not configured any more")?;
    let (seen, promoted) = join(node(port, old), node(port, &new)).await;
    Ok(standing(&seen, &promoted))
}

/// A member of the cluster that led, beside the cluster that was promoted: by the guard that a fence of it would stand behind.
async fn look_at_clusters(app: &App, run: &Run, line: &WatchLine) -> Result<Standing, String> {
    let bound = app.registry.bind(&refence::superseded("patroni", line)).map_err(|why| why.join("; "))?;
    let ctx = app.ctx(run.id(), &run.spec.service, run.epoch, LOOK);
    let seen = bound.check().observe(&ctx).await.map_err(|error| error.to_string())?;
    Standing::deserialize(&seen.state).map_err(|error| error.to_string())
}

async fn node(port: &dyn Port, at: &Endpoint) -> Node {
    match port.node(at, LOOK).await {
        Ok(node) => Node::Answers(Box::new(node)),
        Err(Trouble::Silent(silent)) => Node::Silent(silent),
        Err(trouble) => {
            let layer = crate::provider::postgres::Layer::Query;
            Node::Silent(Silent { layer, says: trouble.to_string() })
        }
    }
}

/// The truth about a primary: a write as the application, rolled back.
async fn attempt(port: &dyn Port, at: &Endpoint, stale: bool, what: String) -> Sight {
    match port.write_attempt_as_app(at, LOOK).await {
        Ok(Attempt::RefusedBy { by_rules: true, .. }) => Sight::Fenced(FenceRung::Lockout, what),
        Ok(Attempt::RefusedBy { sqlstate, .. }) if sqlstate == "25006" => {
            Sight::Fenced(FenceRung::ReadOnly, what)
        }
        Ok(Attempt::Accepted) => {
            Sight::Loose { stale, says: format!("{what}; the application's write was taken") }
        }
        Ok(Attempt::RefusedBy { says, .. }) => Sight::Doubtful { stale, says: format!("{what}; {says}") },
        Err(trouble) => Sight::Doubtful { stale, says: format!("{what}; {trouble}") },
    }
}

async fn look_at_redis(port: &dyn redis::Port, old: &redis::Endpoint, new: &redis::Endpoint) -> Sight {
    let (seen, promoted) = join(port.node(old, LOOK), port.node(new, LOOK)).await;
    let (seen, promoted) = match (redis::seen(seen), redis::seen(promoted)) {
        (Ok(seen), Ok(promoted)) => (seen, promoted),
        (Err(error), _) | (_, Err(error)) => return Sight::Quiet(format!("it cannot be asked ({error})")),
    };
    let (stale, what) = match redis::standing(&seen, &promoted) {
        redis::Standing::Follows => return Sight::Standby(format!("a replica of {}", new.name)),
        redis::Standing::Silent(why) => return Sight::Quiet(format!("it does not answer ({why})")),
        redis::Standing::Replica(why) => return Sight::Quiet(format!("a replica, but {why}")),
        redis::Standing::Stale => {
            (true, format!("a primary of the history that {} was promoted from", new.name))
        }
        redis::Standing::Primary(why) => (false, format!("a primary, and {why}")),
    };
    match port.write_attempt_as_app(old, LOOK).await {
        Ok(attempt) if attempt.proves_fence() => {
            let sealed = seen.node().is_some_and(|node| node.min_replicas.sealed());
            Sight::Fenced(if sealed { FenceRung::Lockout } else { FenceRung::ReadOnly }, what)
        }
        Ok(redis::Attempt::Accepted) => {
            Sight::Loose { stale, says: format!("{what}; the application's write was taken") }
        }
        Ok(redis::Attempt::Refused { says, .. }) => {
            Sight::Doubtful { stale, says: format!("{what}; {says}") }
        }
        Err(trouble) => Sight::Doubtful { stale, says: format!("{what}; {trouble}") },
    }
}

fn record(line: &WatchLine, state: FenceWatchState, says: String) -> Record {
    Record::FenceWatch { target: line.target.clone(), rung: line.rung, state, says, by: None }
}

async fn judge(app: &App, run: &Run, line: &WatchLine, sight: Sight) -> anyhow::Result<()> {
    let id = run.id();
    let mut seen = app.board.seen(id, &line.target).unwrap_or_default();
    seen.at = app.world.now();
    match sight {
        Sight::Standby(what) if !refence::call_off(app, &seen).await? => {
            seen.says = format!("seen as {what}; the run that fences it is still at work");
        }
        Sight::Standby(what) => {
            let says = format!("seen as {what}; the watch is over");
            tracing::info!(run = %id, target = %line.target, "{says}");
            write(app, id, record(line, FenceWatchState::SeenAsStandby, says)).await?;
            return Ok(());
        }
        Sight::Quiet(says) => (seen.says, seen.doubtful) = (says, 0),
        Sight::Fenced(rung, says) => {
            (seen.says, seen.doubtful) = (format!("{says}; clients are refused ({rung})"), 0);
            // The run that fences it again tells its own end.
            if line.state == FenceWatchState::SeenWritable && seen.refence.is_none() {
                let says = format!("fenced again ({rung}): a fresh write was refused");
                let line = WatchLine { rung, ..line.clone() };
                write(app, id, record(&line, FenceWatchState::Watching, says)).await?;
            }
        }
        Sight::Doubtful { stale, says } => {
            seen.doubtful += 1;
            seen.says = format!("whether it takes writes is not known: {says}");
            if seen.doubtful >= DOUBTFUL {
                alarm(app, id, line, stale, &seen.says.clone(), &mut seen).await?;
            }
        }
        Sight::Loose { stale, says } => {
            seen.doubtful = 0;
            seen.says = format!("it ACCEPTS WRITES: {says}");
            alarm(app, id, line, stale, &says, &mut seen).await?;
        }
    }
    refence::follow(app, run, line, &mut seen).await?;
    app.board.put(id, &line.target, seen);
    Ok(())
}

/// Said loudly first, then fenced again where that may be done.
async fn alarm(
    app: &App,
    id: &RunId,
    line: &WatchLine,
    stale: bool,
    says: &str,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let target: &Name = &line.target;
    if line.state != FenceWatchState::SeenWritable {
        tracing::error!(run = %id, %target, code = "PM5501", "the old primary is back and accepts writes: {says}");
        app.metrics.old_primary_returned();
        let says = format!("PM5501: it is back and accepts writes: {says}");
        write(app, id, record(line, FenceWatchState::SeenWritable, says)).await?;
    }
    refence::begin(app, id, line, stale, seen).await
}
