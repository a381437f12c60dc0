//! `[limits]`: how much may happen at all within an hour, and `[limits.storm]`: how much by itself, over all services of
//! this instance. Read by the worker before a run opens and before each change.

use crate::document::{Table, code};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Automatic runs open at once; further ones wait.
    pub concurrent: u32,
    /// Automatic runs opened within an hour; one more trips the breaker.
    pub per_hour: u32,
    /// Percent of all services that are sick at once; more trips the breaker.
    pub sick_share: u32,
}

/// One failover at a time, three an hour: what a person on call can still follow.
impl Default for Storm {
    fn default() -> Self {
        Storm { concurrent: 1, per_hour: 3, sick_share: 30 }
    }
}

/// Several failovers of large services; a loop gets there within minutes.
pub const CHANGES_PER_HOUR: u32 = 200;

pub(super) fn read(top: &Table<'_>) -> (Storm, u32) {
    let mut storm = Storm::default();
    let Some(limits) = top.table("limits") else { return (storm, CHANGES_PER_HOUR) };
    let changes = limits.integer("changes_per_hour", 1, 100_000).and_then(|n| u32::try_from(n).ok());
    if let Some(table) = limits.table("storm") {
        let count = |key, default| {
            table.integer(key, 1, 1_000).and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
        };
        storm.concurrent = count("concurrent", storm.concurrent);
        storm.per_hour = count("per_hour", storm.per_hour);
        if let Some((text, node)) = table.text("sick_share").zip(table.get("sick_share")) {
            let percent = text.strip_suffix('%').and_then(|n| n.trim().parse().ok());
            match percent.filter(|percent| (1..=100).contains(percent)) {
                Some(percent) => storm.sick_share = percent,
                None => {
                    let says = "\"sick_share\" is a share of all services, like \"30%\"";
                    table.sink.error(code::BAD_VALUE, node.at.clone(), says);
                }
            }
        }
        table.finish();
    }
    limits.finish();
    (storm, changes.unwrap_or(CHANGES_PER_HOUR))
}
