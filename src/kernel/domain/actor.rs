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
    Api,
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub name: Name,
    pub roles: Vec<Role>,
    pub via: Via,
}

impl Actor {
    /// Pointsman itself: triage saying that an alert was resolved, for example.
    pub fn internal() -> Actor {
        Actor { name: "pointsman".into(), roles: vec![], via: Via::Internal }
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
