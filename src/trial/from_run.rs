//! A test made of a run that really was: the same alert, the world as it was seen, what went wrong with its calls, what
//! people said, and how it ended. Called by `report RUN --as-test`; the text is read back before anybody gets it.

use super::model::{FaultKind, Says};
use super::verdict::stands;
use super::words::{FAULTS, SAYS};
use crate::kernel::domain::{
    Actor, CallResult, Cause, Fact, Form, ItemId, ItemRole, Mode, Observation, Record, Span, Stamped,
    StepPlan, Time, Told, Via, WhyObserved,
};
use crate::kernel::engine::Run;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An absence of that long is told as one of an hour.
const GAP: Span = Span::mins(30);

/// `records`: all of one run, oldest first. `Err`: no test can be made of it, and why.
pub fn test_of(records: &[Stamped], playbook: &str, config: &str) -> Result<String, String> {
    let run = Run::fold(records).map_err(|error| error.to_string())?;
    let text = Made { records, run: &run }.text(playbook, config);
    match super::read(&text, "the test made of the run") {
        (Some(_), _) => Ok(text),
        (None, problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

struct Made<'a> {
    records: &'a [Stamped],
    run: &'a Run,
}

impl Made<'_> {
    fn text(&self, playbook: &str, config: &str) -> String {
        let spec = &self.run.spec;
        let mode = match spec.mode {
            Mode::Observe => "observe",
            Mode::Approve => "approve",
            Mode::Auto => "auto",
        };
        let mut lines = vec![
            "# yaml-language-server: $schema=test.schema.json".to_owned(),
            format!(
                "# Made of run {} of {}. What no record tells, as how long calls took, is as usual here.",
                run_name(self.run),
                self.run.opened
            ),
            format!("playbook: {}", json!(playbook)),
            format!("config: {}", json!(config)),
            "cases:".to_owned(),
            format!("  - name: {}", json!(format!("as it was in run {}", run_name(self.run)))),
            format!("    mode: {mode}"),
            self.begins(),
        ];
        let world = self.world();
        if !world.is_empty() {
            lines.push(format!("    world: {}", flow(world.iter().cloned())));
        }
        lines.extend(list("faults", self.faults(), |(step, fault, times)| {
            let times = (*times > 1).then(|| ("times", times.to_string()));
            flow([("step", json!(step).to_string()), ("fault", (*fault).to_owned())].into_iter().chain(times))
        }));
        lines.extend(list("meanwhile", self.resolved(), |after| {
            flow([("hand", "resolve the alert".to_owned()), ("after", seconds(*after))])
        }));
        lines.extend(list("people", self.people(world.iter().any(|(key, _)| *key == "machine")), |word| {
            flow(word.clone())
        }));
        lines.push("    expect:".to_owned());
        lines.push(format!("      outcome: {}", self.ending()));
        let steps: Vec<String> =
            self.steps().into_iter().map(|(name, how)| format!("        {}: {how}", json!(name))).collect();
        if !steps.is_empty() {
            lines.push("      steps:".to_owned());
            lines.extend(steps);
        }
        lines.join("\n") + "\n"
    }

    fn begins(&self) -> String {
        match &self.run.spec.cause {
            Cause::Person { by, .. } => format!("    started_by: {}", json!(by.name)),
            Cause::Alert { labels, .. } => {
                let from = if labels.get("alertname").is_some() { "" } else { "from: zabbix, " };
                format!("    alerts: [ {{ {from}labels: {labels} }} ]")
            }
        }
    }

    /// The first look at each way of each step, for the plan.
    fn first_looks(&self) -> BTreeMap<(ItemId, u8), (&Observation, &StepPlan)> {
        let mut looks = BTreeMap::new();
        for stamped in self.records {
            if let Record::Observed { item, rung, why: WhyObserved::Plan, seen: Ok(seen), plan, .. } =
                &stamped.record
            {
                looks.entry((*item, *rung)).or_insert((seen, plan));
            }
        }
        looks
    }

    /// What was not as usual.
    fn world(&self) -> Vec<(&'static str, String)> {
        let mut world: BTreeMap<&str, String> = BTreeMap::new();
        let (mut down, mut close) = (false, false);
        for ((id, rung), (seen, plan)) in self.first_looks() {
            let Some(spec) = self.run.form_at(id, rung).spec() else { continue };
            let holds = matches!(plan, StepPlan::Nothing { .. });
            let fences =
                self.run.rung(id, rung).proves.iter().any(|fact| matches!(fact, Fact::Fenced { .. }));
            match spec.kind.as_str() {
                "quorum" if spec.with.get("down").is_some() => down |= holds,
                "quorum" if !holds => drop(world.insert("new_app", "dead".into())),
                "still_firing" if all_unknown(&seen.state) => drop(world.insert("source", "silent".into())),
                "postgres.fence" | "redis.fence" if silent(seen) => {
                    drop(world.insert("primary", "killed".into()))
                }
                "postgres.lag" => {
                    close = holds;
                    let bytes = seen.evidence["bytes"].as_u64().filter(|bytes| *bytes > 0);
                    world.extend(bytes.map(|bytes| ("behind", format!("{bytes}B"))));
                    let why = seen.evidence["why"].as_str().unwrap_or_default();
                    if why.contains("another system identifier") {
                        world.insert("standby", "other data".into());
                    }
                }
                "postgres.promote" | "redis.promote" if silent(seen) => {
                    drop(world.insert("standby", "down".into()))
                }
                "patroni.promote_standby_cluster" => world.extend(clusters(&seen.state)),
                "sentinel.failover" => world.extend(sentinels(&seen.state)),
                "redis.promote" => {
                    world.extend(replica(&seen.state, "role").map(|is| ("standby", is.to_owned())))
                }
                "command.run" if fences && seen.state.get("layer").is_some() => {
                    world.insert("machine", "cut off".into());
                }
                "dns.record" if others_silent(&seen.state) => {
                    world.insert("second_name_server", "silent".into());
                }
                _ => {}
            }
        }
        world.extend(self.by_themselves().map(|word| ("sentinels", word.to_owned())));
        // What a living primary is ahead by arrives; what a dead one was ahead by does not.
        if close && !world.contains_key("primary") {
            world.remove("behind");
        }
        if down && !world.contains_key("primary") {
            world.insert("app", "dead".into());
        }
        world.into_iter().collect()
    }

    /// What Sentinels did beside what they were told, as later looks and ends of calls have it.
    fn by_themselves(&self) -> Option<&'static str> {
        let of = |item: ItemId| {
            self.run.form(item).spec().is_some_and(|spec| spec.kind.as_str() == "sentinel.failover")
        };
        let mut told = false;
        self.records.iter().find_map(|stamped| match &stamped.record {
            Record::Intended { call, .. } => {
                told |= of(call.item);
                None
            }
            Record::Ended { call, end } if of(call.item) => gave_up(&end.detail).then_some("give up"),
            Record::Observed { item, seen: Ok(seen), .. } if of(*item) => {
                let leader = &seen.state["leader"];
                match (leader.get("other").is_some(), told) {
                    (true, true) => Some("take another"),
                    (true, false) => Some("elect another"),
                    (false, _) => (leader == "new" && !told).then_some("elect"),
                }
            }
            _ => None,
        })
    }

    /// What became of each call that did not simply work.
    fn faults(&self) -> Vec<(String, &'static str, u32)> {
        let mut faults: Vec<(String, &'static str, u32)> = vec![];
        for (at, stamped) in self.records.iter().enumerate() {
            let Record::Intended { call, .. } = &stamped.record else { continue };
            if call.undo {
                continue;
            }
            let after = &self.records[at + 1..];
            let end = after.iter().find_map(|later| match &later.record {
                Record::Ended { call: ended, end } if ended == call => Some(end.result),
                _ => None,
            });
            let gone = after.iter().find_map(|later| match &later.record {
                Record::Taken { gap, .. } => Some(*gap),
                _ => None,
            });
            let happened = || happened(after, call.item);
            let kind = match (end, gone) {
                (Some(CallResult::Applied), _) | (None, None) => continue,
                // The world does it.
                (Some(CallResult::Indeterminate), _) if self.by_themselves() == Some("give up") => continue,
                (Some(CallResult::Rejected { retry: true }), _) => FaultKind::Fail,
                (Some(CallResult::Rejected { retry: false }), _) => FaultKind::Refuse,
                (Some(CallResult::Indeterminate), _) if happened() => FaultKind::TimeoutAfterApplied,
                (Some(CallResult::Indeterminate), _) => FaultKind::Timeout,
                (None, Some(gap)) if gap >= GAP => FaultKind::Gap,
                (None, Some(_)) if happened() => FaultKind::CrashAfterApplied,
                (None, Some(_)) => FaultKind::Crash,
            };
            let word = FAULTS.iter().find(|(_, known)| *known == kind).map_or("fail", |(word, _)| word);
            let step = self.run.item(call.item).name.to_string();
            match faults.last_mut() {
                Some((last, same, times)) if *last == step && *same == word => *times += 1,
                _ => faults.push((step, word, 1)),
            }
        }
        faults
    }

    /// What times of a test count from.
    fn began(&self) -> Time {
        match &self.run.spec.cause {
            Cause::Alert { started, .. } => *started,
            Cause::Person { .. } => self.run.opened,
        }
    }

    /// When the source said that it is over.
    fn resolved(&self) -> Vec<Span> {
        let told = |stamped: &&Stamped| matches!(&stamped.record, Record::Told { what: Told::Resolved, .. });
        self.records.iter().find(told).map(|stamped| stamped.at.since(self.began())).into_iter().collect()
    }

    /// In their order, each after the question that it answers.
    fn people(&self, powered_off: bool) -> Vec<Vec<(&'static str, String)>> {
        let mut asked: Time = self.run.opened;
        let mut words = vec![];
        for stamped in self.records {
            match &stamped.record {
                Record::Asked { .. } | Record::Parked { .. } => asked = stamped.at,
                other => {
                    let Some((by, says, item)) = said(other) else { continue };
                    let word =
                        SAYS.iter().find(|(_, known)| *known == says).map_or("close", |(word, _)| word);
                    let mut one = vec![("who", json!(by.name).to_string()), ("says", word.to_owned())];
                    one.extend(item.map(|id| ("step", json!(self.run.item(id).name).to_string())));
                    match (says, stamped.at.since(asked)) {
                        // Nobody asked for it: it comes when it comes.
                        (Says::Abort, _) => one.push(("at", seconds(stamped.at.since(self.began())))),
                        (_, at_once) if at_once < Span::secs(1) => {}
                        (_, later) => one.push(("after", seconds(later))),
                    }
                    if says == Says::Confirm && powered_off {
                        one.push(("powers_off", "true".to_owned()));
                    }
                    let roles: Vec<&str> = by.roles.iter().map(|role| role.as_str()).collect();
                    one.push(("as", format!("[{}]", roles.join(", "))));
                    words.push(one);
                }
            }
        }
        words
    }

    fn ending(&self) -> &'static str {
        match self.run.finished {
            Some(outcome) => outcome.as_str(),
            None => match self.run.summary().state.as_str() {
                "held" => "held",
                "parked" => "parked",
                _ => "waits",
            },
        }
    }

    /// Each name once: the hosts of a `for_each` that ended alike are one line.
    fn steps(&self) -> Vec<(String, &'static str)> {
        let mut steps: Vec<(String, &'static str)> = vec![];
        let mut mixed = BTreeSet::new();
        for id in self.run.ids_of(ItemRole::Step) {
            if matches!(self.run.form(id), Form::Check(_)) {
                continue;
            }
            let (name, how) = (self.run.item(id).name.to_string(), stands(self.run, id));
            match steps.iter().find(|(known, _)| *known == name) {
                Some((_, same)) if *same == how => {}
                Some(_) => drop(mixed.insert(name)),
                None => steps.push((name, how)),
            }
        }
        steps.retain(|(name, _)| !mixed.contains(name));
        steps
    }
}

/// Whether a later look found it in effect, before it was called again.
fn happened(after: &[Stamped], of: ItemId) -> bool {
    let again =
        |stamped: &&Stamped| matches!(&stamped.record, Record::Intended { call, .. } if call.item == of);
    after.iter().take_while(|stamped| !again(stamped)).any(|stamped| match &stamped.record {
        Record::Observed { item, why: WhyObserved::Classify | WhyObserved::Verify, plan, .. } => {
            *item == of && matches!(plan, StepPlan::Nothing { .. })
        }
        _ => false,
    })
}

fn run_name(run: &Run) -> &str {
    run.id().as_str()
}

/// Who said what to the run, and to which step. Pointsman's own words are not people's.
fn said(record: &Record) -> Option<(&Actor, Says, Option<ItemId>)> {
    let (by, says, item) = match record {
        Record::Decided { by, accept_unfenced, .. } if !accept_unfenced.is_empty() => {
            (by, Says::AcceptUnfenced, None)
        }
        Record::Decided { by, yes: true, solo: true, .. } => (by, Says::ApproveAlone, None),
        Record::Decided { by, yes: true, .. } => (by, Says::Approve, None),
        Record::Decided { by, .. } => (by, Says::Reject, None),
        Record::Passed { by, .. } => (by, Says::Pass, None),
        Record::Told { what, by, .. } => match what {
            Told::Abort => (by, Says::Abort, None),
            Told::Retry(item) => (by, Says::Retry, Some(*item)),
            Told::Skip(item) => (by, Says::Skip, Some(*item)),
            Told::Confirm(item) => (by, Says::Confirm, Some(*item)),
            Told::Close => (by, Says::Close, None),
            Told::Pause | Told::Resume | Told::Resolved | Told::Replan => return None,
        },
        _ => return None,
    };
    (by.via != Via::Internal).then_some((by, says, item))
}

fn silent(seen: &Observation) -> bool {
    !matches!(seen.state["role"].as_str(), Some("primary" | "standby" | "replica"))
}

/// What is wrong with the copy that a replica of Redis holds.
fn replica(state: &Value, role: &str) -> Option<&'static str> {
    let strange = state["lineage"].is_string() && state["lineage"] != state["replid"];
    match (state[role] == "replica", &state["whole"], strange, &state["empty"]) {
        (true, Value::Bool(false), ..) => Some("never synced"),
        (true, _, true, Value::Bool(true)) => Some("emptied"),
        (true, _, true, _) => Some("other data"),
        _ => None,
    }
}

