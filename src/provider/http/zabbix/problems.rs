//! Which problems stand at Zabbix now, and what it says of some of them: for what was told while nobody listened. Triage asks,
//! and believes of an end only what the problem's own event says.

use super::{Asked, Trouble, not_zabbix};
use serde::Deserialize;
use serde_json::{Value, json};

/// Problems in one answer, and answers in one look.
const PAGE: usize = 1_000;
const PAGES: usize = 10;
/// Events that are asked for at once.
const AT_ONCE: usize = 100;

/// A problem that stands, in brief: numbers come as texts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listed {
    pub eventid: String,
    #[serde(default)]
    pub severity: String,
    #[serde(default)]
    suppressed: String,
}

impl Listed {
    /// Somebody wants no action: a maintenance.
    pub fn is_suppressed(&self) -> bool {
        self.suppressed == "1"
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub problems: Vec<Listed>,
    /// There are more than are looked at.
    pub cut: bool,
}

/// All problems of triggers, oldest first.
pub async fn open_problems(api: &Asked<'_>) -> Result<Listing, Trouble> {
    let mut listing = Listing::default();
    let mut from = "0".to_owned();
    for _ in 0..PAGES {
        let asked = json!({
            "output": ["eventid", "severity", "suppressed"], "source": 0, "object": 0, "recent": false,
            "eventid_from": from, "sortfield": ["eventid"], "sortorder": "ASC", "limit": PAGE,
        });
        let page: Vec<Listed> = read(api.call("problem.get", asked).await?)?;
        let last = page.last().and_then(|last| last.eventid.parse::<u64>().ok());
        let full = page.len() >= PAGE;
        listing.problems.extend(page);
        match last.filter(|_| full) {
            Some(last) => from = last.saturating_add(1).to_string(),
            None => return Ok(listing),
        }
    }
    listing.cut = true;
    Ok(listing)
}

/// What Zabbix says of events, as it says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Those that stand, whole.
    pub standing: Vec<Value>,
    /// Those that are over: the problem, and the event that ended it.
    pub over: Vec<(String, String)>,
}

/// An event that is not shown is in neither list.
pub async fn details(api: &Asked<'_>, events: &[String]) -> Result<Details, Trouble> {
    let mut details = Details::default();
    for some in events.chunks(AT_ONCE) {
        let asked = json!({
            "output": ["eventid", "objectid", "name", "severity", "clock", "ns", "opdata", "suppressed", "r_eventid"],
            "eventids": some, "source": 0, "object": 0, "value": [1],
            "selectTags": ["tag", "value"], "selectHosts": ["host", "name"],
        });
        let found: Vec<Value> = read(api.call("event.get", asked).await?)?;
        for event in found {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            match text("r_eventid").as_str() {
                "" | "0" => details.standing.push(event),
                ended => details.over.push((text("eventid"), ended.to_owned())),
            }
        }
    }
    Ok(details)
}

fn read<T: serde::de::DeserializeOwned>(found: Value) -> Result<Vec<T>, Trouble> {
    serde_json::from_value(found).map_err(|e| not_zabbix(&e.to_string()))
}
