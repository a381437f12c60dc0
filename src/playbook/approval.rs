//! `approval:` of a playbook: whose yes a run needs, and whether the configuration has people who can give it. Called by
//! `read` and `check`.

use super::model::Playbook;
use crate::config::{Config, Person};
use crate::document::{At, Sink, Table, code};
use crate::kernel::domain::{ApprovalRule, Mode, Name, OnExpiry, Role, Span, Way};

const EXPIRES: Span = Span::mins(15);

/// Where its parts stand.
#[derive(Clone, Debug, Default)]
pub(super) struct ApprovalPlaces {
    via: At,
    from: Vec<(Name, At)>,
    need: At,
}

pub(super) fn read(top: &Table<'_>) -> (ApprovalRule, ApprovalPlaces) {
    let mut rule = ApprovalRule {
        not_requester: true,
        on_expiry: OnExpiry::Escalate,
        ..ApprovalRule::simple(EXPIRES, Role::Approver)
    };
    let Some(table) = top.table("approval") else { return (rule, ApprovalPlaces::default()) };
    rule.need = table.integer("need", 1, 9).and_then(|need| u8::try_from(need).ok()).unwrap_or(1);
    rule.expires = table.span("expires").unwrap_or(EXPIRES);
    let from = table.names("from").unwrap_or_default();
    rule.from = from.iter().map(|(name, _)| name.clone()).collect();
    rule.not_requester = table.boolean("not_requester").unwrap_or(true);
    rule.on_expiry = match table.word("on_expiry", &["escalate", "reject", "hold"]) {
        Some("reject") => OnExpiry::Reject,
        Some("hold") => OnExpiry::Hold,
        _ => OnExpiry::Escalate,
    };
    rule.via = read_ways(&table);
    let need = table.get("need").map_or(table.at.clone(), |node| node.at.clone());
    let via = table.get("via").map_or(table.at.clone(), |node| node.at.clone());
    table.finish();
    (rule, ApprovalPlaces { via, from, need })
}

fn read_ways(table: &Table<'_>) -> Vec<Way> {
    let mut ways = vec![];
    for (word, at) in table.names("via").unwrap_or_default() {
        match word.as_str() {
            "web" => ways.push(Way::Web),
            "cli" => ways.push(Way::Cli),
            "slack" => ways.push(Way::Slack),
            "link" => ways.push(Way::Link),
            other => {
                let says = format!("there is no way {other:?} to approve");
                table.sink.unknown(code::BAD_VALUE, at, says, other, ["web", "cli", "slack", "link"]);
            }
        }
    }
    ways
}

/// An approval that nobody could ever give is found out now, and not at night.
pub(super) fn check(sink: &Sink, playbook: &Playbook, config: &Config) {
    let (rule, places) = (&playbook.approval, &playbook.places.approval);
    if playbook.mode != Mode::Approve {
        return;
    }
    let ours = [Way::Web, Way::Cli];
    if !rule.via.is_empty() && !rule.via.iter().any(|way| ours.contains(way)) {
        let says = match rule.via.contains(&Way::Link) {
            true => "approval by what others carry alone: nobody could approve while mail and Slack are down",
            false => "approval by way of Slack alone: nobody could approve while Slack is down",
        };
        sink.error_hint(code::NOBODY_APPROVES, places.via.clone(), says, "add web or cli");
    }
    if rule.via.contains(&Way::Slack) && config.slacks().next().is_none() {
        let says = "approval by way of Slack, but the configuration has no [channel.NAME] of kind slack";
        sink.error(code::NOBODY_APPROVES, places.via.clone(), says);
    }
    if rule.via.contains(&Way::Link) {
        links_arrive(sink, playbook, config);
    }
    let groups: Vec<&str> =
        config.people.values().flat_map(|person| &person.groups).map(Name::as_str).collect();
    let mut unknown = false;
    for (name, at) in &places.from {
        if !groups.contains(&name.as_str()) {
            unknown = true;
            let says = format!("nobody in the configuration is in the group {name:?}");
            sink.unknown(code::UNKNOWN_NAME, at.clone(), says, name.as_str(), groups.iter().copied());
        }
    }
    // Without groups, and with one yes, a token of the role is enough.
    if unknown || (rule.from.is_empty() && rule.need == 1) {
        return;
    }
    let (can, need) = (those_who_may(playbook, config).count(), usize::from(rule.need));
    if can < need {
        let says = format!("{need} must approve, but only {can} of those who are asked may");
        let hint = "give more people the role approver for this service, or ask more groups";
        sink.error_hint(code::NOBODY_APPROVES, places.need.clone(), says, hint);
    }
}

fn those_who_may<'a>(playbook: &'a Playbook, config: &'a Config) -> impl Iterator<Item = &'a Person> {
    let rule = &playbook.approval;
    config.people.values().filter(|person| {
        let roles = person.roles_for(&playbook.service);
        let asked = rule.from.is_empty() || rule.from.iter().any(|group| person.groups.contains(group));
        asked && (roles.contains(&rule.role) || roles.contains(&Role::Admin))
    })
}

/// A link of one's own has to be complete, private on its way, and sent to somebody.
fn links_arrive(sink: &Sink, playbook: &Playbook, config: &Config) {
    let at = &playbook.places.approval.via;
    if !config.web.is_private() {
        let says =
            "approval by way of links, but the configuration has no [web] url that begins with https://";
        sink.error_hint(
            code::NOBODY_APPROVES,
            at.clone(),
            says,
            "links begin with it, and are as good as a word",
        );
    }
    if !those_who_may(playbook, config).any(|person| !config.reach(person).is_empty()) {
        let says = "approval by way of links, but nobody who may approve can be sent one";
        let hint = "give people an \"email\" or \"slack\", and the configuration a [channel.NAME] of kind email or slack";
        sink.error_hint(code::NOBODY_APPROVES, at.clone(), says, hint);
    }
}
