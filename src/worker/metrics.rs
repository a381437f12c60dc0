//! What is counted. No label carries a run, a fingerprint or anything else without bound.

use crate::intake::{Delivery, Status};
use crate::kernel::domain::Outcome;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, &'static str); 1];

pub struct Metrics {
    registry: Registry,
    deliveries: Counter,
    rejected: Family<Labels, Counter>,
    alerts: Family<Labels, Counter>,
    truncated: Counter,
    runs: Family<Labels, Counter>,
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
        let metrics = Metrics { registry, deliveries, rejected, alerts, truncated, runs };
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

    pub fn run_finished(&self, outcome: Outcome) {
        self.runs.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: writing to a string cannot fail");
        text
    }
}