/// By the words of the action, since the record is all that there is.
fn gave_up(detail: &Value) -> bool {
    detail.as_str().is_some_and(|says| says.starts_with("PM3532") && says.contains("gave it up"))
}

/// Sentinels and both servers as the first look saw them.
fn sentinels(state: &Value) -> Vec<(&'static str, String)> {
    let is_silent = |role: &str| state[role] == "unreachable";
    let copy = replica(state, "new_role").map(|is| ("standby", is.to_owned()));
    let mut world: Vec<(&str, String)> = copy.into_iter().collect();
    if is_silent("old_role") {
        world.push(("primary", "killed".to_owned()));
    }
    if is_silent("new_role") {
        world.push(("standby", "down".to_owned()));
    }
    let word = match () {
        () if state["few"].is_string() => "silent",
        () if state["under_way"] == true || state["electing"] == true || state["leader"] == "new" => "elect",
        () if state["no_quorum"].is_string() => "no quorum",
        () if state["rival"].is_string() => "may take another",
        () => return world,
    };
    world.push(("sentinels", word.to_owned()));
    world
}

/// Two clusters of Patroni as the first look saw them: the one that shall lead, and the one that did.
fn clusters(state: &Value) -> Vec<(&'static str, String)> {
    let side = |side: &str| state[side]["state"].clone();
    let silent = |side: &Value| -> Vec<String> {
        let members = side["members"].as_object().into_iter().flatten();
        members.filter(|(_, member)| member["answers"] == false).map(|(name, _)| name.clone()).collect()
    };
    let all = |side: &Value| side["members"].as_object().map_or(0, serde_json::Map::len);
    let (here, there) = (side("here"), side("there"));
    let gone = silent(&there);
    let mut world = vec![];
    match there["leader"].as_str() {
        // The store has not forgotten it.
        Some(leader) if gone.iter().any(|name| name == leader) => world.push(("patroni", "hangs".to_owned())),
        Some(_) if !gone.is_empty() => {
            world.extend([("primary", "killed".to_owned()), ("patroni", "elects".to_owned())]);
        }
        Some(_) => {}
        None if gone.len() == all(&there) => world.push(("primary", "killed".to_owned())),
        None => {}
    }
    if silent(&here).len() == all(&here) {
        world.push(("standby", "down".to_owned()));
    }
    if here["paused"] == true {
        world.push(("patroni", "paused".to_owned()));
    }
    world
}

