//! `[channel.NAME]`: whom notices go to, and which; and `[heartbeat]`, the sign of life that somebody else waits for.
//! Credentials, and addresses that are credentials, by reference only. The outbox of `worker` reads them.

use super::SecretRef;
use super::parse::{secret, url};
use crate::document::{Kind as Node, Table, code};
use crate::kernel::domain::{Name, Secret, Span};
use std::path::PathBuf;

/// What a notice is about. `page` is no kind of its own: whatever must wake somebody, of whichever kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A run opened, was taken over after a restart, or takes back what it did.
    Progress,
    /// A person is asked.
    Asked,
    /// A person said something to a run.
    Decided,
    /// No for now.
    Held,
    /// Stopped; a person is needed.
    Parked,
    Ended,
    /// An old primary, or an end state after the run.
    Watch,
    /// The instance itself: freezes, overrides, the storm breaker, its start.
    Instance,
    Page,
    /// Where the journal ends, signed; only where it is asked for.
    Checkpoint,
}

impl Topic {
    const ALL: [Topic; 10] = [
        Topic::Progress,
        Topic::Asked,
        Topic::Decided,
        Topic::Held,
        Topic::Parked,
        Topic::Ended,
        Topic::Watch,
        Topic::Instance,
        Topic::Page,
        Topic::Checkpoint,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Progress => "progress",
            Topic::Asked => "asked",
            Topic::Decided => "decided",
            Topic::Held => "held",
            Topic::Parked => "parked",
            Topic::Ended => "ended",
            Topic::Watch => "watch",
            Topic::Instance => "instance",
            Topic::Page => "page",
            Topic::Checkpoint => "checkpoint",
        }
    }
}

/// Where to send something: written out, or kept as a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Plain(String),
    Kept(SecretRef),
}

