//! Heartbeats of sources: alerts that never stop while all is well. Triage hears them; here is told when one stays away for too
//! long, and when it is there again, once each, across restarts. A task of the instance.
//!
//! What this process could not hear is no silence: its time begins with the process, and what was heard before is read from the
//! journal.

use super::{App, CommandError};
use crate::config::Watchdog;
use crate::intake::{Alert, Status};
use crate::kernel::domain::{Finding, Grade, Name, Record, Span, Stream, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// How often the time is looked at.
const LOOK: Span = Span::secs(1);
/// Deliveries before the start among which the last heartbeat is looked for.
const BEFORE: u32 = 200;

/// What is known of one source's heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pulse {
    last: Option<Time>,
    /// Since when it is silent, as on record.
    silent: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Heard(Time),
    /// It was not heard since the start, and that is not long ago.
    NotYet,
    Silent,
}

pub struct Pulses {
    /// Of this process: before that it could not hear.
    began: Time,
    known: Mutex<BTreeMap<Name, Pulse>>,
}

impl Pulses {
    pub fn new(began: Time) -> Pulses {
        Pulses { began, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Pulse>> {
        self.known.lock().expect("invariant: no panic while holding the lock")
    }

    fn of(&self, source: &Name) -> Pulse {
        self.lock().get(source).copied().unwrap_or_default()
    }

    fn heard(&self, source: &Name, at: Time) {
        let mut known = self.lock();
        let pulse = known.entry(source.clone()).or_default();
        pulse.last = pulse.last.max(Some(at));
    }

    fn note(&self, source: &Name, silent: Option<Time>) {
        self.lock().entry(source.clone()).or_default().silent = silent;
    }
}

/// A silence that is on record ends with a heartbeat that came after, and with nothing else.
fn judge(began: Time, now: Time, pulse: Pulse, within: Span) -> Life {
    let last = pulse.last.filter(|last| pulse.silent.is_none_or(|noted| *last > noted));
    let heard = last.filter(|last| now.since(*last) <= within);
    match heard {
        Some(last) => Life::Heard(last),
        None if pulse.silent.is_some() || now.since(began.max(last.unwrap_or(began))) > within => {
            Life::Silent
        }
        None => Life::NotYet,
    }
}

/// Until `stop`.
pub async fn watch_heartbeats(app: Arc<App>, stop: CancellationToken) {
    let watched: Vec<(&Name, &Watchdog)> = app.heartbeats().collect();
    if watched.is_empty() {
        return;
    }
    let mut loaded = false;
    while !stop.is_cancelled() {
        if !loaded {
            match app.load_heartbeats().await {
                Ok(()) => loaded = true,
                Err(error) => tracing::warn!(%error, "which heartbeats came before cannot be read yet"),
            }
        }
        for (source, watchdog) in watched.iter().filter(|_| loaded) {
            if let Err(error) = app.note_heartbeat(source, watchdog).await {
                tracing::error!(%source, %error, "that a source fell silent, or is heard again, cannot be written down now");
            }
        }
        let due = app.world.now() + LOOK;
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}

impl App {
    fn heartbeats(&self) -> impl Iterator<Item = (&Name, &Watchdog)> {
        self.config.sources.iter().filter_map(|(name, source)| Some((name, source.heartbeat.as_ref()?)))
    }

    /// What of a delivery is no heartbeat. Those are heard here, and start nothing; the end of one that was an alert before it
    /// became a heartbeat is an end.
    pub(super) fn without_heartbeats(&self, source: &Name, alerts: &[Alert], at: Time) -> Option<Vec<Alert>> {
        let watchdog = self.config.sources.get(source)?.heartbeat.as_ref()?;
        let is_beat = |alert: &&Alert| alert.status == Status::Firing && watchdog.is_beat(&alert.labels);
        if alerts.iter().any(|alert| is_beat(&alert)) {
            self.pulses.heard(source, at);
        }
        Some(alerts.iter().filter(|alert| !is_beat(alert)).cloned().collect())
    }

    async fn load_heartbeats(&self) -> anyhow::Result<()> {
        for (source, watchdog) in self.heartbeats() {
            let stream = Stream::Source(source.clone());
            let said = self.journal.newest(&stream, &["heartbeat"], 1).await?;
            if let Some(stamped) = said.last()
                && let Record::Heartbeat { silent, last, .. } = &stamped.record
            {
                last.iter().for_each(|at| self.pulses.heard(source, *at));
                self.pulses.note(source, silent.then_some(stamped.at));
            }
            if let Some(at) = self.last_heartbeat(&stream, watchdog).await? {
                self.pulses.heard(source, at);
            }
        }
        Ok(())
    }

    /// Among the last deliveries: what cannot be read any more was none.
    async fn last_heartbeat(&self, stream: &Stream, watchdog: &Watchdog) -> anyhow::Result<Option<Time>> {
        for stamped in self.journal.newest(stream, &["delivered"], BEFORE).await?.iter().rev() {
            let Record::Delivered(delivered) = &stamped.record else { continue };
            let read = self.bodies.read(&self.journal, &delivered.format, delivered.digest).await?;
            let beats = |alert: &Alert| alert.status == Status::Firing && watchdog.is_beat(&alert.labels);
            if read.is_ok_and(|delivery| delivery.alerts.iter().any(beats)) {
                return Ok(Some(stamped.at));
            }
        }
        Ok(None)
    }

    /// On record where it changed.
    async fn note_heartbeat(&self, source: &Name, watchdog: &Watchdog) -> Result<(), CommandError> {
        let (now, pulse) = (self.world.now(), self.pulses.of(source));
        let silent = match (judge(self.pulses.began, now, pulse, watchdog.within), pulse.silent) {
            (Life::Silent, None) => true,
            (Life::Heard(_), Some(_)) => false,
            _ => return Ok(()),
        };
        let record =
            Record::Heartbeat { source: source.clone(), silent, within: watchdog.within, last: pulse.last };
        self.note(Stream::Source(source.clone()), record).await?;
        self.pulses.note(source, silent.then_some(now));
        match silent {
            true => {
                tracing::error!(%source, within = %watchdog.within, "the heartbeat of a source stays away")
            }
            false => tracing::info!(%source, "the heartbeat of a source is there again"),
        }
        Ok(())
    }

    /// For whoever asks for metrics.
    pub fn count_heartbeats(&self, now: Time) {
        for (source, watchdog) in self.heartbeats() {
            let pulse = self.pulses.of(source);
            let silent = judge(self.pulses.began, now, pulse, watchdog.within) == Life::Silent;
            self.metrics.source(source, silent, pulse.last.map(|last| now.since(last)));
        }
    }

    /// Whether an alert of this source would be heard now. Nothing where it has no heartbeat.
    pub(super) fn heartbeat_finding(&self, source: &Name) -> Option<Finding> {
        let watchdog = self.config.sources.get(source)?.heartbeat.as_ref()?;
        let (now, pulse) = (self.world.now(), self.pulses.of(source));
        let last = pulse.last.map_or("none was ever heard".to_owned(), |at| format!("the last came at {at}"));
        let (within, began) = (watchdog.within, self.pulses.began);
        Some(match judge(began, now, pulse, within) {
            Life::Heard(at) => Finding::ok(format!("its heartbeat came {} ago", now.since(at))),
            Life::NotYet => Finding::of(
                Grade::Warn,
                "PM5814",
                format!("no heartbeat since Pointsman started {} ago; {last}", now.since(began)),
                format!("it is known within {within} of the start"),
            ),
            Life::Silent => Finding::of(
                Grade::Bad,
                "PM5814",
                format!(
                    "no heartbeat ({}) for {within}: {last}. What fires there is not heard",
                    watchdog.says()
                ),
                "see whether the source runs, still sends this alert, and reaches Pointsman with a good token",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Span = Span::secs(10);

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    fn life(now: i64, last: Option<i64>, silent: Option<i64>) -> Life {
        judge(at(100), at(now), Pulse { last: last.map(at), silent: silent.map(at) }, WITHIN)
    }

    #[test]
    fn silence_is_counted_from_the_start_and_from_the_last_heartbeat() {
        assert_eq!(life(110, None, None), Life::NotYet, "this process listens for ten seconds");
        assert_eq!(judge(at(100), Time(110_000_001), Pulse::default(), WITHIN), Life::Silent);
        assert_eq!(life(110, Some(40), None), Life::NotYet, "what came while it was dead is not known");
        assert_eq!(life(111, Some(40), None), Life::Silent);
        assert_eq!(life(104, Some(95), None), Life::Heard(at(95)), "heard by the process before");
        assert_eq!(life(106, Some(95), None), Life::NotYet);
        assert_eq!(life(130, Some(120), None), Life::Heard(at(120)));
        assert_eq!(life(131, Some(120), None), Life::Silent);
    }

    #[test]
    fn only_a_heartbeat_ends_a_silence_that_was_told() {
        assert_eq!(life(105, Some(40), Some(90)), Life::Silent, "a restart is none");
        assert_eq!(life(105, None, Some(90)), Life::Silent);
        assert_eq!(life(105, Some(103), Some(90)), Life::Heard(at(103)));
        assert_eq!(life(150, Some(103), Some(90)), Life::Silent, "and it may have stopped again meanwhile");
    }
}
