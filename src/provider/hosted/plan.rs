//! The verdict over what the API and the authoritative servers hold. Pure.

use super::cached;
use super::nature::{self, Nature};
use super::params::With;
use super::record::{Evidence, Served, State, pick};
use super::set::{Held, show};
use crate::kernel::domain::{Change, Effect, Name, Spec, StepPlan, Undo};
use crate::provider::dns::{Question, RrSet, RrType, Silent, judge_silent};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a plan says about where it is.
pub(super) struct Place<'a> {
    pub kind: &'a Name,
    pub target: &'a Name,
    pub by_hand: &'a dyn Fn(&[Held]) -> Vec<String>,
}

pub(super) fn plan(with: &With, place: &Place<'_>, state: &State, evidence: &Evidence) -> StepPlan {
    let nature = nature::of(&with.zone);
    let Some(holds) = &state.holds else {
        let layer = state.silent.as_deref().unwrap_or("unknown");
        let says = evidence.says.get("api").map_or("", String::as_str);
        return StepPlan::unknown("PM4110", format!("the API gave no usable answer ({layer}: {says})"));
    };
    let lost = match lost_servers(with, state, evidence) {
        Ok(lost) => lost,
        Err(unknown) => return unknown,
    };
    let wanted = kept(&with.wanted, holds);
    if let Some(refusal) = conflict(&wanted, holds) {
        return refusal;
    }
    let now = pick(wanted.iter().map(Held::key), holds);
    let right = now == wanted;
    let others = differing(&now, &state.servers);
    if state.pending {
        let id = evidence.pending.as_deref().unwrap_or("unnamed");
        return StepPlan::unknown(
            "PM4111",
            format!("the provider has taken change {id} and not yet published it"),
        );
    }
    if !others.is_empty() && !nature.staged {
        let follow = if right { "waiting for it to follow" } else { "they disagree" };
        let says = format!("the API holds {}, but {}: {follow}", show(&now), others.join("; "));
        return StepPlan::unknown("PM4102", says);
    }
    if right && others.is_empty() {
        let (sets, all) = cached::comparable(&now);
        let says = settled(&now, with, &lost);
        return cached::caches(with).settled(says, &sets, all, &evidence.resolvers);
    }
    if let Some(refusal) = brakes(with, &wanted, &now, holds, evidence) {
        return refusal;
    }
    let old_ttl = cached::old_ttl(&now, &wanted, &state.servers, evidence);
    let mut change = change(with, place, &nature, (now, wanted, holds), evidence);
    change.lasts = cached::caches(with).lasts(old_ttl);
    change.warnings.extend(cached::caches(with).warning(old_ttl));
    change.warnings.extend(lost);
    if !others.is_empty() {
        change.warnings.push(format!("changed and never published: {}", others.join("; ")));
    }
    StepPlan::Change(Box::new(change))
}

fn settled(now: &[Held], with: &With, lost: &[String]) -> String {
    let all = with.zone.servers.len();
    let served = now.iter().any(Held::is_served_as_is);
    match lost {
        _ if all == 0 => format!("the API holds {}", show(now)),
        _ if !served => {
            format!("the API holds {}; what its servers answer is the provider's choice", show(now))
        }
        [] => format!("the API and all {all} servers hold {}", show(now)),
        lost => {
            let hold = all - lost.len();
            format!("the API and {hold} of {all} servers hold {}; {}", show(now), lost.join("; "))
        }
    }
}

/// Warnings of servers that are lost with the site; any other silence is unknown.
fn lost_servers(with: &With, state: &State, evidence: &Evidence) -> Result<Vec<String>, StepPlan> {
    let silent = |seen: &Served| {
        let layer = seen.silent.as_ref()?;
        let says = evidence.says.get(&seen.server.to_string()).map_or("", String::as_str);
        Some(Silent { server: seen.server, says: format!("{layer}: {says}") })
    };
    let silent = state.servers.iter().filter_map(silent).collect();
    judge_silent(silent, &with.zone.lost_with, with.from_site.as_ref())
}

