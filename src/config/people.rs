//! Who there is: people, the groups in which they are asked, and what they may do, everywhere or for one service.

use super::channel::mailbox;
use crate::document::{At, Table, code};
use crate::kernel::domain::{Name, Role};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// For every service.
    pub roles: Vec<Role>,
    /// Further ones, for one service each.
    pub services: BTreeMap<Name, Vec<Role>>,
    pub groups: Vec<Name>,
    pub slack: Option<SlackUser>,
    /// Their own mailbox: codes and links are sent there.
    pub email: Option<String>,
}

/// Who they are in a workspace of Slack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackUser {
    pub team: String,
    pub user: String,
}

impl Person {
    /// What they may do for this service.
    pub fn roles_for(&self, service: &Name) -> Vec<Role> {
        let further = self.services.get(service).into_iter().flatten();
        let mut roles: Vec<Role> = self.roles.iter().chain(further).copied().collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

pub(super) fn read(table: &Table<'_>) -> Option<Person> {
    let names = table.names("roles").unwrap_or_default();
    let mut person = Person { roles: roles(table, names), ..Person::default() };
    if let Some(services) = table.table("services") {
        for entry in services.entries() {
            let what = format!("the roles for {:?}", entry.key);
            let names = table.sink.names(&entry.value, &what).unwrap_or_default();
            person.services.insert(entry.key.as_str().into(), roles(table, names));
        }
    }
    person.groups = table.names("groups").unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    person.slack = table.table("slack").and_then(|slack| {
        let (team, user) = (slack.need_text("team"), slack.need_text("user"));
        let both = team.zip(user);
        slack.finish();
        both.map(|(team, user)| SlackUser { team: team.to_owned(), user: user.to_owned() })
    });
    person.email = table.text("email").and_then(|text| mailbox(table, "email", text));
    Some(person)
}

fn roles(table: &Table<'_>, names: Vec<(Name, At)>) -> Vec<Role> {
    let mut roles = vec![];
    for (name, at) in names {
        match Role::parse(name.as_str()) {
            Some(role) => roles.push(role),
            None => {
                let known = Role::ALL.into_iter().map(Role::as_str);
                let says = format!("there is no role {name:?}");
                table.sink.unknown(code::UNKNOWN_NAME, at, says, name.as_str(), known);
            }
        }
    }
    roles
}
