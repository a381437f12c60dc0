//! Who is speaking: the holder of a token, a browser that is signed in, or whoever may open the socket. Made one with the
//! people of the configuration; `http` asks here, and gets an [`Actor`] only for a service.

use super::App;
use crate::config::{Config, Person};
use crate::kernel::domain::{Actor, Name, Record, Role, Secret, SignIn, Stream, Via};
use crate::store::{Holder, StoreError};

/// Somebody identified, with all that they may do.
#[derive(Clone, Debug)]
pub struct Caller {
    name: Name,
    person: Option<Person>,
    /// The one role of a token; of a person's, the only one that it may use.
    only: Option<Role>,
    via: Via,
}

impl Caller {
    /// `None`: the configuration knows no such person (any more).
    pub fn of_token(holder: &Holder, config: &Config) -> Option<Caller> {
        match holder {
            Holder::Named { name, role } => {
                Some(Caller { name: name.clone(), person: None, only: Some(*role), via: Via::Api })
            }
            Holder::Person { name, only } => {
                Some(Caller { only: *only, ..Caller::of_person(name, config, Via::Api)? })
            }
        }
    }

    pub fn of_person(name: &Name, config: &Config, via: Via) -> Option<Caller> {
        let person = config.people.get(name)?.clone();
        Some(Caller { name: name.clone(), person: Some(person), only: None, via })
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// As whom they act on one service.
    pub fn on(&self, service: &Name) -> Actor {
        self.actor(self.person.as_ref().map(|person| person.roles_for(service)))
    }

    /// As whom they act on what concerns every service.
    pub fn everywhere(&self) -> Actor {
        self.actor(self.person.as_ref().map(|person| person.roles.clone()))
    }

    /// Whether one of these roles is theirs, for whichever service.
    pub fn has_any(&self, roles: &[Role]) -> bool {
        let services = self.person.iter().flat_map(|person| person.services.keys());
        let own = services.map(|service| self.on(service)).chain([self.everywhere()]);
        own.into_iter().any(|actor| roles.iter().any(|role| actor.has(*role)))
    }

    /// The roles that they hold somewhere, in words.
    pub fn says(&self) -> String {
        let held: Vec<&str> =
            Role::ALL.iter().filter(|role| self.has_any(&[**role])).map(|role| role.as_str()).collect();
        if held.is_empty() { "no role".to_owned() } else { held.join(", ") }
    }

    fn actor(&self, roles: Option<Vec<Role>>) -> Actor {
        let roles = match (roles, self.only) {
            (Some(roles), only) => roles.into_iter().filter(|r| only.is_none_or(|only| only == *r)).collect(),
            (None, only) => only.into_iter().collect(),
        };
        Actor {
            name: self.name.clone(),
            roles,
            via: self.via,
            person: self.person.is_some(),
            groups: self.person.as_ref().map(|person| person.groups.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("too many codes were tried from there")]
    TooMany,
    #[error("the code is not good: wrong, used before, or over its ten minutes")]
    NotGood,
    #[error("{0} is not in the configuration")]
    NotKnown(Name),
    #[error("{0}")]
    Store(String),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        SignInError::Store(error.to_string())
    }
}

impl App {
    /// The cookie of a new session. The record first: nobody is signed in without the journal knowing.
    pub async fn sign_in(&self, code: &str, from: &str) -> Result<(Name, Secret), SignInError> {
        let now = self.world.now();
        if !self.doors.codes.try_once(from, now) {
            return Err(SignInError::TooMany);
        }
        let (person, how) = self.store.use_code(code, now).await?.ok_or(SignInError::NotGood)?;
        if !self.config.people.contains_key(&person) {
            return Err(SignInError::NotKnown(person));
        }
        let record = Record::SignedIn { person: person.clone(), how };
        self.note(Stream::Instance, record).await.map_err(|e| SignInError::Store(e.to_string()))?;
        if how == SignIn::Recovery {
            tracing::error!(%person, %from, "somebody signed in by a RECOVERY CODE: see that it was this person");
        }
        let cookie = self.store.begin_session(&person, how, now).await?;
        self.doors.codes.forget(from);
        Ok((person, cookie))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        crate::config::for_test(
            "[people.bo]\nroles = [\"viewer\"]\ngroups = [\"oncall\"]\n[people.bo.services]\nshop = [\"approver\"]\n",
        )
    }

    #[test]
    fn a_role_for_one_service_is_none_for_another() {
        let bo = Caller::of_person(&"bo".into(), &config(), Via::Web).unwrap();
        assert_eq!(bo.on(&"shop".into()).roles, [Role::Viewer, Role::Approver]);
        assert_eq!(bo.on(&"bank".into()).roles, [Role::Viewer]);
        assert_eq!(bo.everywhere().roles, [Role::Viewer]);
        assert!(bo.has_any(&[Role::Approver]) && !bo.has_any(&[Role::Admin, Role::Operator]));
        assert!(bo.on(&"bank".into()).person && bo.on(&"bank".into()).groups == ["oncall".into()]);
        assert_eq!(bo.says(), "viewer, approver");
    }

    #[test]
    fn a_token_is_no_more_than_its_person_and_no_less_than_its_role() {
        let of = |name: &str, only| Holder::Person { name: name.into(), only };
        assert!(Caller::of_token(&of("eve", None), &config()).is_none(), "no such person");
        let less = Caller::of_token(&of("bo", Some(Role::Viewer)), &config()).unwrap();
        assert_eq!(less.on(&"shop".into()).roles, [Role::Viewer]);
        let none = Caller::of_token(&of("bo", Some(Role::Admin)), &config()).unwrap();
        assert!(none.on(&"shop".into()).roles.is_empty(), "a token cannot hold what its person does not");
        let named = Holder::Named { name: "ci".into(), role: Role::Operator };
        let named = Caller::of_token(&named, &config()).unwrap();
        assert!(!named.everywhere().person && named.on(&"bank".into()).has(Role::Operator));
    }
}
