//! The stage: every server of the lab, Pointsman beside them, and the wait until all is quiet.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::Flags;
use super::event::{Kill, now_micros};
use super::screen::{Screen, Tone};
use crate::dns::ZONE;
use crate::net::wait_until;
use crate::pointsman::{Edit, Options, PLAYBOOK, Pointsman};
use crate::zabbix::{Item, Zabbix};
use crate::{DnsOptions, Lab, Loss, PostgresOptions, Site, orders};

/// Alerts must stand this long, seen by Pointsman's own eyes, before a run opens.
const CONFIRMED_FOR: Duration = Duration::from_secs(5);
/// When the supervisor starts a primary that has died.
const SUPERVISOR: Duration = Duration::from_secs(20);
/// The longest that the resolver keeps an answer.
const RESOLVER_TTL: u32 = 2;
/// With which Zabbix signs.
const SECRET: &str = "the demo's own secret";
/// The machine of the primary.
pub const MACHINE: &str = "pg-gra-host";

pub struct Stage {
    // Dropped first: it watches the lab.
    pub pointsman: Pointsman,
    zabbix: Option<Zabbix>,
    pub lab: Lab,
}

/// A Zabbix, and what Pointsman must know of it.
async fn start_zabbix(screen: &Screen, options: &mut Options) -> anyhow::Result<Zabbix> {
    screen.plain("Starting Zabbix; its database is filled once on a machine, which takes a minute ...");
    let zabbix = Zabbix::start().await?;
    let token = zabbix.token().await?;
    options.targets = format!(
        "[sources.zabbix]\nsigning_secret = {{ file = {:?} }}\nzabbix = [{:?}]\nbearer = {{ file = {:?} }}\n",
        zabbix.keep("secret", SECRET)?,
        zabbix.url(),
        zabbix.keep("token", &token)?,
    );
    let shipped = "alertmanager: { alertname: SiteDown, site: gra, severity: \"=~critical|page\" }";
    let ours = "zabbix: { tag.service: shop, tag.site: gra, severity: \">=high\" }";
    options.edits.push(Edit::new(shipped, ours));
    Ok(zabbix)
}

/// The port of the primary, every second.
async fn watch(zabbix: &Zabbix, pointsman: &Pointsman, lab: &Lab) -> anyhow::Result<()> {
    let primary = Item::Port(lab.postgres().address(Site::Gra));
    let tags = [("service", "shop"), ("site", "gra")];
    let every = Duration::from_secs(30);
    let watched = zabbix.tells(&pointsman.url(), SECRET, primary, &tags, every).await?;
    zabbix.wait_value(&watched, "1").await
}

impl Stage {
    pub async fn build(screen: &Screen, flags: Flags) -> anyhow::Result<Stage> {
        screen.plain("Starting two small regions of real servers on this machine (some seconds) ...");
        // Real flushes on a real disk: the times that are shown are to mean something.
        // A machine that is lost starts nothing again.
        let restart_after = (!flags.host_lost).then_some(SUPERVISOR);
        let postgres = PostgresOptions { fsync: true, restart_after, ..PostgresOptions::default() };
        let builder = Lab::builder().postgres_with(postgres).apps().hosts().dns_with(DnsOptions::default());
        let mut lab = builder.resolver(RESOLVER_TTL).blackbox().on_disk().start().await?;
        let mut options = Options { confirmed_for: CONFIRMED_FOR, ..Options::default() };
        let zabbix = match flags.zabbix {
            true => Some(start_zabbix(screen, &mut options).await.context("starting Zabbix")?),
            false => None,
        };
        let pointsman = Pointsman::start(&lab, &options).await.context("starting Pointsman")?;
        match &zabbix {
            Some(zabbix) => watch(zabbix, &pointsman, &lab).await.context("setting Zabbix up")?,
            None => {
                lab.start_alertmanagers(&pointsman.alerting()).await?;
                lab.start_prometheus().await?;
            }
        }
        let stage = Stage { pointsman, zabbix, lab };
        stage.addresses(screen);
        Ok(stage)
    }

