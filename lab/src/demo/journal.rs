//! The eye on Pointsman: its journal, record by record, as lines of the story.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::Line;
use super::goals::{Goals, tone_of};
use super::screen::Tone;
use crate::pointsman::{Call, Record};

/// What the story remembers of a run from one record to the next.
#[derive(Debug, Default)]
pub struct Teller {
    /// The run's guards, steps and verifications, from its first record.
    items: Vec<Value>,
    begun: BTreeMap<usize, i64>,
    after: BTreeMap<usize, String>,
    done: BTreeMap<usize, String>,
    /// What the fence has proven.
    rungs: BTreeMap<usize, String>,
}

impl Teller {
    /// The lines of one record; notes in `goals` what it shows.
    pub fn tell(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        let line = |label, words: String| Line::new(record.at, label, words);
        match record.kind.as_str() {
            "occurrence_opened" => self.alert(record, goals),
            "occurrence_closed" => vec![line("alert", "it is over, says the source".into())],
            "held" => vec![line("hold", held(&record.says)).tone(Tone::Warn)],
            "not_started" => vec![line("no run", record.says.clone()).tone(Tone::Bad)],
            "opened" => self.opened(record, goals),
            "observed" => self.observed(record, goals),
            "planned" => self.planned(record, goals),
            "intended" => self.intended(record),
            "ended" => self.ended(record, goals),
            "asked" => {
                goals.asked.get_or_insert(record.at);
                vec![line("asked", record.says.clone()).tone(Tone::Warn)]
            }
            "parked" => {
                goals.asked.get_or_insert(record.at);
                vec![line("parked", record.says.clone()).tone(Tone::Bad)]
            }
            "decided" | "told" => vec![line("decided", record.says.clone())],
            "taken" => vec![line("taken", record.says.clone()).tone(Tone::Warn)],
            "finished" => {
                let good = record.body["outcome"] == "succeeded";
                goals.finished = Some((record.at, record.body.clone()));
                vec![line("run", record.says.clone()).tone(tone_of(good))]
            }
            _ => Vec::new(),
        }
    }

    fn alert(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        goals.alert.get_or_insert(record.at);
        let labels = &record.body["labels"];
        let label = |name: &str| labels[name].as_str().unwrap_or("?").to_owned();
        let (names, from) = match record.body["kind"] == "zabbix" {
            true => (["name", "tag.site", "severity"], "Zabbix through its media type"),
            false => (["alertname", "site", "severity"], "Prometheus through Alertmanager"),
        };
        let [name, site, severity] = names.map(label);
        let words = format!("{name} site={site} severity={severity}, from {from}");
        vec![Line::new(record.at, "alert", words).tone(Tone::Bad)]
    }

    fn opened(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        let text = |name: &str| record.body[name].as_str().unwrap_or("?").to_owned();
        self.items = record.body["items"].as_array().cloned().unwrap_or_default();
        goals.run = Some(text("run"));
        goals.guards.1 = self.items.iter().filter(|item| item["role"] == "guard").count();
        let words =
            format!("{} opened: {} from {} to {}", text("run"), text("playbook"), text("from"), text("to"));
        vec![Line::new(record.at, "run", words)]
    }

    fn item(&self, id: usize) -> (&str, &str) {
        let text = |name: &str| self.items.get(id).and_then(|item| item[name].as_str()).unwrap_or("?");
        (text("role"), text("name"))
    }

    /// A guard's verdict, where it is new; or a step that is seen to be as wanted.
    fn observed(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        let Some(id) = record.body["item"].as_u64().and_then(|id| usize::try_from(id).ok()) else {
            return Vec::new();
        };
        let plan = &record.body["plan"];
        let holds = plan["nothing"]["says"].as_str();
        let (role, name) = self.item(id);
        let (role, name) = (role.to_owned(), name.to_owned());
        if role == "guard" {
            let verdict = if holds.is_some() { "ok" } else { "NO" };
            if self.done.insert(id, verdict.to_owned()).as_deref() == Some(verdict) {
                return Vec::new();
            }
            goals.guards.0 =
                self.done.iter().filter(|(id, v)| self.item(**id).0 == "guard" && *v == "ok").count();
            let value = holds.map_or_else(|| reasons(plan), first_clause);
            let words = format!("{verdict}  {name}: {value}");
            return vec![Line::new(record.at, "guard", words).tone(tone_of(holds.is_some()))];
        }
        if record.body["why"] == "plan" {
            return Vec::new();
        }
        let began = *self.begun.entry(id).or_insert(record.at);
        let Some(says) = holds else { return Vec::new() };
        if self.done.insert(id, "done".into()).is_some() {
            return Vec::new();
        }
        let label = if role == "verify" { "verify" } else { "step" };
        let name = name.strip_prefix("verify ").unwrap_or(&name);
        let mut result = self.after.get(&id).cloned().unwrap_or_else(|| says.to_owned());
        if let Some(rung) = self.rungs.get(&id) {
            result = format!("{result} (rung: {rung})");
        }
        let words = format!("{name}: {result}{}", took(record.at - began));
        vec![Line::new(record.at, label, words).tone(Tone::Good)]
    }

    fn planned(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        goals.planned = true;
        let mut lines =
            vec![Line::new(record.at, "plan", format!("{}; nothing is changed yet", record.says))];
        let risk = record.body["at_risk"].as_array().into_iter().flatten();
        lines.extend(
            risk.filter_map(Value::as_str).map(|risk| Line::new(record.at, "at risk", risk).tone(Tone::Warn)),
        );
        lines
    }

    fn intended(&mut self, record: &Record) -> Vec<Line> {
        if let Some(Call { item, .. }) = record.call() {
            self.begun.entry(item).or_insert(record.at);
            let after = record.body["change"]["after"].as_str().unwrap_or_default();
            self.after.insert(item, after.to_owned());
        }
        Vec::new()
    }

    fn ended(&mut self, record: &Record, goals: &mut Goals) -> Vec<Line> {
        let Some(call) = record.call() else { return Vec::new() };
        if !record.is_applied() {
            return vec![Line::new(record.at, "call", record.says.clone()).tone(Tone::Warn)];
        }
        let rung = &self.items.get(call.item).map_or(&Value::Null, |item| &item["rungs"][call.rung]);
        let action = rung["form"]["act"]["kind"].as_str().unwrap_or_default();
        if action == "postgres.promote" {
            goals.promotions += 1;
        }
        if let Some(proven) = rung["proves"][0]["fenced"]["rung"].as_str() {
            goals.fence_rung = Some(proven.to_owned());
            self.rungs.insert(call.item, proven.to_owned());
        }
        Vec::new()
    }
}

/// A check that was right at once has no time of its own.
fn took(micros: i64) -> String {
    if micros > 0 { format!("  [{:.3} s]", micros as f64 / 1e6) } else { String::new() }
}

fn held(says: &str) -> String {
    first_clause(says.strip_prefix("held for now: ").unwrap_or(says))
}

fn reasons(plan: &Value) -> String {
    let all = ["refuse", "unknown"].iter().filter_map(|kind| plan[*kind].as_array()).flatten();
    all.filter_map(|reason| reason["says"].as_str()).map(first_clause).collect::<Vec<_>>().join("; ")
}

/// Votes come with every single answer behind a colon; a line of the story has no room for those.
fn first_clause(says: &str) -> String {
    match says.split_once(": local says") {
        Some((head, _)) => head.to_owned(),
        None => says.to_owned(),
    }
}
