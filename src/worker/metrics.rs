//! What is counted. No label carries a run, a fingerprint or anything else without bound.

use super::Playbooks;
use crate::intake::{Delivery, Status};
use crate::kernel::domain::{FenceWatchState, Name, Outcome, Span};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Reasons that rules of alerting wait for.
const REFUSALS: [&str; 16] = [
    "PM5405", "PM5406", "PM5408", "PM5410", "PM5411", "PM5412", "PM5413", "PM5414", "PM5415", "PM5416",
    "PM5419", "PM5420", "PM5601", "PM5602", "PM5603", "PM5604",
];

type Labels = [(&'static str, &'static str); 1];
type Notices = Family<[(&'static str, String); 2], Counter>;
type NoticesWaiting = Family<[(&'static str, String); 1], Gauge>;

pub struct Metrics {
    registry: Registry,
    deliveries: Counter,
    rejected: Family<Labels, Counter>,
    alerts: Family<Labels, Counter>,
    truncated: Counter,
    runs: Family<Labels, Counter>,
    watches: Family<Labels, Gauge>,
    returned: Counter,
    fenced_again: Family<Labels, Counter>,
    drifted: Counter,
    refusals: Family<[(&'static str, String); 1], Counter>,
    breaker: Gauge,
    overrides: Gauge,
    changes: Gauge,
    notices: Notices,
    notices_waiting: NoticesWaiting,
    heartbeats: Family<Labels, Counter>,
    playbooks: OfPlaybooks,
    sources: OfSources,
}

/// Of sources with a heartbeat.
#[derive(Default)]
struct OfSources {
    silent: Family<[(&'static str, String); 1], Gauge>,
    age: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    found: Family<[(&'static str, String); 1], Counter>,
}

#[derive(Default)]
struct OfPlaybooks {
    states: Family<Labels, Gauge>,
    disabled: Gauge,
    ready: Family<Labels, Gauge>,
    reloaded: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pointsman");
        let (deliveries, truncated) = (Counter::default(), Counter::default());
        let (rejected, alerts, runs) = (Family::default(), Family::default(), Family::default());
        registry.register(
            "build",
            "Version of this program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("webhook_deliveries", "Deliveries kept", deliveries.clone());
        registry.register("webhook_rejected", "Deliveries not kept, by reason", rejected.clone());
        registry.register("alerts_received", "Alerts in kept deliveries, by status", alerts.clone());
        registry.register("webhook_truncated_alerts", "Alerts that senders cut away", truncated.clone());
        registry.register("runs_finished", "Runs by outcome", runs.clone());
        let (watches, fenced_again) = (Family::default(), Family::default());
        let (returned, drifted) = (Counter::default(), Counter::default());
        registry.register("fence_watches", "Old primaries that are watched, by state", watches.clone());
        registry.register(
            "old_primary_returned",
            "Old primaries seen to take writes again",
            returned.clone(),
        );
        registry.register(
            "old_primary_fenced_again",
            "Tries to fence them again, by end",
            fenced_again.clone(),
        );
        let drifts = "End states that drifted in a commit window";
        registry.register("commit_window_drifts", drifts, drifted.clone());
        let (refusals, breaker) = (Family::default(), Gauge::default());
        registry.register("refusals", "Every no, by the code of its reason", refusals.clone());
        registry.register(
            "breaker_tripped",
            "1: no automatic run starts until a person resets it",
            breaker.clone(),
        );
        let (overrides, changes) = (Gauge::default(), Gauge::default());
        registry.register("overrides", "Rules that people have lifted at the moment", overrides.clone());
        registry.register(
            "changes_within_hour",
            "Changes begun within the hour, over all runs",
            changes.clone(),
        );
        let (notices, notices_waiting, heartbeats) = of_notices(&mut registry);
        let playbooks = of_playbooks(&mut registry);
        let sources = of_sources(&mut registry);
        let metrics = Metrics {
            registry,
            deliveries,
            rejected,
            alerts,
            truncated,
            runs,
            watches,
            returned,
            fenced_again,
            drifted,
            refusals,
            breaker,
            overrides,
            changes,
            notices,
            notices_waiting,
            heartbeats,
            playbooks,
            sources,
        };
        metrics.show_zeros();
        metrics
    }
}

fn of_notices(registry: &mut Registry) -> (Notices, NoticesWaiting, Family<Labels, Counter>) {
    let (notices, waiting, heartbeats) = (Notices::default(), NoticesWaiting::default(), Family::default());
    registry.register("notices", "Tries to tell a notice, by channel and end", notices.clone());
    registry.register("notices_waiting", "Notices that wait, by channel", waiting.clone());
    registry.register("heartbeats", "Signs of life, by end", heartbeats.clone());
    (notices, waiting, heartbeats)
}

fn of_playbooks(registry: &mut Registry) -> OfPlaybooks {
    let of = OfPlaybooks::default();
    let says = "Playbooks by state; last_good: active in a form before that of the file";
    registry.register("playbooks", says, of.states.clone());
    registry.register("playbooks_disabled", "Playbooks that people took out of use", of.disabled.clone());
    registry.register(
        "playbooks_ready",
        "Active playbooks by the last look: would they work",
        of.ready.clone(),
    );
    registry.register(
        "playbooks_last_reload_successful",
        "0: the folder of playbooks could not be read, or its changes not be written down",
        of.reloaded.clone(),
    );
    of
}

fn of_sources(registry: &mut Registry) -> OfSources {
    let of = OfSources::default();
    registry.register("source_silent", "1: its heartbeat stayed away for too long", of.silent.clone());
    let says = "Since the last heartbeat of the source; not there while none is known of";
    registry.register("source_heartbeat_age_seconds", says, of.age.clone());
    let says = "Beginnings and ends that a source told when it was asked, and no message of it";
    registry.register("source_found", says, of.found.clone());
    of
}

impl Metrics {
    /// Set when it is asked for: it changes by time alone.
    pub fn source(&self, source: &Name, silent: bool, age: Option<Span>) {
        let label = [("source", source.to_string())];
        self.sources.silent.get_or_create(&label).set(i64::from(silent));
        if let Some(age) = age {
            self.sources.age.get_or_create(&label).set(age.as_secs_f64());
        }
    }

    pub fn found(&self, source: &Name, alerts: usize) {
        let counter = self.sources.found.get_or_create(&[("source", source.to_string())]);
        counter.inc_by(u64::try_from(alerts).unwrap_or(u64::MAX));
    }

    /// What is in force now.
    pub fn playbooks(&self, set: &Playbooks) {
        let (all, last_good) = (set.active().count(), set.last_good().count());
        let states =
            [("active", all - last_good), ("last_good", last_good), ("not_active", set.rejected().count())];
        for (state, count) in states {
            let gauge = self.playbooks.states.get_or_create(&[("state", state)]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// How many would work, would not, and were not looked at.
    pub fn ready(&self, [ready, not_ready, not_looked]: [usize; 3]) {
        for (state, count) in [("ready", ready), ("not_ready", not_ready), ("not_looked", not_looked)] {
            let gauge = self.playbooks.ready.get_or_create(&[("state", state)]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub fn reloaded(&self, whole: bool) {
        self.playbooks.reloaded.set(i64::from(whole));
    }

    /// `increase()` never sees the first jump from nothing.
    fn show_zeros(&self) {
        for why in ["no such source", "unparseable", "not persisted", "too large", "unreadable"] {
            drop(self.rejected.get_or_create(&[("reason", why)]));
        }
        for status in ["firing", "resolved"] {
            drop(self.alerts.get_or_create(&[("status", status)]));
        }
        self.fence_watches(&[]);
        for end in ["fenced", "not_fenced"] {
            drop(self.fenced_again.get_or_create(&[("end", end)]));
        }
        for outcome in
            [Outcome::Succeeded, Outcome::Partial, Outcome::Unknown, Outcome::Cancelled, Outcome::Failed]
        {
            drop(self.runs.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for code in REFUSALS {
            drop(self.refusals.get_or_create(&[("reason", code.to_owned())]));
        }
    }

    pub fn hook_rejected(&self, why: &'static str) {
        self.rejected.get_or_create(&[("reason", why)]).inc();
    }

    pub fn delivered(&self, delivery: &Delivery) {
        self.deliveries.inc();
        self.truncated.inc_by(delivery.truncated);
        for alert in &delivery.alerts {
            let status = match alert.status {
                Status::Firing => "firing",
                Status::Resolved => "resolved",
                Status::Withdrawn => "withdrawn",
            };
            self.alerts.get_or_create(&[("status", status)]).inc();
        }
    }

    /// A reason why something did not happen; codes are few and fixed.
    pub fn refused(&self, code: &str) {
        self.refusals.get_or_create(&[("reason", code.to_owned())]).inc();
    }

    pub fn breaker(&self, tripped: bool) {
        self.breaker.set(i64::from(tripped));
    }

    /// Set when they are asked for: all change by time alone.
    pub fn rules(&self, overrides: usize, disabled: usize, changes: u32) {
        self.overrides.set(i64::try_from(overrides).unwrap_or(i64::MAX));
        self.playbooks.disabled.set(i64::try_from(disabled).unwrap_or(i64::MAX));
        self.changes.set(i64::from(changes));
    }

    /// From its first day on each end can be counted.
    pub fn channel(&self, channel: &Name) {
        for end in ["told", "failed", "given_up", "too_old"] {
            drop(self.notices.get_or_create(&[("channel", channel.to_string()), ("end", end.to_owned())]));
        }
    }

    pub fn notice(&self, channel: &Name, end: &'static str) {
        self.notices.get_or_create(&[("channel", channel.to_string()), ("end", end.to_owned())]).inc();
    }

    pub fn notices_waiting(&self, channel: &Name, count: usize) {
        let gauge = self.notices_waiting.get_or_create(&[("channel", channel.to_string())]);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn heartbeat(&self, sent: bool) {
        self.heartbeats.get_or_create(&[("end", if sent { "sent" } else { "failed" })]).inc();
    }

    pub fn run_finished(&self, outcome: Outcome) {
        self.runs.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    /// Every watch that is open, by its state.
    pub fn fence_watches(&self, open: &[FenceWatchState]) {
        for (state, word) in
            [(FenceWatchState::Watching, "watching"), (FenceWatchState::SeenWritable, "writable")]
        {
            let count = open.iter().filter(|s| **s == state).count();
            self.watches.get_or_create(&[("state", word)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub fn old_primary_returned(&self) {
        self.returned.inc();
    }

    pub fn fenced_again(&self, done: bool) {
        self.fenced_again.get_or_create(&[("end", if done { "fenced" } else { "not_fenced" })]).inc();
    }

    pub fn drifted(&self) {
        self.drifted.inc();
    }

    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: writing to a string cannot fail");
        text
    }
}
