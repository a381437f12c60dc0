//! Compares our clock with those of the database servers, which are asked anyway. More than five seconds apart is a
//! finding: on record, in `status`, and no automatic run opens while it lasts. Which of the two is wrong is not known.

use super::App;
use crate::kernel::domain::{Name, Record, Span, Stream, Time};
use crate::provider::postgres::Endpoint;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const EVERY: Span = Span::secs(15);
const WITHIN: Span = Span::secs(2);
/// Apart by more than this, beyond the time that the answer took.
pub const APART: Span = Span::secs(5);

/// How far a clock that was read between `asked` and `answered` is ahead of ours (behind: negative), beyond doubt.
/// `None`: it may be right.
pub fn apart(asked: Time, answered: Time, theirs: Time) -> Option<i64> {
    let most = i64::try_from(APART.0).unwrap_or(i64::MAX);
    match (theirs.0 - answered.0, asked.0 - theirs.0) {
        (ahead, _) if ahead > most => Some(ahead),
        (_, behind) if behind > most => Some(-behind),
        _ => None,
    }
}

/// Asks every database server from time to time, until `stop`.
pub async fn compare_clocks(app: Arc<App>, stop: CancellationToken) {
    let known = &app.registry.config.targets;
    let servers: Vec<Name> =
        known.keys().filter(|name| app.registry.config.postgres(name).is_some()).cloned().collect();
    let mut found: BTreeMap<Name, i64> = BTreeMap::new();
    loop {
        let due = app.world.now() + EVERY;
        let looks = servers.iter().map(|name| look(&app, name));
        for (name, seen) in servers.iter().zip(futures_util::future::join_all(looks).await) {
            match seen {
                // A server that does not answer has said nothing of its clock: what was found stands.
                None => {}
                Some(None) => drop(found.remove(name)),
                Some(Some(by)) => drop(found.insert(name.clone(), by)),
            }
        }
        if let Err(error) = tell(&app, &found).await {
            tracing::error!(%error, "a finding about clocks cannot be written down now");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}

async fn look(app: &App, name: &Name) -> Option<Option<i64>> {
    let at = Endpoint::of(&app.registry.config, name)?;
    let asked = app.world.now();
    let progress = app.registry.ports.postgres.progress(&at, WITHIN).await.ok()?;
    Some(apart(asked, app.world.now(), progress.clock?))
}

/// A record where it begins and where it ends; in between it only stands.
async fn tell(app: &App, found: &BTreeMap<Name, i64>) -> anyhow::Result<()> {
    let one = |(name, by): (&Name, &i64)| {
        let side = if *by > 0 { "ahead of" } else { "behind" };
        format!("the clock of {name} is {:.0} s {side} ours", by.unsigned_abs() as f64 / 1e6)
    };
    let says: Vec<String> = found.iter().map(one).collect();
    let now = (!says.is_empty())
        .then(|| format!("PM5506: {}; automatic runs are held until they agree", says.join("; ")));
    let before = app.clock_finding();
    app.set_clock_finding(now.clone());
    if before.is_some() == now.is_some() {
        return Ok(());
    }
    let jump = found.values().copied().max_by_key(|by| by.unsigned_abs()).unwrap_or(0);
    let says = now.unwrap_or_else(|| "the clocks agree again".to_owned());
    tracing::warn!("{says}");
    let seq = app.seq(&Stream::Instance).await?;
    let record = Record::Clock { says, jump };
    let receipt = app.journal.write(app.world.now(), Stream::Instance, Some(seq), record).await?;
    app.wakes.appended(receipt.stamped.last().map_or(0, |s| s.position));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_wrong_clock_and_both_directions_count() {
        let at = |seconds: i64| Time(seconds * 1_000_000);
        assert_eq!(apart(at(100), at(101), at(100)), None);
        assert_eq!(apart(at(100), at(101), at(106)), None, "exactly five seconds");
        assert_eq!(apart(at(100), at(101), at(107)), Some(6_000_000));
        assert_eq!(apart(at(100), at(101), at(94)), Some(-6_000_000));
        assert_eq!(apart(at(100), at(120), at(110)), None, "the answer took twenty seconds");
    }
}
