//! Channels for a yard: their credentials in files, as users keep them.

use lab::notices::{
    APP, APP_TOKEN, CONVERSATION, Mail, Pagerduty, Receiver, SECRET, SIGNING_SECRET, Slack, TEAM, TOKEN,
};
use std::path::Path;
use tempfile::TempDir;

pub struct Keys(TempDir);

impl Keys {
    pub fn new() -> Keys {
        Keys(tempfile::tempdir().unwrap())
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        format!("{{ file = {:?} }}", path.display().to_string())
    }

    pub fn hook(&self, receiver: &Receiver, more: &str) -> String {
        let secret = self.file("hook", SECRET);
        format!("[channel.hook]\nkind = \"webhook\"\nurl = {:?}\nsecret = {secret}\n{more}\n", receiver.url())
    }

    pub fn pager(&self, pager: &Pagerduty) -> String {
        let key = self.file("pager", &pager.key);
        format!("[channel.pager]\nkind = \"pagerduty\"\napi = {:?}\nrouting_key = {key}\n", pager.url())
    }

    pub fn slack(&self, slack: &Slack, more: &str) -> String {
        let (token, secret) = (self.file("slack", TOKEN), self.file("signing", SIGNING_SECRET));
        format!(
            "[channel.chat]\nkind = \"slack\"\napi = {:?}\ntoken = {token}\nsigning_secret = {secret}\n\
             to = \"{CONVERSATION}\"\nteam = \"{TEAM}\"\napp = \"{APP}\"\n{more}\n",
            slack.url()
        )
    }

    /// Without a signing secret: all that Slack has to say comes over our own connection.
    pub fn slack_by_socket(&self, slack: &Slack, more: &str) -> String {
        let token = self.file("app", APP_TOKEN);
        let text = self.slack(slack, more);
        let lines = text.lines().map(|line| match line.starts_with("signing_secret") {
            true => format!("app_token = {token}\n"),
            false => format!("{line}\n"),
        });
        lines.collect()
    }

    pub fn mail(&self, mail: &Mail) -> String {
        let tls = match &mail.ca {
            Some(ca) => format!("tls = \"starttls\"\nca = {:?}", Path::new(ca)),
            None => "tls = \"none\"".to_owned(),
        };
        format!(
            "[channel.mail]\nkind = \"email\"\nsmtp = \"{}\"\n{tls}\nfrom = \"Pointsman <pm@example.test>\"\n\
             to = [\"ops@example.test\", \"lead@example.test\"]\n",
            mail.listen
        )
    }
}
