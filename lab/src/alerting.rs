//! A real Alertmanager (or two, which do not know each other) that posts to the responder, and a real
//! Prometheus that watches the shops. Most tests fire alerts at Alertmanager directly and skip Prometheus.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::json;

use crate::children::{Child, Spec};
use crate::net::{Port, PortBlock, http, wait_http};
use crate::site::{Site, at};

/// Where alerts go and how often.
#[derive(Clone)]
pub struct AlertingOptions {
    pub webhook: String,
    pub auth: WebhookAuth,
    /// One, or two without gossip.
    pub alertmanagers: usize,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
}

/// What the webhook's owner demands.
#[derive(Clone)]
pub enum WebhookAuth {
    None,
    Bearer(String),
    Basic { user: String, password: String },
}

impl AlertingOptions {
    pub fn new(webhook: impl Into<String>) -> AlertingOptions {
        AlertingOptions {
            webhook: webhook.into(),
            auth: WebhookAuth::None,
            alertmanagers: 1,
            group_wait: Duration::ZERO,
            group_interval: Duration::from_secs(1),
            repeat_interval: Duration::from_secs(3600),
        }
    }

    pub fn bearer(mut self, token: &str) -> AlertingOptions {
        self.auth = WebhookAuth::Bearer(token.to_owned());
        self
    }

    fn config(&self) -> String {
        // JSON is YAML, and quotes whatever the token holds.
        let auth = match &self.auth {
            WebhookAuth::None => json!({}),
            WebhookAuth::Bearer(token) => json!({"authorization": {"type": "Bearer", "credentials": token}}),
            WebhookAuth::Basic { user, password } => {
                json!({"basic_auth": {"username": user, "password": password}})
            }
        };
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        let webhook = json!({"url": self.webhook, "send_resolved": true, "http_config": auth});
        json!({
            "global": {"resolve_timeout": "30s"},
            "route": {
                "receiver": "responder",
                "group_by": ["alertname", "site"],
                "group_wait": millis(self.group_wait),
                "group_interval": millis(self.group_interval),
                "repeat_interval": millis(self.repeat_interval),
            },
            "receivers": [{"name": "responder", "webhook_configs": [webhook]}],
        })
        .to_string()
    }
}

/// One Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    pub addr: SocketAddr,
    child: Child,
    argv: Vec<String>,
    log: PathBuf,
}

impl Alertmanager {
    pub(crate) async fn start(
        lab: &Path,
        ports: &PortBlock,
        n: usize,
        options: &AlertingOptions,
    ) -> anyhow::Result<Alertmanager> {
        let port = if n == 0 { Port::Alertmanager1 } else { Port::Alertmanager2 };
        let addr = at(Site::Par.ip(9), ports.get(port));
        let dir = lab.join(format!("alertmanager-{n}"));
        std::fs::create_dir_all(&dir)?;
        let config = dir.join("config.yml");
        std::fs::write(&config, options.config())?;
        let argv = vec![
            "prometheus-alertmanager".to_owned(),
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", dir.join("data").display()),
            format!("--web.listen-address={addr}"),
            "--cluster.listen-address=".to_owned(),
            format!("--web.external-url=http://{addr}/"),
        ];
        let log = lab.join(format!("log/alertmanager-{n}.log"));
        let child = Child::spawn(Spec::new("alertmanager", argv.clone(), log.clone()))?;
        let alertmanager = Alertmanager { addr, child, argv, log };
        alertmanager.wait_ready().await?;
        Ok(alertmanager)
    }

    async fn wait_ready(&self) -> anyhow::Result<()> {
        let what = format!("Alertmanager (log: {})", self.log.display());
        wait_http(&what, &format!("{}/-/ready", self.url()), Duration::from_secs(15)).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    /// Starts it again with the data it had.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = Child::spawn(Spec::new("alertmanager", self.argv.clone(), self.log.clone()))?;
        self.wait_ready().await
    }

    /// An alert that fires since then.
    pub async fn fire(&self, labels: &[(&str, &str)], starts_at: SystemTime) -> anyhow::Result<()> {
        self.post(labels, starts_at, starts_at.max(SystemTime::now()) + Duration::from_secs(3600)).await
    }

    /// The same alert (by its labels and start) resolved a second ago.
    pub async fn resolve(&self, labels: &[(&str, &str)], starts_at: SystemTime) -> anyhow::Result<()> {
        self.post(labels, starts_at, SystemTime::now()).await
    }

