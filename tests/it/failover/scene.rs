//! What the tests of whole failovers share: the lab with Pointsman beside it, and the questions that are asked at the
//! end of each.

use crate::canary;
use anyhow::{Context, Result, ensure};
use lab::net::wait_until;
use lab::pointsman::{Options, Record};
use lab::{Checker, Lab, Pointsman, PostgresOptions, Role, Site, orders};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const LABELS: [(&str, &str); 3] = [("alertname", "SiteDown"), ("site", "gra"), ("severity", "critical")];
pub const MACHINE: &str = "pg-gra-host";
pub const ZONE: &str = lab::dns::ZONE;
/// From the alert to the end of a run, on two busy cores.
pub const FINISHED: Duration = Duration::from_secs(90);

/// How the scene differs from the usual one.
pub struct Setup {
    pub options: Options,
    pub restart_after: Option<Duration>,
    /// How often Alertmanager says the same again.
    pub repeat: Duration,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { options: Options::default(), restart_after: None, repeat: Duration::from_secs(3600) }
    }
}

/// Dropped in this order.
pub struct Scene {
    pub pointsman: Pointsman,
    pub checker: Checker,
    pub lab: Lab,
}

/// Sets the scene and plays; a failure comes with the journal and the log.
pub async fn play(setup: Setup, test: impl AsyncFnOnce(&mut Scene) -> Result<()>) {
    let mut scene = match Scene::set(&setup).await {
        Ok(scene) => scene,
        Err(error) => panic!("the scene cannot be set: {error:#}"),
    };
    if let Err(error) = test(&mut scene).await {
        panic!("{error:#}\n\n{}", scene.pointsman.story().await);
    }
    scene.says_no_secret();
}

impl Scene {
    async fn set(setup: &Setup) -> Result<Scene> {
        let postgres = PostgresOptions { restart_after: setup.restart_after, ..PostgresOptions::default() };
        let builder = Lab::builder().postgres_with(postgres).apps().hosts().dns().resolver(1).blackbox();
        let mut lab = builder.start().await?;
        let pointsman = Pointsman::start(&lab, &setup.options).await?;
        let repeat = |alerting| lab::AlertingOptions { repeat_interval: setup.repeat, ..alerting };
        lab.start_alertmanagers(&repeat(pointsman.alerting())).await?;
        if setup.options.alertmanagers > 1 {
            lab.start_alertmanagers(&repeat(pointsman.alerting_basic())).await?;
        }
        pointsman.wait_probes_known(Duration::from_secs(60)).await?;
        let checker = lab.start_checker();
        let writes = || async { Ok(checker.stretches().iter().any(|stretch| stretch.writes > 5)) };
        wait_until("the checker to write", Duration::from_secs(10), writes).await?;
        Ok(Scene { pointsman, checker, lab })
    }

    /// Neither the journal with all beside it, nor the log.
    fn says_no_secret(&mut self) {
        self.pointsman.kill9();
        for role in [Role::Pointsman, Role::PointsmanLimited, Role::Shop, Role::Replication] {
            canary::plant(role.password());
        }
        canary::plant(&self.lab.dns().update_key.secret);
        canary::plant(self.pointsman.client.token());
        canary::none_in("the log", &self.pointsman.log());
        canary::sweep(&[self.pointsman.data_dir()]);
    }

    /// Kills the primary and waits until users notice: an alert comes no earlier. Gives the time of the end, in
    /// microseconds since the epoch.
    pub async fn kill_primary(&self) -> Result<i64> {
        self.lab.postgres().kill9(Site::Gra)?;
        let gone = now_micros();
        self.users_notice().await?;
        Ok(gone)
    }

    pub async fn users_notice(&self) -> Result<()> {
        let noticed = || async { Ok(self.lab.apps().at(Site::Gra).healthz(false).await? == 503) };
        wait_until("the shop's health page to turn red", Duration::from_secs(15), noticed).await
    }

    /// The alert, at the first Alertmanager.
    pub async fn fire(&self) -> Result<SystemTime> {
        let since = SystemTime::now();
        self.lab.alertmanagers()[0].fire(&LABELS, since).await?;
        Ok(since)
    }

    /// Waits for the end of the only run; gives the body of its last record.
    pub async fn finished(&self) -> Result<Value> {
        let over = |records: &[Record]| records.iter().any(|record| record.kind == "finished");
        self.pointsman.wait_for("the run to finish", FINISHED, over).await?;
        let ends = self.pointsman.records("finished").await?;
        ensure!(ends.len() == 1, "{} runs finished", ends.len());
        Ok(ends[0].body.clone())
    }