impl Address {
    /// For sending only: it may be a credential.
    pub fn read(&self) -> Result<Secret, super::SecretError> {
        match self {
            Address::Plain(text) => Ok(Secret::new(text.clone())),
            Address::Kept(secret) => secret.read(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub kind: ChannelKind,
    /// Empty for a pager, which takes what raises, is taken and clears.
    pub topics: Vec<Topic>,
    /// Names of services, `*` for any letters. Empty: all of them, and what concerns no service.
    pub services: Vec<String>,
}

/// Called while the journal can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub url: Address,
    pub every: Span,
}

#[derive(Clone, Debug)]
pub enum ChannelKind {
    Webhook { url: Address, secret: SecretRef },
    Email(Email),
    Pagerduty { api: String, routing_key: SecretRef },
    Slack(Slack),
}

#[derive(Clone, Debug)]
pub struct Slack {
    pub api: String,
    /// Of the bot; scope `chat:write`.
    pub token: SecretRef,
    /// What Slack sends by HTTP is signed with it.
    pub signing_secret: Option<SecretRef>,
    /// Of the app; scope `connections:write`. With it the connection is ours.
    pub app_token: Option<SecretRef>,
    /// Id of the conversation.
    pub to: String,
    /// Workspace and app: clicks of others are refused.
    pub team: String,
    pub app: String,
}

#[derive(Clone, Debug)]
pub struct Email {
    /// `host:port`
    pub smtp: String,
    pub tls: EmailTls,
    /// A further authority, in PEM.
    pub ca: Option<PathBuf>,
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub from: String,
    pub to: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTls {
    /// Begins in clear and must be encrypted before anything is said.
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// Only to this machine.
    None,
}

impl Channel {
    pub fn is_for(&self, service: Option<&Name>) -> bool {
        match service {
            _ if self.services.is_empty() => true,
            Some(service) => self.services.iter().any(|glob| fits(glob, service.as_str())),
            // What concerns every service concerns these.
            None => true,
        }
    }
}

/// `*` stands for any letters, also none.
fn fits(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

pub(super) fn read(table: &Table<'_>) -> Option<Channel> {
    let kind = match table.word("kind", &["webhook", "email", "pagerduty", "slack"]) {
        Some(kind) => kind,
        None => {
            // Which keys it may have cannot be told.
            table.need("kind");
            table.ignore_rest();
            return None;
        }
    };
    let services = words(table, "services");
    let topics = if kind == "pagerduty" { vec![] } else { topics(table, kind) };
    let kind = match kind {
        "webhook" => {
            let both = address(table, "url").zip(secret(table, "secret"));
            needs(table, &["url", "secret"]);
            both.map(|(url, secret)| ChannelKind::Webhook { url, secret })
        }
        "email" => email(table).map(ChannelKind::Email),
        "slack" => slack(table).map(ChannelKind::Slack),
        _ => {
            let api = api(table, "https://events.pagerduty.com");
            let key = secret(table, "routing_key");
            needs(table, &["routing_key"]);
            api.zip(key).map(|(api, routing_key)| ChannelKind::Pagerduty { api, routing_key })
        }
    };
    kind.map(|kind| Channel { kind, topics, services })
}

pub(super) fn read_heartbeat(top: &Table<'_>) -> Option<Heartbeat> {
    let table = top.table("heartbeat")?;
    let url = address(&table, "url");
    needs(&table, &["url"]);
    let every = table.span("every").unwrap_or(Span::secs(30));
    if every < Span::secs(1) {
        table.sink.error(code::BAD_VALUE, table.key_at("every"), "\"every\" must be at least 1s");
    }
    table.finish();
    url.map(|url| Heartbeat { url, every })
}

fn needs(table: &Table<'_>, keys: &[&'static str]) {
    for key in keys {
        table.need(key);
    }
}

/// A URL, or the reference to one that nobody but us may know.
fn address(table: &Table<'_>, key: &'static str) -> Option<Address> {
    match &table.get(key)?.kind {
        Node::Text(_) => url(table, key).map(Address::Plain),
        _ => secret(table, key).map(Address::Kept),
    }
}

/// A credential travels there: encrypted, or no further than this machine.
pub(super) fn api(table: &Table<'_>, usual: &str) -> Option<String> {
    let Some(node) = table.get("api") else { return Some(usual.to_owned()) };
    let text = url(table, "api")?;
    if !text.starts_with("https://") && !is_here(&text) {
        let says = "\"api\" must begin with https://: a credential is sent there";
        table.sink.error(code::BAD_VALUE, node.at.clone(), says);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// On this machine.
pub(super) fn is_here(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    })
}

fn words(table: &Table<'_>, key: &'static str) -> Vec<String> {
    table.names(key).unwrap_or_default().into_iter().map(|(name, _)| name.to_string()).collect()
}

fn topics(table: &Table<'_>, kind: &str) -> Vec<Topic> {
    let Some(given) = table.names("notices") else {
        return Topic::ALL
            .into_iter()
            .filter(|topic| *topic != Topic::Checkpoint)
            .filter(|topic| kind == "webhook" || !matches!(topic, Topic::Held | Topic::Instance))
            .collect();
    };
    let mut topics = vec![];
    for (name, at) in given {
        match Topic::ALL.into_iter().find(|topic| topic.as_str() == name.as_str()) {
            Some(topic) => topics.push(topic),
            None => {
                let known = Topic::ALL.into_iter().map(Topic::as_str);
                let says = format!("there are no notices {name:?}");
                table.sink.unknown(code::BAD_VALUE, at, says, name.as_str(), known);
            }
        }
    }
    topics
}

fn email(table: &Table<'_>) -> Option<Email> {
    let smtp = table.need_text("smtp");
    let tls = match table.word("tls", &["starttls", "tls", "none"]) {
        Some("tls") => EmailTls::Tls,
        Some("none") => EmailTls::None,
        _ => EmailTls::Starttls,
    };
    if let Some((text, node)) = smtp.zip(table.get("smtp")) {
        let host =
            text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let here = |host: &str| host == "localhost" || host == "[::1]" || host.starts_with("127.");
        match host {
            None => table.sink.error(code::BAD_VALUE, node.at.clone(), "\"smtp\" must be host:port"),
            Some((host, _)) if tls == EmailTls::None && !here(host) => {
                let says = "\"tls\" may be \"none\" only towards this machine";
                table.sink.error(code::BAD_VALUE, table.key_at("tls"), says);
            }
            Some(_) => {}
        }
    }
    if table.get("user").is_some() != table.get("password").is_some() {
        let says = "\"user\" and \"password\" belong together";
        table.sink.error(code::MISSING, table.at.clone(), says);
    }
    let from = mailbox(table, "from", table.need_text("from")?);
    needs(table, &["to"]);
    let to: Vec<String> = words(table, "to");
    to.iter().for_each(|one| drop(mailbox(table, "to", one)));
    if to.is_empty() && table.get("to").is_some() {
        table.sink.error(code::BAD_VALUE, table.key_at("to"), "\"to\" must name at least one address");
    }
    Some(Email {
        smtp: smtp?.to_owned(),
        tls,
        ca: table.text("ca").map(PathBuf::from),
        user: table.text("user").map(str::to_owned),
        password: secret(table, "password"),
        from: from?,
        to,
    })
}

fn slack(table: &Table<'_>) -> Option<Slack> {
    let (token, signing_secret) = (secret(table, "token"), secret(table, "signing_secret"));
    let app_token = secret(table, "app_token");
    needs(table, &["token"]);
    if table.get("app_token").is_none() {
        needs(table, &["signing_secret"]);
    }
    let api = api(table, "https://slack.com/api");
    let (to, team, app) = (table.need_text("to"), table.need_text("team"), table.need_text("app"));
    Some(Slack {
        api: api?,
        token: token?,
        signing_secret,
        app_token,
        to: to?.to_owned(),
        team: team?.to_owned(),
        app: app?.to_owned(),
    })
}

pub(super) fn mailbox(table: &Table<'_>, key: &'static str, text: &str) -> Option<String> {
    if text.parse::<lettre::message::Mailbox>().is_ok() {
        return Some(text.to_owned());
    }
    let says = format!("{key:?} must be an address like ops@example.org, or Name <ops@example.org>");
    table.sink.error(code::BAD_VALUE, table.key_at(key), says);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (glob, text) in
            [("*", "shop"), ("shop*", "shop"), ("*-eu", "shop-eu"), ("s*-e*", "shop-eu"), ("", "")]
        {
            assert!(fits(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("shop", "shop-eu"), ("*-eu", "shop-us"), ("s*x", "shop"), ("", "shop")] {
            assert!(!fits(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn what_must_not_leave_in_clear_is_refused() {
        let problems = |text: &str| {
            let (config, problems) = crate::config::parse(text, "test.toml");
            (config, problems.into_iter().map(|p| p.says).collect::<Vec<_>>().join("; "))
        };
        let (config, says) = problems(
            "[channel.pager]\nkind = \"pagerduty\"\nrouting_key = \"R0\"\napi = \"http://pd.example\"\n\
             [channel.mail]\nkind = \"email\"\nsmtp = \"mx.example:25\"\ntls = \"none\"\nfrom = \"x\"\nto = []\n\
             [channel.hook]\nkind = \"webhook\"\nurl = \"https://user:pw@example.org/x\"\nnotices = [\"askd\"]\n",
        );
        assert!(config.is_none());
        for part in [
            "\"routing_key\" is a credential",
            "must begin with https://",
            "only towards this machine",
            "\"from\" must be an address",
            "must not hold a user or password",
            "there are no notices \"askd\"",
            "has no \"secret\"",
        ] {
            assert!(says.contains(part), "{part}: {says}");
        }
        assert!(!says.contains("R0") && !says.contains("pw@"), "{says}");
    }

    #[test]
    fn a_webhook_hears_all_a_mailbox_what_people_need() {
        let config = crate::config::for_test(
            "[channel.hook]\nkind = \"webhook\"\nurl = { env = \"HOOK\" }\nsecret = { env = \"S\" }\n\
             [channel.mail]\nkind = \"email\"\nsmtp = \"mx.example:587\"\nfrom = \"Pointsman <pm@example.org>\"\n\
             to = [\"ops@example.org\"]\nservices = [\"shop*\"]\n\
             [heartbeat]\nurl = \"https://example.org/ping\"\n",
        );
        let (hook, mail) = (&config.channels[&"hook".into()], &config.channels[&"mail".into()]);
        assert_eq!(hook.topics.len(), Topic::ALL.len() - 1, "signed checkpoints are asked for");
        assert!(!hook.topics.contains(&Topic::Checkpoint));
        assert!(mail.topics.contains(&Topic::Asked) && !mail.topics.contains(&Topic::Held));
        assert!(
            mail.is_for(Some(&"shop-eu".into())) && !mail.is_for(Some(&"bank".into())) && mail.is_for(None)
        );
        let beat = config.heartbeat.unwrap();
        assert_eq!(
            (beat.url, beat.every),
            (Address::Plain("https://example.org/ping".into()), Span::secs(30))
        );
    }
}
