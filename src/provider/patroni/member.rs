//! What one member says over its REST API, read from its JSON. Pure; called by `wire`. `None` is unknown, never zero.

use crate::kernel::domain::{Digest, Name};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Patroni's own, where its configuration does not say.
const LOOP_WAIT: u64 = 10;
const TTL: u64 = 30;
const RETRY_TIMEOUT: u64 = 10;
const MAX_LAG: u64 = 1 << 20;

/// The member itself, as it sees its PostgreSQL right now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub scope: String,
    /// Only newer versions tell it.
    pub name: Option<Name>,
    pub version: String,
    pub role: String,
    pub state: String,
    pub timeline: Option<u32>,
    /// The end of its log: written, or received and replayed.
    pub position: Option<u64>,
    /// System identifier of its data.
    pub system: Option<String>,
    /// Since it last heard the cluster's store, by its own clock, in seconds.
    pub heard_s: Option<u64>,
    pub watchdog_failed: bool,
}

impl Node {
    pub fn runs(&self) -> bool {
        self.state == "running"
    }

    pub fn is_primary(&self) -> bool {
        // "master" until Patroni 4.
        ["primary", "master"].contains(&self.role.as_str())
    }

    /// Whether it takes writes. A primary between two states may.
    pub fn writes(&self) -> Option<bool> {
        match (self.is_primary(), self.state.as_str()) {
            (true, "running") => Some(true),
            (true, "stopped" | "crashed" | "start failed") => Some(false),
            (true, _) => None,
            (false, _) => Some(false),
        }
    }
}

/// One line of `/cluster`: what the store holds of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub name: Name,
    pub role: String,
    pub state: String,
    pub timeline: Option<u32>,
    /// Bytes behind the leader's last word in the store.
    pub lag: Option<u64>,
    pub nofailover: bool,
}

impl Row {
    pub fn leads(&self) -> bool {
        // "master" in the first versions.
        ["leader", "standby_leader", "master"].contains(&self.role.as_str())
    }
}

/// Of the cluster's configuration, what matters to a move. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub loop_wait: u64,
    pub ttl: u64,
    pub retry_timeout: u64,
    pub max_lag: u64,
    pub synchronous: bool,
    pub standby_cluster: bool,
    /// Whom it says to follow, where it is a standby cluster.
    #[serde(default)]
    pub source: Option<Source>,
    /// Of the whole configuration: it may hold passwords, so that it is never on record itself.
    #[serde(default)]
    pub digest: String,
}

/// Another cluster's server, whose log the leader of a standby cluster replays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub host: String,
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

/// What libpq takes where no port is named.
pub const POSTGRES_PORT: u16 = 5432;

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        self.slot.as_ref().map_or(Ok(()), |slot| write!(f, " (slot {slot})"))
    }
}