    async fn post(
        &self,
        labels: &[(&str, &str)],
        starts: SystemTime,
        ends: SystemTime,
    ) -> anyhow::Result<()> {
        let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
        let summary = json!({"summary": "fired by the lab"});
        let alert = json!({
            "labels": labels, "annotations": summary, "startsAt": rfc3339(starts)?, "endsAt": rfc3339(ends)?,
        });
        let post = http()?.post(format!("{}/api/v2/alerts", self.url())).json(&json!([alert])).send();
        let answer = post.await.context("posting an alert")?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "Alertmanager said {status}: {}", answer.text().await?);
        Ok(())
    }
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339(time: SystemTime) -> anyhow::Result<String> {
    let since = time.duration_since(UNIX_EPOCH).context("a time before 1970")?;
    let (days, second) = (i64::try_from(since.as_secs() / 86_400)?, since.as_secs() % 86_400);
    // Civil date from days, in the calendar that begins in March of the year 0.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Ok(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since.subsec_millis()
    ))
}

/// Prometheus with the rule `SiteDown`.
#[derive(Debug)]
pub struct Prometheus {
    pub addr: SocketAddr,
    _child: Child,
}

impl Prometheus {
    /// Watches the shops of the origin; `SiteDown` fires for it two seconds after it stopped serving.
    pub(crate) async fn start(
        lab: &Path,
        ports: &PortBlock,
        shops: &[(Site, SocketAddr)],
        alertmanagers: &[SocketAddr],
    ) -> anyhow::Result<Prometheus> {
        let addr = at(Site::Par.ip(9), ports.get(Port::Prometheus));
        let dir = lab.join("prometheus");
        std::fs::create_dir_all(&dir)?;
        let targets: Vec<_> = shops
            .iter()
            .map(|(site, addr)| json!({"targets": [addr], "labels": {"site": site.name()}}))
            .collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "shop", "static_configs": targets}],
        });
        let origin = Site::Gra;
        let rule = json!({
            "alert": "SiteDown",
            "expr": format!(
                "up{{job=\"shop\",site=\"{origin}\"}} == 0 or \
                 shop_last_write_age_seconds{{job=\"shop\",site=\"{origin}\"}} > 2"
            ),
            "for": "2s",
            "labels": {"severity": "critical", "service": "shop", "site": origin.name()},
            "annotations": {"summary": "the shop does not serve in {{ $labels.site }}"},
        });
        std::fs::write(dir.join("prometheus.yml"), config.to_string())?;
        std::fs::write(
            dir.join("rules.yml"),
            json!({"groups": [{"name": "shop", "rules": [rule]}]}).to_string(),
        )?;
        let argv = [
            "prometheus".to_owned(),
            format!("--config.file={}", dir.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            "--storage.tsdb.retention.time=1h".to_owned(),
            format!("--web.listen-address={addr}"),
        ];
        let child = Child::spawn(Spec::new("prometheus", argv, lab.join("log/prometheus.log")))?;
        let prometheus = Prometheus { addr, _child: child };
        let url = format!("http://{addr}/-/ready");
        wait_http("Prometheus", &url, Duration::from_secs(15)).await?;
        prometheus.wait_first_scrapes(shops.len()).await?;
        Ok(prometheus)
    }

    /// The first scrape comes after some seconds, spread by a hash.
    async fn wait_first_scrapes(&self, shops: usize) -> anyhow::Result<()> {
        let url = format!("http://{}/api/v1/targets", self.addr);
        let client = http()?;
        crate::net::wait_until("the first scrape of each shop", Duration::from_secs(30), || async {
            let answer: serde_json::Value = client.get(&url).send().await?.json().await?;
            let targets = answer["data"]["activeTargets"].as_array().context("no targets")?;
            Ok(targets.iter().filter(|target| target["health"] == "up").count() == shops)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_year_ends() {
        let text = |secs: u64| rfc3339(UNIX_EPOCH + Duration::from_millis(secs * 1000 + 7)).expect("a date");
        assert_eq!(text(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(text(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(text(1_735_689_599), "2024-12-31T23:59:59.007Z");
        assert_eq!(text(1_795_219_200), "2026-11-21T00:00:00.007Z");
    }
}
