//! The question to Alertmanager's API v2, and its answer. Only `still_firing` calls it.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    status: Status,
    /// An end that is not later than the last update: resolved, though still listed.
    #[serde(default, rename = "endsAt")]
    ends: Option<jiff::Timestamp>,
    #[serde(default, rename = "updatedAt")]
    updated: Option<jiff::Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
}

/// What one Alertmanager says about the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Firing,
    /// Silenced or inhibited: somebody or something said that it needs no action.
    Suppressed,
    /// It has the alert, with an end that lies behind it.
    Resolved,
    Absent,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Firing => "firing",
            Standing::Suppressed => "suppressed",
            Standing::Resolved => "resolved",
            Standing::Absent => "absent",
        }
    }
}

/// Asks for alerts with exactly these labels, silenced and inhibited ones too.
pub fn question(api: &str, labels: &BTreeMap<String, String>) -> Result<String, String> {
    let base = format!("{}/api/v2/alerts", api.trim_end_matches('/'));
    let mut url = url::Url::parse(&base).map_err(|e| format!("{base:?}: {e}"))?;
    {
        let mut query = url.query_pairs_mut();
        for (name, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            query.append_pair("filter", &format!("{name}=\"{value}\""));
        }
        query.append_pair("active", "true").append_pair("silenced", "true").append_pair("inhibited", "true");
    }
    Ok(url.into())
}

/// Of several matching alerts one that is suppressed counts most: somebody said "no action" about this very thing.
/// The filter is checked again here: a proxy that drops it must not make any alert ours.
pub fn standing(body: &str, labels: &BTreeMap<String, String>) -> Result<Standing, String> {
    let alerts: Vec<Alert> = serde_json::from_str(body).map_err(|e| format!("not a list of alerts: {e}"))?;
    let ours = |alert: &&Alert| labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value));
    let (mut found, mut over) = (Standing::Absent, false);
    for alert in alerts.iter().filter(ours) {
        match alert.status.state.as_str() {
            "suppressed" => return Ok(Standing::Suppressed),
            "active" | "unprocessed" if alert.is_over() => over = true,
            // `unprocessed`: received, and not yet looked at by the dispatcher.
            "active" | "unprocessed" => found = Standing::Firing,
            other => return Err(format!("an alert is in a state we do not know: {other:?}")),
        }
    }
    Ok(if over && found == Standing::Absent { Standing::Resolved } else { found })
}

impl Alert {
    /// The sender itself ends an alert: whoever still fires it moves its end ahead with every update.
    fn is_over(&self) -> bool {
        self.ends.zip(self.updated).is_some_and(|(ends, updated)| ends <= updated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("alertname".to_owned(), value.to_owned())])
    }
    fn body(states: &[&str]) -> String {
        let one = |state: &&str| serde_json::json!({ "labels": { "alertname": "SiteDown", "x": "1" }, "status": { "state": state } });
        serde_json::Value::from_iter(states.iter().map(one)).to_string()
    }

    #[test]
    fn any_suppression_counts_and_other_alerts_do_not() {
        let wanted = labels("SiteDown");
        assert_eq!(standing(&body(&["active"]), &wanted), Ok(Standing::Firing));
        assert_eq!(standing(&body(&["active", "suppressed"]), &wanted), Ok(Standing::Suppressed));
        assert_eq!(standing(&body(&[]), &wanted), Ok(Standing::Absent));
        assert_eq!(standing(&body(&["active"]), &labels("Other")), Ok(Standing::Absent));
        assert!(standing(&body(&["odd"]), &wanted).is_err() && standing("{}", &wanted).is_err());
    }

    #[test]
    fn an_end_behind_the_last_update_says_resolved() {
        let at = |ends: &str| {
            let alert = serde_json::json!({
                "labels": { "alertname": "SiteDown" }, "status": { "state": "active" },
                "endsAt": ends, "updatedAt": "2026-11-21T08:00:00.5Z",
            });
            standing(&serde_json::json!([alert]).to_string(), &labels("SiteDown"))
        };
        assert_eq!(at("2026-11-21T08:04:00Z"), Ok(Standing::Firing));
        assert_eq!(at("2026-11-21T08:00:00Z"), Ok(Standing::Resolved));
    }

    #[test]
    fn labels_are_quoted_in_the_filter() {
        let url = question("http://am:9093/", &labels("a\"b\\c")).unwrap();
        let url = url::Url::parse(&url).unwrap();
        assert_eq!(url.path(), "/api/v2/alerts");
        let filter = url.query_pairs().find(|(key, _)| key == "filter").unwrap().1;
        assert_eq!(filter, r#"alertname="a\"b\\c""#);
    }
}