/// What is not asked for stays: a proxied name stays proxied, and its TTL is then the provider's.
pub(super) fn kept(wanted: &[Held], holds: &[Held]) -> Vec<Held> {
    let keep = |set: &Held| {
        let mut set = set.clone();
        set.proxied = holds.iter().any(|held| held.key() == set.key() && held.proxied);
        set.ttl = set.ttl.filter(|_| !set.proxied);
        set
    };
    wanted.iter().map(keep).collect()
}

/// Servers that do not answer as the API says, for the sets that servers answer with as they are.
fn differing(now: &[Held], servers: &[Served]) -> Vec<String> {
    let mut told = vec![];
    for seen in servers.iter().filter(|seen| seen.holds.is_some()) {
        let served = |set: &Held| -> RrSet {
            let of_set = seen.holds.iter().flatten().find(|held| held.question() == set.question()).cloned();
            of_set.unwrap_or_else(|| RrSet::absent(&set.question()))
        };
        for set in now.iter().filter(|set| set.is_served_as_is()) {
            let served = served(set);
            if served.values != set.values || (set.ttl.is_some() && served.ttl != set.ttl) {
                told.push(format!("{} serves {served}", seen.server));
            }
        }
    }
    told
}

/// Sets that cannot stand beside what is wanted, and sets that this action must not touch.
fn conflict(wanted: &[Held], holds: &[Held]) -> Option<StepPlan> {
    for set in wanted {
        let mut beside = holds.iter().filter(|held| held.name == set.name && held.exists());
        let is_alias = set.r#type == RrType::Cname;
        if let Some(held) = beside.clone().find(|held| (held.r#type == RrType::Cname) != is_alias) {
            let says =
                format!("{} holds {held} now, which cannot stand beside {}", set.name, set.r#type.as_str());
            return Some(StepPlan::refuse("PM4103", says));
        }
        let same = beside
            .clone()
            .find(|held| held.r#type == set.r#type && held.routing.is_some() != set.routing.is_some());
        if let Some(held) = same {
            let says = format!("{held}: a set of its own and sets with a `set` cannot share a name and type");
            return Some(StepPlan::refuse("PM4115", says));
        }
        let policy = |held: &Held| held.routing.as_ref().and_then(|routing| routing.other.clone());
        let foreign = beside.find_map(|held| policy(held).filter(|_| held.question() == set.question()));
        if let Some(policy) = foreign {
            let says = format!(
                "{} {} is routed by {policy}, which is not changed here",
                set.name,
                set.r#type.as_str()
            );
            return Some(StepPlan::refuse("PM4115", says));
        }
    }
    None
}

/// What would be live afterwards, and how much of the zone is changed at once.
fn brakes(
    with: &With,
    wanted: &[Held],
    now: &[Held],
    holds: &[Held],
    evidence: &Evidence,
) -> Option<StepPlan> {
    let questions: BTreeSet<Question> = wanted.iter().map(Held::question).collect();
    for question in questions {
        let ours = wanted.iter().filter(|set| set.question() == question);
        let keys: BTreeSet<_> = wanted.iter().map(Held::key).collect();
        let stay = holds.iter().filter(|set| set.question() == question && !keys.contains(&set.key()));
        let live: usize = ours.chain(stay).map(Held::live).sum();
        if live < with.min_targets {
            let says = format!(
                "{} {} would have {live} live targets, at least {} are asked for (all weights at 0 would serve all \
                 of them)",
                question.name,
                question.r#type.as_str(),
                with.min_targets
            );
            return Some(StepPlan::refuse("PM4113", says));
        }
    }
    let most = with.max_share?;
    let Some(count) = evidence.count else {
        let says = "how many records the zone has is not known, and `max_share` is asked for";
        return Some(StepPlan::unknown("PM4114", says));
    };
    let changed = wanted.iter().zip(now).filter(|(after, before)| after != before).count() as u64;
    if changed * 100 > u64::from(most) * count {
        let says = format!("{changed} of the zone's {count} record sets would change, at most {most}% may");
        return Some(StepPlan::refuse("PM4114", says));
    }
    None
}

fn change(
    with: &With,
    place: &Place<'_>,
    nature: &Nature,
    (now, wanted, holds): (Vec<Held>, Vec<Held>, &[Held]),
    evidence: &Evidence,
) -> Change {
    let mut change = Change::new(json!(now), json!(wanted));
    (change.now, change.after) = (show(&now), show(&wanted));
    change.effects = effects(&wanted, &now, holds);
    change.undo = undo(with, place, nature, &now);
    (change.by_hand, change.undo_by_hand) = ((place.by_hand)(&wanted), (place.by_hand)(&now));
    change.settle = nature.settle();
    change.warnings = warnings(with, nature, &wanted, evidence);
    change.detail = json!({ "old_answers_last_seconds": evidence.old_answers_last, "plane": "control",
                            "depends_on": nature.plane });
    change
}

/// What each name leads to, over all its sets that users are sent to: one set at weight 0 is no empty name.
fn effects(wanted: &[Held], now: &[Held], holds: &[Held]) -> Vec<Effect> {
    let questions: BTreeSet<Question> = wanted.iter().map(Held::question).collect();
    let keys: BTreeSet<_> = wanted.iter().map(Held::key).collect();
    let stay: Vec<&Held> = holds.iter().filter(|set| !keys.contains(&set.key())).collect();
    let leads = |sets: &[Held], question: &Question| -> Vec<String> {
        let all = sets.iter().chain(stay.iter().copied());
        let of_name = all.filter(|set| set.question() == *question && set.live() > 0);
        let places: BTreeSet<String> = of_name
            .flat_map(|set| set.values.iter().chain(set.alias.iter().map(|alias| &alias.name)).cloned())
            .collect();
        places.into_iter().collect()
    };
    let effect = |question: Question| Effect::Records {
        before: leads(now, &question),
        after: leads(wanted, &question),
        kind: question.r#type.as_str().to_owned(),
        name: question.name,
    };
    questions.into_iter().map(effect).collect()
}

fn warnings(with: &With, nature: &Nature, wanted: &[Held], evidence: &Evidence) -> Vec<String> {
    let mut warnings = vec![format!("a control-plane act; it depends on {}", nature.plane)];
    if with.zone.servers.is_empty() {
        warnings.push("no `servers` are named: only the provider's API will say that it is done".into());
    }
    if wanted.iter().any(|set| set.proxied) {
        warnings.push("proxied: users see the provider's own addresses; verify by a page, not by DNS".into());
    }
    if !nature.whole && wanted.len() > 1 {
        warnings.push("one call for each record: they do not change all at once".into());
    }
    let others = evidence.others.iter().flatten();
    warnings.extend(others.map(|set| format!("{set} stays as it is and still points at the old site")));
    if let Some(why) = &evidence.others_unknown {
        warnings.push(format!("whether other names still point at the old site is unknown: {why}"));
    }
    warnings
}

/// The same action with the old records; what did not exist is taken away by a person.
fn undo(with: &With, place: &Place<'_>, nature: &Nature, now: &[Held]) -> Undo {
    let new: Vec<String> = now.iter().filter(|set| !set.exists()).map(Held::to_string).collect();
    if !new.is_empty() {
        let zone = &with.zone.zone;
        return Undo::ByHand(format!("delete what was added to {zone} ({} before)", new.join("; ")));
    }
    let records: Vec<Value> = now.iter().map(|set| record(set, nature)).collect();
    Undo::To(Spec {
        kind: place.kind.clone(),
        target: place.target.clone(),
        with: json!({ "records": records, "from_site": with.from_site }),
    })
}

/// As the parameters have it.
fn record(set: &Held, nature: &Nature) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), json!(set.name));
    map.insert("type".into(), json!(set.r#type));
    match &set.alias {
        Some(alias) => map.insert("alias".into(), json!(alias)),
        None => {
            map.insert("values".into(), json!(set.values));
            let ttl = set.ttl.or(nature.auto_ttl).unwrap_or(nature.least_ttl);
            map.insert("ttl".into(), json!(ttl))
        }
    };
    if let Some(routing) = &set.routing {
        map.insert("set".into(), json!(routing.set));
        let given = [
            ("weight", routing.weight.map(|weight| json!(weight))),
            ("failover", routing.failover.map(|failover| json!(failover))),
            ("health_check", routing.health_check.as_ref().map(|id| json!(id))),
        ];
        map.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    Value::Object(map)
}