impl Settings {
    /// How long Patroni itself waits for what it was told to do, in seconds.
    pub fn patience(&self) -> u64 {
        2 * self.loop_wait.clamp(10, 600)
    }
    /// A member that has not heard the store for longer speaks of the past.
    pub fn stale_after(&self) -> u64 {
        (2 * self.loop_wait).saturating_add(self.retry_timeout)
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub node: Node,
    pub rows: Vec<Row>,
    pub paused: bool,
    pub scheduled: bool,
    pub settings: Settings,
    /// The newest timeline that the cluster's history knows to have begun.
    pub begun: Option<u32>,
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}

fn timeline(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok().filter(|timeline| *timeline > 0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `GET /patroni`. `now`: when it answered by its own clock, in seconds of the epoch.
pub fn node(told: &Value, now: Option<u64>) -> Result<Node, String> {
    let (role, state) = (text(&told["role"]), text(&told["state"]));
    if role.is_empty() || state.is_empty() {
        return Err("/patroni tells no role and state".into());
    }
    let xlog = &told["xlog"];
    let received = [&xlog["received_location"], &xlog["replayed_location"]].into_iter().filter_map(number);
    let seen = number(&told["dcs_last_seen"]).filter(|at| *at > 0);
    Ok(Node {
        scope: text(&told["patroni"]["scope"]),
        name: told["patroni"]["name"].as_str().map(Name::from),
        version: text(&told["patroni"]["version"]),
        role,
        state,
        timeline: timeline(&told["timeline"]),
        position: number(&xlog["location"]).or_else(|| received.max()).filter(|at| *at > 0),
        system: told["database_system_identifier"].as_str().map(str::to_owned),
        heard_s: now.zip(seen).map(|(now, seen)| now.saturating_sub(seen)),
        watchdog_failed: told["watchdog_failed"] == true,
    })
}

fn row(told: &Value) -> Result<Row, String> {
    let name = told["name"]
        .as_str()
        .filter(|name| !name.is_empty())
        .ok_or("/cluster has a member without a name")?;
    Ok(Row {
        name: Name::from(name),
        role: text(&told["role"]),
        state: text(&told["state"]),
        timeline: timeline(&told["timeline"]),
        lag: number(&told["lag"]),
        nofailover: told["tags"]["nofailover"] == true,
    })
}

/// `GET /cluster`: its members, whether it is paused, whether a switchover is scheduled.
pub fn cluster(told: &Value) -> Result<(Vec<Row>, bool, bool), String> {
    let members = told["members"].as_array().ok_or("/cluster tells no members")?;
    let rows = members.iter().map(row).collect::<Result<Vec<Row>, String>>()?;
    Ok((rows, told["pause"] == true, told["scheduled_switchover"].is_object()))
}

/// `GET /config`.
pub fn settings(told: &Value) -> Result<Settings, String> {
    if !told.is_object() {
        return Err("/config is no table".into());
    }
    let of = |key: &str, usual: u64| match &told[key] {
        Value::Null => Ok(usual),
        value => value.as_u64().ok_or_else(|| format!("/config has no number in {key}")),
    };
    let mode = &told["synchronous_mode"];
    let table = told["standby_cluster"].as_object();
    Ok(Settings {
        loop_wait: of("loop_wait", LOOP_WAIT)?,
        ttl: of("ttl", TTL)?,
        retry_timeout: of("retry_timeout", RETRY_TIMEOUT)?,
        max_lag: of("maximum_lag_on_failover", MAX_LAG)?,
        synchronous: !matches!(mode, Value::Null | Value::Bool(false)) && mode != "off",
        standby_cluster: table.is_some_and(|table| !table.is_empty()),
        source: source(&told["standby_cluster"])?,
        digest: Digest::of_json(told).to_string(),
    })
}

/// Patroni takes a port as a number or as text.
fn source(told: &Value) -> Result<Option<Source>, String> {
    let Some(table) = told.as_object().filter(|table| !table.is_empty()) else { return Ok(None) };
    let port = match table.get("port") {
        None | Some(Value::Null) => POSTGRES_PORT,
        Some(value) => {
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            number
                .and_then(|port| u16::try_from(port).ok())
                .ok_or("/config has no number in standby_cluster.port")?
        }
    };
    let text = |key: &str| table.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Ok(Some(Source {
        host: text("host").unwrap_or_default().to_owned(),
        port,
        slot: text("primary_slot_name").map(str::to_owned),
    }))
}

/// `GET /history`: each line is a timeline that ended.
pub fn begun(told: &Value) -> Result<Option<u32>, String> {
    let lines = told.as_array().ok_or("/history is no list")?;
    Ok(lines.iter().filter_map(|line| timeline(&line[0])).max().map(|ended| ended + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_told_is_unknown() {
        let told = json!({ "state": "running", "role": "replica", "timeline": 3, "dcs_last_seen": 100,
            "xlog": { "received_location": 700, "replayed_location": 600 },
            "database_system_identifier": "77", "patroni": { "version": "3.0.2", "scope": "shop" } });
        let node = super::node(&told, Some(104)).unwrap();
        assert_eq!((node.position, node.timeline, node.heard_s), (Some(700), Some(3), Some(4)));
        assert_eq!((node.name.as_ref(), node.writes()), (None, Some(false)));
        assert_eq!(super::node(&told, None).unwrap().heard_s, None);
        let down = json!({ "state": "stopped", "role": "master", "xlog": {} });
        let down = super::node(&down, Some(1)).unwrap();
        assert_eq!((down.position, down.timeline, down.writes()), (None, None, Some(false)));
        assert!(super::node(&json!({ "role": "master" }), None).is_err());
    }

    #[test]
    fn a_primary_between_two_states_may_write() {
        let of = |role: &str, state: &str| {
            super::node(&json!({ "role": role, "state": state }), None).unwrap().writes()
        };
        assert_eq!((of("master", "running"), of("primary", "running")), (Some(true), Some(true)));
        for state in ["starting", "stopping", "unknown", "stop failed", "restarting"] {
            assert_eq!(of("primary", state), None, "{state}");
        }
        assert_eq!((of("primary", "crashed"), of("replica", "unknown")), (Some(false), Some(false)));
    }

    #[test]
    fn a_lag_that_is_a_word_is_no_number() {
        let told = json!({ "members": [
            { "name": "n1", "role": "replica", "state": "stopping", "lag": "unknown" },
            { "name": "n2", "role": "leader", "state": "running", "timeline": 1 },
            { "name": "n3", "role": "replica", "state": "streaming", "timeline": 1, "lag": 0,
              "tags": { "nofailover": true } }], "pause": true });
        let (rows, paused, scheduled) = cluster(&told).unwrap();
        assert_eq!(rows.iter().map(|row| row.lag).collect::<Vec<_>>(), [None, None, Some(0)]);
        assert_eq!(rows.iter().map(Row::leads).collect::<Vec<_>>(), [false, true, false]);
        assert!(paused && !scheduled && rows[2].nofailover);
        assert!(cluster(&json!({})).is_err() && cluster(&json!({ "members": [{}] })).is_err());
    }

    #[test]
    fn the_configuration_has_patronis_own_defaults() {
        let usual = settings(&json!({ "standby_cluster": {} })).unwrap();
        assert_eq!((usual.patience(), usual.stale_after(), usual.max_lag), (20, 30, 1 << 20));
        assert!(!usual.synchronous && !usual.standby_cluster);
        let other =
            json!({ "loop_wait": 1, "synchronous_mode": "quorum", "standby_cluster": { "host": "h" } });
        let other = settings(&other).unwrap();
        assert_eq!((other.patience(), other.synchronous, other.standby_cluster), (20, true, true));
        assert!(settings(&json!({ "ttl": "20" })).is_err() && settings(&json!([])).is_err());
    }

    #[test]
    fn a_standby_cluster_says_whom_it_follows() {
        let of = |table: Value| settings(&json!({ "standby_cluster": table, "ttl": 20 }));
        let told = of(json!({ "host": "10.0.0.1", "port": "5433", "primary_slot_name": "sbg" })).unwrap();
        assert_eq!(
            told.source.as_ref().map(ToString::to_string).as_deref(),
            Some("10.0.0.1:5433 (slot sbg)")
        );
        let plain = of(json!({ "host": "10.0.0.1" })).unwrap();
        assert_eq!(plain.source.as_ref().map(|source| source.port), Some(POSTGRES_PORT));
        assert_ne!(told.digest, plain.digest);
        assert!(of(json!({ "host": "h", "port": "db" })).is_err() && of(json!({})).unwrap().source.is_none());
    }

    #[test]
    fn history_names_the_timeline_that_began_last() {
        assert_eq!(begun(&json!([])), Ok(None));
        let told = json!([[1, 67, "no recovery target specified", "at", "n2"], [2, 99, "", "at", "n1"]]);
        assert_eq!(begun(&told), Ok(Some(3)));
        assert!(begun(&json!({})).is_err());
    }
}
