//! The question to Prometheus' API v1, and its answer: does a rule fire with these labels? Only `still_firing` calls it.

use super::alertmanager::Standing;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    state: String,
}

pub fn question(base: &str) -> String {
    format!("{}/api/v1/alerts", base.trim_end_matches('/'))
}

/// Prometheus adds its external labels only when it sends an alert, so a label that it does not have here is no
/// contradiction; one that differs is. The name of the alert must be there.
pub fn standing(body: &str, labels: &BTreeMap<String, String>) -> Result<Standing, String> {
    let answer: Answer = serde_json::from_str(body).map_err(|e| format!("not a list of alerts: {e}"))?;
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        return Err(format!("it answered {:?}", answer.status));
    };
    let ours = |alert: &&Alert| {
        let agrees = |(name, value): (&String, &String)| alert.labels.get(name).is_none_or(|v| v == value);
        alert.labels.contains_key("alertname")
            && labels.contains_key("alertname")
            && labels.iter().all(agrees)
    };
    let mut found = Standing::Absent;
    for alert in data.alerts.iter().filter(ours) {
        match alert.state.as_str() {
            "firing" => found = Standing::Firing,
            // It is true again, but not for as long as its rule wants.
            "pending" => {}
            other => return Err(format!("an alert is in a state we do not know: {other:?}")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(state: &str, labels: &[(&str, &str)]) -> Result<Standing, String> {
        let body = json!({ "status": "success", "data": { "alerts": [
            { "labels": { "alertname": "SiteDown", "site": "gra" }, "annotations": {}, "state": state,
              "activeAt": "2026-11-21T08:00:00Z", "value": "1e+00" },
        ] } });
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        standing(&body.to_string(), &labels)
    }

    #[test]
    fn external_labels_are_no_contradiction_and_other_values_are() {
        let wanted = [("alertname", "SiteDown"), ("site", "gra"), ("cluster", "shop")];
        assert_eq!(asked("firing", &wanted), Ok(Standing::Firing));
        assert_eq!(asked("pending", &wanted), Ok(Standing::Absent));
        assert!(asked("odd", &wanted).is_err());
        assert_eq!(asked("firing", &[("alertname", "SiteDown"), ("site", "sbg")]), Ok(Standing::Absent));
        assert_eq!(
            asked("firing", &[("site", "gra")]),
            Ok(Standing::Absent),
            "any alert of the site would do"
        );
        assert!(standing("{\"status\": \"error\"}", &BTreeMap::new()).is_err());
        assert_eq!(question("http://prom:9090/"), "http://prom:9090/api/v1/alerts");
    }
}