    pub fn addresses(&self, screen: &Screen) {
        let lab = &self.lab;
        let shop = |site| lab.apps().at(site).addr;
        screen.heading("Where everything is");
        for (site, what) in [(Site::Gra, "primary"), (Site::Sbg, "standby")] {
            let database = lab.postgres().address(site);
            screen.row(
                site.name(),
                &format!("PostgreSQL {what} {database}   shop http://{}/healthz", shop(site)),
            );
        }
        let (dns, resolver) = (lab.dns(), lab.resolver().addr());
        screen.row(
            "name",
            &format!("{ZONE}, served by {} and {}, resolver {resolver}", dns.primary, dns.secondary),
        );
        match &self.zabbix {
            Some(zabbix) => screen.row("Zabbix", zabbix.url().trim_end_matches("api_jsonrpc.php")),
            None => {
                screen.row("Prometheus", &format!("http://{}", lab.prometheus().addr));
                let alertmanagers: Vec<String> = lab.alertmanagers().iter().map(|am| am.url()).collect();
                screen.row("Alertmgr", &alertmanagers.join(", "));
            }
        }
        screen.row("Pointsman", &format!("{}   mode auto, playbook {PLAYBOOK}", self.pointsman.url()));
        screen.row("files", &format!("{}", lab.dir().display()));
    }

    /// Who notices the outage.
    pub fn told_by(&self) -> &'static str {
        match self.zabbix {
            Some(_) => "Zabbix through its media type",
            None => "Prometheus through Alertmanager",
        }
    }

    /// What the time before the alert is made of.
    pub fn patience(&self) -> &'static str {
        match self.zabbix {
            Some(_) => "Zabbix knocks every second, and its escalator looks every 3 s",
            None => "Prometheus scrapes, and waits 2 s",
        }
    }

    /// How to look at it, and to decide, from another terminal.
    pub async fn credentials(&self, screen: &Screen) -> anyhow::Result<()> {
        let token = self.pointsman.token("incident-lead", "demo").await?;
        let program = self.pointsman.binary().parent().context("the program lies in a folder")?;
        let text = format!(
            "export POINTSMAN_SERVER={}\nexport POINTSMAN_TOKEN={token}\nexport PATH={}:$PATH\n",
            self.pointsman.url(),
            program.display(),
        );
        let file = self.lab.dir().join("pointsman/env");
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;
        screen.row("look", &format!(". {}; pointsman status", file.display()));
        Ok(())
    }

    /// Orders flow, no run is open, every probe is known to be up from every place.
    pub async fn wait_quiet(&self, screen: &Screen) -> anyhow::Result<()> {
        let flows = || async { Ok(orders::acknowledged(self.lab.apps())?.len() > 40) };
        wait_until("orders to flow", Duration::from_secs(20), flows).await?;
        self.pointsman.wait_probes_known(Duration::from_secs(40)).await?;
        let said = self.pointsman.cli(&["status", "-o", "json"]).await?;
        let status: Value = serde_json::from_str(&said).context("`pointsman status -o json`")?;
        let says = status["says"].as_str().context("a status without words")?;
        anyhow::ensure!(says.starts_with("quiet"), "not quiet before the story begins: {says}");
        screen.heading("Before");
        let orders = orders::acknowledged(self.lab.apps())?.len();
        screen.row("shop", &format!("{orders} orders acknowledged so far, one every 50 ms in each region"));
        screen.row("status", says);
        screen.row(
            "probes",
            "known to be up, from 3 of 3 vantages; a plan made now is refused, since the origin is up",
        );
        Ok(())
    }

    pub async fn lose_machine(&mut self) -> anyhow::Result<()> {
        self.lab.hosts_mut().lose(MACHINE, Loss::Silent).await
    }

    /// The first process of the primary's server gets SIGKILL.
    pub async fn kill_primary(&self, screen: &Screen) -> anyhow::Result<Kill> {
        screen.heading("The story, in seconds since the kill");
        let pid = self.lab.postgres().postmaster(Site::Gra)?;
        let sent = now_micros();
        self.lab.postgres().kill9(Site::Gra)?;
        let kill = Kill { sent, gone: now_micros() };
        let words = format!("SIGKILL to the primary in gra (process {pid})");
        screen.event(0.0, "kill", &words, Tone::Bad);
        Ok(kill)
    }
}
