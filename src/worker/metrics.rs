//! What is counted. No label carries a run, a fingerprint or anything else without bound.

use crate::intake::{Delivery, Status};
use crate::kernel::domain::Outcome;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Reasons that rules of alerting wait for.
const REFUSALS: [&str; 10] =
    ["PM5405", "PM5406", "PM5408", "PM5410", "PM5411", "PM5412", "PM5413", "PM5414", "PM5415", "PM5416"];

type Labels = [(&'static str, &'static str); 1];

pub struct Metrics {
    registry: Registry,
    deliveries: Counter,
    rejected: Family<Labels, Counter>,
    alerts: Family<Labels, Counter>,
    truncated: Counter,
    runs: Family<Labels, Counter>,
    refusals: Family<[(&'static str, String); 1], Counter>,
    breaker: Gauge,
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
        let (refusals, breaker) = (Family::default(), Gauge::default());
        registry.register("refusals", "Every no, by the code of its reason", refusals.clone());
        registry.register(
            "breaker_tripped",
            "1: no automatic run starts until a person resets it",
            breaker.clone(),
        );
        let metrics = Metrics { registry, deliveries, rejected, alerts, truncated, runs, refusals, breaker };
        metrics.show_zeros();
        metrics
    }
}

impl Metrics {
    /// `increase()` never sees the first jump from nothing.
    fn show_zeros(&self) {
        for why in ["no such source", "unparseable", "not persisted", "too large", "unreadable"] {
            drop(self.rejected.get_or_create(&[("reason", why)]));
        }
        for status in ["firing", "resolved"] {
            drop(self.alerts.get_or_create(&[("status", status)]));
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

    pub fn run_finished(&self, outcome: Outcome) {
        self.runs.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: writing to a string cannot fail");
        text
    }
}
