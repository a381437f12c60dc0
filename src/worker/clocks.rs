//! Compares our clock with those of the database servers, which are asked anyway, and with the `Date` of every server that
//! alerts come from or that looks for us. More than five seconds apart is a finding: on record, in `status`, and no
//! automatic run opens while it lasts. Which of the two is wrong is not known.

use super::App;
use crate::config::Config;
use crate::kernel::domain::{Name, Record, Span, Stream, Time};
use crate::provider::postgres::Endpoint;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const EVERY: Span = Span::secs(15);
const WITHIN: Span = Span::secs(2);
/// A `Date` tells whole seconds.
const WHOLE: Span = Span::secs(1);
/// Apart by more than this, beyond the time that the answer took.
pub const APART: Span = Span::secs(5);

/// How far a clock that was read between `asked` and `answered` is ahead of ours (behind: negative), beyond doubt; it
/// showed `theirs`, or up to `coarse` more. `None`: it may be right.
pub fn apart(asked: Time, answered: Time, theirs: Time, coarse: Span) -> Option<i64> {
    let most = i64::try_from(APART.0).unwrap_or(i64::MAX);
    match (theirs.0.saturating_sub(answered.0), asked.0.saturating_sub((theirs + coarse).0)) {
        (ahead, _) if ahead > most => Some(ahead),
        (_, behind) if behind > most => Some(-behind),
        _ => None,
    }
}

/// Asks every database server from time to time, until `stop`.
pub async fn compare_clocks(app: Arc<App>, stop: CancellationToken) {
    let clocks = clocks(&app.config);
    let mut found: BTreeMap<Name, i64> = BTreeMap::new();
    loop {
        let due = app.world.now() + EVERY;
        let looks = clocks.iter().map(|(_, clock)| look(&app, clock));
        for ((name, _), seen) in clocks.iter().zip(futures_util::future::join_all(looks).await) {
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

enum Clock {
    Postgres(Name),
    /// The root of a web server.
    Web(String),
}

/// Every clock that this configuration knows of, by the name that people know it by.
fn clocks(config: &Config) -> Vec<(Name, Clock)> {
    let servers = config.targets.keys().filter(|name| config.postgres(name).is_some());
    let mut clocks: Vec<(Name, Clock)> =
        servers.map(|name| (name.clone(), Clock::Postgres(name.clone()))).collect();
    let sources = config.sources.values().flat_map(|source| source.api.iter().chain(&source.prometheus));
    let vantages = config.vantages.values().filter_map(|vantage| vantage.blackbox.as_ref());
    for url in sources.chain(vantages) {
        let Some(root) = url::Url::parse(url).ok().and_then(|url| url.join("/").ok()) else { continue };
        // Never what stands before an `@`: the name is shown.
        let port = root.port().map_or(String::new(), |port| format!(":{port}"));
        let name = Name::from(format!("{}{port}", root.host_str().unwrap_or_default()));
        if !clocks.iter().any(|(known, _)| *known == name) {
            clocks.push((name, Clock::Web(root.to_string())));
        }
    }
    clocks
}

async fn look(app: &App, clock: &Clock) -> Option<Option<i64>> {
    let asked = app.world.now();
    match clock {
        Clock::Postgres(name) => {
            let at = Endpoint::of(&app.registry.config, name)?;
            let progress = app.registry.ports.postgres.progress(&at, WITHIN).await.ok()?;
            Some(apart(asked, app.world.now(), progress.clock?, Span::ZERO))
        }
        Clock::Web(url) => {
            let date = app.registry.ports.http.date(url, WITHIN).await?;
            Some(apart(asked, app.world.now(), date, WHOLE))
        }
    }
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
    app.journal.write(app.world.now(), Stream::Instance, Some(seq), record).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_that_tells_a_time_is_asked_once() {
        let text = "[sources.a]\napi = [\"http://am:9093/alerts\", \"http://am:9093\"]\nprometheus = [\"http://prom:9090\"]\n\
                    [vantages.v]\nblackbox = \"https://bb.test/probe\"\ndomain = \"x\"\n\
                    [targets.pg]\nkind = \"postgres\"\naddress = \"192.0.2.1\"\nuser = \"u\"\n";
        let clocks = clocks(&crate::config::for_test(text));
        let names: Vec<&str> = clocks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["pg", "am:9093", "prom:9090", "bb.test"]);
        assert!(matches!(&clocks[1].1, Clock::Web(root) if root == "http://am:9093/"));
    }

    #[test]
    fn a_slow_answer_is_no_wrong_clock_and_both_directions_count() {
        let at = |seconds: i64| Time(seconds * 1_000_000);
        let exact = |asked, answered, theirs| apart(at(asked), at(answered), at(theirs), Span::ZERO);
        assert_eq!(exact(100, 101, 100), None);
        assert_eq!(exact(100, 101, 106), None, "exactly five seconds");
        assert_eq!(exact(100, 101, 107), Some(6_000_000));
        assert_eq!(exact(100, 101, 94), Some(-6_000_000));
        assert_eq!(exact(100, 120, 110), None, "the answer took twenty seconds");
        assert_eq!(apart(at(100), at(101), at(94), WHOLE), None, "94.9 s is told as 94");
        assert_eq!(apart(at(100), at(101), at(93), WHOLE), Some(-6_000_000));
        assert_eq!(apart(at(100), at(101), at(107), WHOLE), Some(6_000_000));
    }
}
