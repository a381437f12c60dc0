//! Clusters of the lab as targets of a configuration: each cluster, its members as servers of PostgreSQL, and their machines.

use lab::patroni::{API_PASSWORD, API_USER, host, member};
use lab::{Patroni, Site};
use std::path::Path;

/// One cluster as the configuration names it.
pub struct Side<'a> {
    pub name: &'a str,
    pub scope: &'a str,
    /// Of a cluster that stands in one place.
    pub site: Option<Site>,
    pub members: Vec<Site>,
}

/// The password of the REST API, as the configuration has it.
pub fn secret(dir: &Path) -> String {
    let file = dir.join("password");
    std::fs::write(&file, format!("{API_PASSWORD}\n")).unwrap();
    format!("{{ file = {file:?} }}")
}

/// The cluster. `api`: where each member's REST API is reached.
pub fn cluster(side: &Side<'_>, secret: &str, api: impl Fn(Site) -> String) -> String {
    let members = side.members.iter().map(|site| format!("{} = {:?}", member(*site), api(*site)));
    let site = side.site.map(|site| format!("site = \"{site}\"\n")).unwrap_or_default();
    format!(
        "[targets.{}]\nkind = \"patroni\"\n{site}scope = \"{}\"\nuser = \"{API_USER}\"\npassword = {secret}\n\
         members = {{ {} }}\n",
        side.name,
        side.scope,
        members.collect::<Vec<_>>().join(", ")
    )
}

/// Each member as a server of PostgreSQL; `of`: the cluster that it says to be in.
pub fn servers(patroni: &Patroni, members: &[Site], of: Option<&str>, hosts: &[Site]) -> String {
    let one = |site: &Site| {
        let (at, name) = (patroni.postgres(*site), member(*site));
        let member = of.map(|of| format!("patroni = \"{of}\"\nmember = \"{name}\"\n")).unwrap_or_default();
        let host = match hosts.contains(site) {
            true => format!("host = \"{}\"\n", host(*site)),
            false => String::new(),
        };
        format!(
            "[targets.{name}]\nkind = \"postgres\"\nsite = \"{site}\"\naddress = \"{}\"\nport = {}\nuser = \"pointsman\"\n\
             tls = \"disable\"\napp_role = {{ user = \"shop\", database = \"shop\" }}\n{member}{host}",
            at.ip(),
            at.port()
        )
    };
    members.iter().map(one).collect()
}

/// The machines that are reached over SSH.
pub fn machines(patroni: &Patroni, hosts: &[Site]) -> String {
    let one = |site: &Site| {
        let (name, ssh) = (host(*site), patroni.hosts());
        format!(
            "[targets.{name}]\nkind = \"host\"\nsite = \"{site}\"\nssh = \"root@{}\"\nkey = {:?}\nknown_hosts = {:?}\n",
            ssh.address(&name),
            ssh.identity(),
            ssh.known_hosts()
        )
    };
    hosts.iter().map(one).collect()
}
