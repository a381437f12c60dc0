//! What `pointsman match` says: for each alert a tree of playbooks, triggers and conditions; or, of alerts on record, a count
//! for each playbook.

use crate::cli::Talk;
use crate::cli::look::{Look, Paint};
use crate::kernel::domain::{Mode, Span, Time};
use crate::playbook::{AlertView, Playbook, match_alert, match_tree};
use crate::units::counted;
use serde_json::{Value, json};

/// Alerts on record that are listed one by one.
const LISTED: usize = 50;

pub fn trees(playbooks: &[Playbook], alerts: &[AlertView], talk: &mut Talk) -> anyhow::Result<()> {
    if talk.wants_json() {
        let alerts: Vec<Value> = alerts.iter().map(|alert| document(playbooks, alert)).collect();
        return talk.document(&json!({ "schema": "pointsman.match/v1", "alerts": alerts }));
    }
    for alert in alerts {
        for line in tree(playbooks, alert, &talk.look) {
            talk.print(&line)?;
        }
    }
    Ok(())
}

fn labels(alert: &AlertView) -> String {
    let pairs: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    pairs.join(" ")
}

fn tree(playbooks: &[Playbook], alert: &AlertView, look: &Look) -> Vec<String> {
    let mut lines = vec![look.paint(Paint::Strong, &format!("alert {}", labels(alert)))];
    // As triage decides: the first playbook that accepts it.
    let mut started = false;
    for playbook in playbooks {
        let (accepted, mark) = match match_alert(playbook, alert) {
            Ok(found) if !started => {
                started = true;
                let wait = match found.confirmed_for {
                    Span::ZERO => "at once".to_owned(),
                    wait => format!("once it is confirmed for {wait}"),
                };
                let does = match playbook.mode {
                    Mode::Observe => "would be chosen and only observe",
                    Mode::Approve => "would start and ask for approval",
                    Mode::Auto => "would start",
                };
                let says = format!("{does}, {wait} (trigger {})", found.trigger + 1);
                (Some(found.trigger), look.paint(Paint::Good, &says))
            }
            Ok(found) => {
                (Some(found.trigger), look.paint(Paint::Asks, "matches too, but comes after the first"))
            }
            Err(_) => (None, look.paint(Paint::Quiet, "would not start")),
        };
        lines.push(format!("  {}: {mark}", playbook.name));
        if playbook.triggers.is_empty() {
            lines.push("    it has no triggers: only a person starts it".into());
        }
        for (index, conditions) in match_tree(playbook, alert).into_iter().enumerate() {
            if accepted.is_some_and(|accepted| accepted != index) {
                continue;
            }
            lines.push(format!("    trigger {}", index + 1));
            for looked in conditions {
                lines.push(match looked.holds {
                    Ok(()) => format!("      {}  {}", look.paint(Paint::Good, "yes"), looked.says),
                    Err(why) => format!("      {}  {}: {why}", look.paint(Paint::Bad, "no "), looked.says),
                });
            }
        }
    }
    if !started {
        lines.push("  nothing would start".into());
    }
    lines
}

fn document(playbooks: &[Playbook], alert: &AlertView) -> Value {
    let mut started = false;
    let mut of = |playbook: &Playbook| {
        let found = match_alert(playbook, alert);
        let chosen = found.is_ok() && !started;
        started |= found.is_ok();
        let triggers: Vec<Value> = match_tree(playbook, alert)
            .into_iter()
            .map(|conditions| {
                let one = |l: crate::playbook::Looked| {
                    json!({ "says": l.says, "holds": l.holds.is_ok(), "why": l.holds.err() })
                };
                Value::Array(conditions.into_iter().map(one).collect())
            })
            .collect();
        json!({ "playbook": playbook.name, "matches": found.is_ok(), "chosen": chosen,
            "mode": playbook.mode,
            "trigger": found.as_ref().ok().map(|found| found.trigger + 1),
            "why": found.as_ref().err(), "triggers": triggers })
    };
    let playbooks: Vec<Value> = playbooks.iter().map(&mut of).collect();
    json!({ "labels": alert.labels, "playbooks": playbooks })
}

/// Alerts that the server has on record.
pub struct Recorded<'a> {
    pub playbooks: &'a [Playbook],
    pub alerts: &'a [(Time, AlertView)],
    pub against: Span,
}

impl Recorded<'_> {
    fn of(&self, playbook: &Playbook) -> Vec<&(Time, AlertView)> {
        self.alerts.iter().filter(|(_, alert)| match_alert(playbook, alert).is_ok()).collect()
    }

    pub fn show(&self, talk: &mut Talk) -> anyhow::Result<()> {
        if talk.wants_json() {
            let of = |playbook: &Playbook| {
                let each = |(at, alert): &&(Time, AlertView)| json!({ "at": at, "labels": alert.labels });
                let alerts: Vec<Value> = self.of(playbook).iter().map(each).collect();
                json!({ "playbook": playbook.name, "matched": alerts.len(), "alerts": alerts })
            };
            let playbooks: Vec<Value> = self.playbooks.iter().map(of).collect();
            return talk
                .document(&json!({ "schema": "pointsman.match-against/v1", "alerts": self.alerts.len(),
                "playbooks": playbooks }));
        }
        let all = counted(self.alerts.len(), "alert");
        talk.print(&format!("{all} on record in the last {}", self.against))?;
        for playbook in self.playbooks {
            let matched = self.of(playbook);
            let times = match matched.len() {
                0 => "would never have matched".to_owned(),
                1 => "would have matched 1 time".to_owned(),
                n => format!("would have matched {n} times"),
            };
            talk.print(&format!("  {}: {times}", playbook.name))?;
            for (at, alert) in matched.iter().take(LISTED) {
                talk.print(&format!("    {at}  {}", labels(alert)))?;
            }
            if matched.len() > LISTED {
                talk.print(&format!("    and {} more; -o json has all", matched.len() - LISTED))?;
            }
        }
        Ok(())
    }
}
