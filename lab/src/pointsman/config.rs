//! The lab's `pointsman.toml`: every real thing of the lab under the name that the playbook uses for it.
//! Passwords are in a file and in the environment, as users keep them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use super::Options;
use crate::Lab;
use crate::dns::ZONE;
use crate::net::Port;
use crate::postgres::{DATABASE, Role};
use crate::site::{REGIONS, Site, at};

/// What the process gets in its environment.
pub fn environment(lab: &Lab) -> Vec<(&'static str, String)> {
    vec![
        ("SHOP_PG", Role::Shop.password().to_owned()),
        ("TSIG", lab.dns().update_key.secret.clone()),
        ("NO_COLOR", "1".to_owned()),
    ]
}

pub fn text(lab: &Lab, options: &Options, dir: &Path) -> anyhow::Result<String> {
    let password = dir.join("pg-password");
    std::fs::write(&password, format!("{}\n", options.database_role.password()))?;
    std::fs::set_permissions(&password, PermissionsExt::from_mode(0o600))?;
    let mut text = format!("site = \"{}\"\n", Site::Par);
    for site in REGIONS {
        databases(&mut text, lab, options, site, &password)?;
        applications(&mut text, lab, site)?;
        probes(&mut text, lab, site)?;
    }
    machines(&mut text, lab)?;
    watching(&mut text, lab, options)?;
    text.push_str(&options.targets);
    Ok(text)
}

fn databases(
    text: &mut String,
    lab: &Lab,
    options: &Options,
    site: Site,
    password: &Path,
) -> anyhow::Result<()> {
    let through_proxy = site == Site::Gra && options.gra_through_proxy;
    let direct = lab.postgres().address(site);
    let address = if through_proxy { lab.postgres().pointsman.addr() } else { direct };
    write!(
        text,
        "\n[targets.pg-{site}]\nkind = \"postgres\"\nsite = \"{site}\"\naddress = \"{}\"\nport = {}\n\
         host = \"pg-{site}-host\"\nuser = \"{}\"\npassword = {{ file = \"{}\" }}\ntls = \"verify-full\"\n\
         ca = \"{}\"\napp_role = {{ user = \"{}\", password = {{ env = \"SHOP_PG\" }}, database = \"{DATABASE}\" }}\n",
        address.ip(),
        address.port(),
        options.database_role.user(),
        password.display(),
        lab.postgres().ca_file().display(),
        Role::Shop.user(),
    )
    .context("writing into a string")
}

fn applications(text: &mut String, lab: &Lab, site: Site) -> anyhow::Result<()> {
    let here = lab.apps().all().iter().filter(|app| app.site == site);
    let hosts: Vec<String> = here.map(|app| format!("\"{}\"", app.host)).collect();
    let hosts = hosts.join(", ");
    write!(text, "\n[targets.app-{site}]\nkind = \"hosts\"\nsite = \"{site}\"\nhosts = [{hosts}]\n")?;
    Ok(())
}

fn machines(text: &mut String, lab: &Lab) -> anyhow::Result<()> {
    let hosts = lab.hosts();
    for name in hosts.names() {
        let site = if name.contains("gra") { Site::Gra } else { Site::Sbg };
        write!(
            text,
            "\n[targets.{name}]\nkind = \"host\"\nsite = \"{site}\"\nssh = \"root@{}\"\nkey = \"{}\"\n\
             known_hosts = \"{}\"\n",
            hosts.address(&name),
            hosts.identity().display(),
            hosts.known_hosts().display(),
        )?;
    }
    Ok(())
}

/// The destination's shop uses the origin's database until it is pointed at its own: that it lives is all that can be
/// asked of it.
fn probes(text: &mut String, lab: &Lab, site: Site) -> anyhow::Result<()> {
    let page = if site == Site::Gra { "healthz" } else { "livez" };
    let (app, port) = (site.app(0), lab.apps().port());
    write!(
        text,
        "\n[probes.{site}-app]\nhttp = \"http://{ZONE}:{port}/{page}\"\nresolve_to = \"{app}\"\n\
         \n[probes.{site}-db]\ntcp = \"{}\"\n",
        lab.postgres().address(site),
    )?;
    Ok(())
}

/// The zone, the places to look from, and the source of alerts.
fn watching(text: &mut String, lab: &Lab, options: &Options) -> anyhow::Result<()> {
    let dns = lab.dns();
    let first = if options.dns_through_gate { dns.gate.addr } else { dns.primary };
    write!(
        text,
        "\n[targets.zone-shop]\nkind = \"rfc2136\"\nzone = \"{ZONE}\"\nservers = [\"{}\", \"{}\"]\n\
         tsig = {{ name = \"{}\", algorithm = \"hmac-sha256\", secret = {{ env = \"TSIG\" }} }}\n",
        first, dns.secondary, dns.update_key.name,
    )?;
    // The control targets are the exporters: an outage of what is watched does not touch them.
    let healthy = |site: Site| format!("http://{}/-/healthy", lab.blackbox(site).addr);
    let (par, sbg) = (lab.blackbox(Site::Par), lab.blackbox(Site::Sbg));
    write!(
        text,
        "\n[vantages.local]\ndomain = \"par-office\"\ncontrol = \"{}\"\n\
         \n[vantages.blackbox-par]\nblackbox = \"{}\"\ndomain = \"par-cloud\"\ncontrol = \"{}\"\n\
         \n[vantages.blackbox-sbg]\nblackbox = \"{}\"\ndomain = \"sbg\"\ncontrol = \"{}\"\n",
        healthy(Site::Par),
        par.probe_url(),
        healthy(Site::Sbg),
        sbg.probe_url(),
        healthy(Site::Par),
    )?;
    let ports = [Port::Alertmanager1, Port::Alertmanager2].into_iter().take(options.alertmanagers);
    let alertmanagers: Vec<String> = ports
        .map(|port| {
            let addr: SocketAddr = at(Site::Par.ip(9), lab.ports().get(port));
            format!("\"http://{addr}\"")
        })
        .collect();
    write!(text, "\n[sources.alertmanager]\napi = [{}]\n", alertmanagers.join(", "))?;
    Ok(())
}
