//! Who did it, through what. An unnamed decision does not exist.

use super::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an identified caller may do. Ordered only by convention of the surfaces; never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Source,
    Viewer,
    Approver,
    Operator,
    IncidentLead,
    Admin,
}

impl Role {
    pub const ALL: [Role; 6] =
        [Role::Source, Role::Viewer, Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin];

    /// Who may say something to a run at all; which word needs which role is said with the word.
    pub const DECIDES: [Role; 4] = [Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin];
    pub const LOOKS: [Role; 5] =
        [Role::Viewer, Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin];
    pub const STARTS: [Role; 3] = [Role::Operator, Role::IncidentLead, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Viewer => "viewer",
            Role::Approver => "approver",
            Role::Operator => "operator",
            Role::IncidentLead => "incident-lead",
            Role::Admin => "admin",
        }
    }
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// The surface a decision came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Cli,
    Web,
    Slack,
    /// A link that one person was sent, good for one word about one plan.
    Link,
    Api,
    /// The unix socket beside the database: whoever may open it says who they are.
    Socket,
    Internal,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Cli => "cli",
            Via::Web => "web",
            Via::Slack => "slack",
            Via::Link => "link",
            Via::Api => "api",
            Via::Socket => "socket",
            Via::Internal => "internal",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub name: Name,
    /// What they may do for the service that is spoken of.
    pub roles: Vec<Role>,
    pub via: Via,
    /// A person of the configuration; otherwise the name is that of a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub person: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
}

impl Actor {
    /// Pointsman itself: triage saying that an alert was resolved, for example.
    pub fn internal() -> Actor {
        Actor::token("pointsman".into(), vec![], Via::Internal)
    }
    /// Somebody of whom only a name and roles are known.
    pub fn token(name: Name, roles: Vec<Role>, via: Via) -> Actor {
        Actor { name, roles, via, person: false, groups: vec![] }
    }
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}