fn all_unknown(state: &Value) -> bool {
    state.as_object().is_some_and(|all| !all.is_empty() && all.values().all(|said| said == "unknown"))
}

/// The first takes the updates.
fn others_silent(state: &Value) -> bool {
    let servers = state["servers"].as_array().into_iter().flatten().skip(1);
    servers.into_iter().any(|server| server["silent"].is_string())
}

/// A test has no zero length of time: what came at once comes after a second.
fn seconds(span: Span) -> String {
    format!("{}s", span.0.div_ceil(1_000_000).max(1))
}

fn flow(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let all: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{ {} }}", all.join(", "))
}

fn list<T>(key: &str, all: Vec<T>, show: impl Fn(&T) -> String) -> Vec<String> {
    if all.is_empty() {
        return vec![];
    }
    let head = format!("    {key}:");
    std::iter::once(head).chain(all.iter().map(|one| format!("      - {}", show(one)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_of_a_run_are_those_of_its_test() {
        let told = |state: Value| flow(sentinels(&state));
        let lost = |more: &str, value: Value| {
            let mut state = json!({ "old_role": "unreachable", "new_role": "replica", "leader": "old" });
            state[more] = value;
            told(state)
        };
        assert_eq!(told(json!({ "old_role": "primary", "new_role": "replica" })), "{  }");
        assert_eq!(lost("few", json!("1 of 3")), "{ primary: killed, sentinels: silent }");
        assert_eq!(lost("no_quorum", json!("no")), "{ primary: killed, sentinels: no quorum }");
        assert_eq!(lost("electing", json!(true)), "{ primary: killed, sentinels: elect }");
        assert_eq!(lost("leader", json!("new")), "{ primary: killed, sentinels: elect }");
        assert_eq!(lost("rival", json!("another")), "{ primary: killed, sentinels: may take another }");
        assert_eq!(lost("new_role", json!("unreachable")), "{ primary: killed, standby: down }");
    }
}