    pub async fn succeeded(&self) -> Result<Value> {
        let end = self.finished().await?;
        ensure!(end["outcome"] == "succeeded", "the run ended otherwise: {end}");
        Ok(end)
    }

    /// The application in sbg had orders acknowledged after that time.
    pub async fn serves_after(&self, micros: i64) -> Result<()> {
        let ours = |order: &orders::Lost| order.site == "sbg" && order.acked_at_micros > micros;
        let served = || async { Ok(orders::acknowledged(self.lab.apps())?.iter().any(ours)) };
        wait_until("an order in sbg after the outage", Duration::from_secs(10), served).await
    }

    /// The public name is there at both authoritative servers.
    pub async fn name_is_at(&self, site: Site) -> Result<()> {
        let dns = self.lab.dns();
        for server in [dns.primary, dns.secondary] {
            let seen = dns.values(server, ZONE, "A").await?;
            ensure!(seen == [site.app(0).to_string()], "{server} says {seen:?}");
        }
        Ok(())
    }

    /// Which timeline the server writes.
    pub async fn timeline(&self, site: Site) -> Result<u32> {
        let name = self.lab.postgres().ask(site, "select pg_walfile_name(pg_current_wal_lsn())").await?;
        u32::from_str_radix(name.get(..8).context("no name of a WAL file")?, 16).context("no timeline")
    }

    /// Two clients that write all the time were never both accepted, and each was accepted where it should be.
    pub fn one_writer(&self) -> Result<()> {
        let [gra, sbg] = self.checker.attempts();
        ensure!(gra > 20 && sbg > 20, "the checker hardly tried: {gra} in gra, {sbg} in sbg");
        self.checker.assert_never_two_writers()?;
        let nodes: Vec<Site> = self.checker.stretches().iter().map(|stretch| stretch.node).collect();
        ensure!(nodes.contains(&Site::Gra), "the checker never wrote in gra");
        Ok(())
    }

    /// No order is lost that Pointsman called safe. Gives the number of those that are lost.
    pub async fn loss_is_as_told(&self, end: &Value) -> Result<usize> {
        let safe = end["rpo"]["last_safe"].as_i64().with_context(|| format!("no last safe time in {end}"))?;
        let lost = self.lab.lost_orders(Site::Sbg).await?;
        for order in &lost {
            ensure!(order.acked_at_micros > safe, "{order:?} is lost, but safe was everything before {safe}");
        }
        Ok(lost.len())
    }

    /// How often the standby was told to become the primary, and how often that ended as applied.
    pub async fn promotions(&self) -> Result<(usize, usize)> {
        let journal = self.pointsman.journal().await?;
        let intents: Vec<_> =
            journal.iter().filter(|record| record.action() == Some("postgres.promote")).collect();
        let items: Vec<_> = intents.iter().filter_map(|record| record.call()).map(|call| call.item).collect();
        let ours = |record: &&Record| record.call().is_some_and(|call| items.contains(&call.item));
        Ok((intents.len(), journal.iter().filter(|record| record.is_applied()).filter(ours).count()))
    }

    /// Nothing at all was changed: no intent, the same primary, the same name, no mask.
    pub async fn nothing_changed(&self) -> Result<()> {
        let intents = self.pointsman.records("intended").await?;
        ensure!(intents.is_empty(), "there are intents: {:?}", intents[0].says);
        ensure!(!self.lab.postgres().is_in_recovery(Site::Gra).await?, "gra is no primary any more");
        ensure!(self.lab.postgres().is_in_recovery(Site::Sbg).await?, "sbg was promoted");
        let status = self.lab.hosts().ssh(MACHINE, "status").await?.stdout;
        ensure!(status.contains("running") && status.contains("not masked"), "the old machine: {status}");
        self.name_is_at(Site::Gra).await?;
        let before = orders::acknowledged(self.lab.apps())?.len();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = orders::acknowledged(self.lab.apps())?.len();
        ensure!(after > before, "no orders flow: {before}, then {after}");
        Ok(())
    }

    pub async fn verifies(&self) -> Result<()> {
        let says = self.pointsman.verify().await.context("audit verify")?;
        ensure!(says.contains("verified"), "{says}");
        Ok(())
    }
}

pub fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
