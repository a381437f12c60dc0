//! Targets of kind `patroni`: one cluster that Patroni runs. Read by `target`; asked by `provider/patroni`.

use super::SecretRef;
use super::hosted::is_private;
use super::parse::secret;
use crate::document::{Table, code};
use crate::kernel::domain::Name;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct PatroniTarget {
    /// The cluster's name, as its members tell it.
    pub scope: String,
    /// Base URL of each member's REST API, by the member's name in the cluster.
    pub members: BTreeMap<Name, String>,
    /// Who may write there.
    pub login: Option<PatroniLogin>,
}

#[derive(Clone, Debug)]
pub struct PatroniLogin {
    pub user: String,
    pub password: SecretRef,
}

pub(super) fn read(table: &Table<'_>) -> Option<PatroniTarget> {
    let user = table.text("user");
    let password = secret(table, "password");
    if user.is_some() != table.get("password").is_some() {
        table.sink.error(code::MISSING, table.at.clone(), "\"user\" and \"password\" belong together");
    }
    if user.is_none() {
        let says = "without \"user\" and \"password\" whoever reaches the REST API can move the cluster";
        let hint = "set restapi.authentication in Patroni, and name it here";
        table.sink.warn(code::MISSING, table.at.clone(), says, hint);
    }
    table.need("members");
    let members = members(table, user.is_some());
    let scope = table.need_text("scope")?.to_owned();
    let login = user.zip(password).map(|(user, password)| PatroniLogin { user: user.to_owned(), password });
    Some(PatroniTarget { scope, members, login })
}

fn members(table: &Table<'_>, login: bool) -> BTreeMap<Name, String> {
    let mut members = BTreeMap::new();
    for entry in table.get("members").map(|node| node.entries()).unwrap_or_default() {
        let what = format!("members.{}", entry.key);
        let Some(given) = table.sink.text(&entry.value, &what) else { continue };
        let parsed = url::Url::parse(given).ok();
        let fine = parsed.is_some_and(|url| {
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let open = url.username().is_empty() && url.password().is_none();
            ["http", "https"].contains(&url.scheme()) && url.has_host() && bare && open
        });
        let says = match (fine, login && !is_private(given)) {
            (false, _) => format!("{what} must be the base URL of its REST API, like https://10.0.0.1:8008"),
            (true, true) => format!("{what} must be https: a credential is sent there"),
            (true, false) => {
                members.insert(Name::from(entry.key.as_str()), given.trim_end_matches('/').to_owned());
                continue;
            }
        };
        table.sink.error(code::BAD_VALUE, entry.value.at.clone(), says);
    }
    table.table("members");
    let two = members.values().find(|url| members.values().filter(|other| other == url).count() > 1);
    if let Some(url) = two {
        let says = format!("two members have the REST API {url}: one of them would never be looked at");
        table.sink.error(code::BAD_VALUE, table.key_at("members"), says);
    }
    if members.is_empty() && table.get("members").is_some_and(|node| node.entries().is_empty()) {
        table.sink.error(code::BAD_VALUE, table.key_at("members"), "\"members\" must name at least one");
    }
    members
}
