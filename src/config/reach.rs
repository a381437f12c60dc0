//! How one person is reached alone: their own Slack, their own mailbox. What is sent there (codes to sign in with, links that
//! decide) is for nobody else, so it never goes to a conversation or a list.

use super::{ChannelKind, Config, Email, Person, Slack};
use crate::kernel::domain::Name;

/// What carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Slack,
    Email,
}

impl Carrier {
    pub fn as_str(self) -> &'static str {
        match self {
            Carrier::Slack => "slack",
            Carrier::Email => "email",
        }
    }
    pub fn parse(text: &str) -> Option<Carrier> {
        [Carrier::Slack, Carrier::Email].into_iter().find(|carrier| carrier.as_str() == text)
    }
}

/// One channel of the configuration, addressed to one person.
#[derive(Clone, Debug)]
pub enum Reach {
    Slack { channel: Name, slack: Slack },
    Email { channel: Name, email: Email },
}

impl Reach {
    pub fn carrier(&self) -> Carrier {
        match self {
            Reach::Slack { .. } => Carrier::Slack,
            Reach::Email { .. } => Carrier::Email,
        }
    }
}

impl Config {
    /// By the first channel, in the order of names, that leads to them: one for each carrier.
    pub fn reach(&self, person: &Person) -> Vec<Reach> {
        let slack = person.slack.as_ref().and_then(|user| {
            let (channel, _, slack) = self.slacks().find(|(_, _, slack)| slack.team == user.team)?;
            let slack = Slack { to: user.user.clone(), ..slack.clone() };
            Some(Reach::Slack { channel: channel.clone(), slack })
        });
        let email = person.email.as_ref().and_then(|address| {
            let (channel, email) = self.emails().next()?;
            let email = Email { to: vec![address.clone()], ..email.clone() };
            Some(Reach::Email { channel: channel.clone(), email })
        });
        slack.into_iter().chain(email).collect()
    }

    /// Whether anybody is reached that way.
    pub fn carries(&self, carrier: Carrier) -> bool {
        self.people.values().any(|person| self.reach(person).iter().any(|reach| reach.carrier() == carrier))
    }

    fn emails(&self) -> impl Iterator<Item = (&Name, &Email)> {
        self.channels.iter().filter_map(|(name, channel)| match &channel.kind {
            ChannelKind::Email(email) => Some((name, email)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_reached_alone_and_in_their_own_workspace() {
        let config = crate::config::for_test(
            "[channel.a]\nkind = \"slack\"\ntoken = { env = \"T\" }\nsigning_secret = { env = \"S\" }\nto = \"C1\"\n\
             team = \"T1\"\napp = \"A1\"\n\
             [channel.m]\nkind = \"email\"\nsmtp = \"mx.example:587\"\nfrom = \"pm@example.org\"\nto = [\"all@example.org\"]\n\
             [people.bo]\nroles = [\"approver\"]\nslack = { team = \"T1\", user = \"U1\" }\nemail = \"bo@example.org\"\n\
             [people.eve]\nroles = [\"approver\"]\nslack = { team = \"T2\", user = \"U1\" }\n",
        );
        let of = |name: &str| config.reach(&config.people[&name.into()]);
        let [Reach::Slack { slack, .. }, Reach::Email { email, .. }] = &of("bo")[..] else {
            panic!("{:?}", of("bo"))
        };
        assert_eq!((slack.to.as_str(), email.to.as_slice()), ("U1", &["bo@example.org".to_owned()][..]));
        assert!(of("eve").is_empty(), "another workspace has another U1");
        assert!(config.carries(Carrier::Slack) && config.carries(Carrier::Email));
    }
}
