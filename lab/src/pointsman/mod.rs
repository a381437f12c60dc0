//! A real `pointsman serve` that watches the lab: its configuration, its playbook, its tokens, its process. The
//! demo and the tests of whole failovers start it, kill it, ask it, and read its journal.

mod binary;
mod client;
mod config;
mod playbook;
mod record;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

pub use client::{Client, Follower, Refused};
pub use playbook::{Edit, PLAYBOOK, SERVICE, SWITCHOVER};
pub use record::{Call, Record};

use crate::alerting::{AlertingOptions, WebhookAuth};
use crate::children::{Child, Spec, run};
use crate::postgres::Role as DatabaseRole;
use crate::{Apart, Lab, net};
use serde_json::Value;

/// How long a start may take before it counts as failed.
const READY: Duration = Duration::from_secs(20);
/// The spare ports of the lab on which the first one listens, and another.
const SPARE: u16 = 0;
const SPARE_OF_ANOTHER: u16 = 1;
const FIRST: &str = "pointsman";

/// What differs from one test to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder in the lab. Another name makes another Pointsman, with a journal of its own.
    pub name: &'static str,
    pub mode: &'static str,
    pub confirmed_for: Duration,
    /// The role with which Pointsman administers the databases.
    pub database_role: DatabaseRole,
    /// Reaches the primary of gra only through the lab's proxy, so that this one road can be cut.
    pub gra_through_proxy: bool,
    /// Sends updates of the zone through the lab's gate, so that an answer can be lost.
    pub dns_through_gate: bool,
    /// Runs in a network of its own (needs root), so that its roads alone can break.
    pub apart: bool,
    /// How many Alertmanagers it may ask; as many as the test starts.
    pub alertmanagers: usize,
    /// More changes to the shipped playbook, after those that every lab needs.
    pub edits: Vec<Edit>,
    /// More of `pointsman.toml`: targets that only this test has.
    pub targets: String,
    /// The planned move of the same service as well, with these changes to it.
    pub switchover: Option<Vec<Edit>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: FIRST,
            mode: "auto",
            confirmed_for: Duration::ZERO,
            database_role: DatabaseRole::Pointsman,
            gra_through_proxy: false,
            dns_through_gate: false,
            apart: false,
            alertmanagers: 1,
            edits: Vec::new(),
            targets: String::new(),
            switchover: None,
        }
    }
}

/// Pointsman beside the lab; stopped when dropped. Make it after the lab, so that it goes before it.
#[derive(Debug)]
pub struct Pointsman {
    binary: PathBuf,
    dir: PathBuf,
    log: PathBuf,
    argv: Vec<String>,
    env: Vec<(&'static str, String)>,
    address: SocketAddr,
    source_token: String,
    /// With the role admin.
    pub client: Client,
    child: Option<Child>,
    /// Its own network, where it has one.
    pub apart: Option<Apart>,
}

/// What one Pointsman reads, and where it lives.
struct Own {
    dir: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    config: String,
    playbooks: Vec<(&'static str, String)>,
    env: Vec<(&'static str, String)>,
    /// Words before its own command line.
    around: Vec<String>,
}

impl Pointsman {
    /// Writes what it needs, starts it, and waits until it is ready.
    pub async fn start(lab: &Lab, options: &Options) -> anyhow::Result<Pointsman> {
        let dir = lab.dir().join(options.name);
        std::fs::create_dir_all(&dir)?;
        let mut playbooks = vec![("shop.yaml", playbook::text(lab, options)?)];
        if let Some(more) = &options.switchover {
            playbooks.push(("switchover.yaml", playbook::switchover(lab, options, more)?));
        }
        let port = lab.spare_port(if options.name == FIRST { SPARE } else { SPARE_OF_ANOTHER });
        let apart = match options.apart {
            true => Some(Apart::start(&lab.dir().join("log"), lab.ports()).await.context("a network apart")?),
            false => None,
        };
        let ip = apart.as_ref().map_or(Ipv4Addr::LOCALHOST, Apart::ip);
        let mut around = apart.as_ref().map(Apart::prefix).unwrap_or_default();
        around.extend(lab.resolver().prefix());
        let own = Own {
            config: config::text(lab, options, &dir)?,
            playbooks,
            env: config::environment(lab),
            log: lab.dir().join(format!("log/{}.log", options.name)),
            address: SocketAddr::new(IpAddr::V4(ip), port),
            around,
            dir,
        };
        Pointsman::launch(own, apart).await
    }

    /// Beside something else than the whole lab, with what it shall read.
    pub async fn beside(
        folder: &Path,
        port: u16,
        config: String,
        playbooks: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Pointsman> {
        let own = Own {
            config,
            playbooks,
            env: vec![("NO_COLOR", "1".to_owned())],
            log: folder.join(format!("{FIRST}.log")),
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            around: vec![],
            dir: folder.join(FIRST),
        };
        Pointsman::launch(own, None).await
    }

    async fn launch(own: Own, apart: Option<Apart>) -> anyhow::Result<Pointsman> {
        let (dir, address) = (own.dir.clone(), own.address);
        let playbooks = dir.join("playbooks");
        std::fs::create_dir_all(&playbooks)?;
        std::fs::create_dir_all(dir.join("data"))?;
        std::fs::write(dir.join("pointsman.toml"), &own.config)?;
        for (name, text) in &own.playbooks {
            std::fs::write(playbooks.join(name), text)?;
        }
        let binary = binary::find()?;
        let mut argv = own.around;
        argv.push(binary.display().to_string());
        let words = [
            "serve".to_owned(),
            format!("--config={}", dir.join("pointsman.toml").display()),
            format!("--data={}", dir.join("data").display()),
            format!("--playbooks={}", playbooks.display()),
            format!("--listen={address}"),
        ];
        argv.extend(words);
        let client = Client::new(address, "")?;
        let mut pointsman = Pointsman {
            log: own.log,
            env: own.env,
            source_token: String::new(),
            child: None,
            binary,
            address,
            dir,
            argv,
            client,
            apart,
        };
        for (name, _) in &own.playbooks {
            pointsman.check(&playbooks.join(name)).await?;
        }
        pointsman.source_token = pointsman.token("source", "alertmanager").await?;
        pointsman.client = Client::new(pointsman.address, &pointsman.token("admin", "lab").await?)?;
        pointsman.start_again().await?;
        Ok(pointsman)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn playbook_file(&self) -> PathBuf {
        self.dir.join("playbooks/shop.yaml")
    }

    /// What its process finds in its environment.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.env
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir.join("pointsman.toml")
    }

    /// Makes a token of that role; works while the server runs and while it does not.
    pub async fn token(&self, role: &str, name: &str) -> anyhow::Result<String> {
        let data = self.data_dir().display().to_string();
        let words = ["token", "create", "--data", &data, "--role", role, "--name", name];
        Ok(self.cli(&words).await?.trim().to_owned())
    }

    /// A client with a token of that role.
    pub async fn client_as(&self, role: &str, name: &str) -> anyhow::Result<Client> {
        Client::new(self.address, &self.token(role, name).await?)
    }

    /// The playbook has no errors in the eyes of `pointsman check`; those come with the error.
    async fn check(&self, playbook: &Path) -> anyhow::Result<()> {
        let config = self.config_file();
        let words = [self.binary.as_os_str(), "check".as_ref(), "--config".as_ref(), config.as_os_str()];
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]).arg(playbook);
        let output = command.output().context("running pointsman check")?;
        let said = [output.stdout, output.stderr].concat();
        anyhow::ensure!(output.status.success(), "pointsman check: {}", String::from_utf8_lossy(&said));
        Ok(())
    }

    /// Runs the command line to its end, whatever that is: its exit code, and all that it said.
    pub async fn cli_any(&self, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(words).env("POINTSMAN_SERVER", self.url()).env("POINTSMAN_TOKEN", self.client.token());
        command.env("NO_COLOR", "1").stdin(std::process::Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
        let output = ended.with_context(|| format!("pointsman {words:?} took too long"))??;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Runs the command line to its end and gives its stdout.
    pub async fn cli(&self, words: &[&str]) -> anyhow::Result<String> {
        self.cli_as(&self.client, words).await
    }

    /// The same with somebody else's token.
    pub async fn cli_as(&self, who: &Client, words: &[&str]) -> anyhow::Result<String> {
        let binary = self.binary.display().to_string();
        let argv: Vec<&str> = [binary.as_str()].into_iter().chain(words.iter().copied()).collect();
        let url = self.url();
        run(&argv, &[("POINTSMAN_SERVER", url.as_str()), ("POINTSMAN_TOKEN", who.token())]).await
    }

    /// Whether the journal on the disk verifies, in the words of the command line.
    pub async fn verify(&self) -> anyhow::Result<String> {
        let data = self.data_dir().display().to_string();
        self.cli(&["audit", "verify", "--data", &data]).await
    }

    /// Where an Alertmanager posts, with the source's token as bearer.
    pub fn alerting(&self) -> AlertingOptions {
        AlertingOptions::new(format!("{}/hooks/alertmanager", self.url())).bearer(&self.source_token)
    }

    /// The same, with the token as the password of basic authentication.
    pub fn alerting_basic(&self) -> AlertingOptions {
        let auth = WebhookAuth::Basic { user: "alertmanager".into(), password: self.source_token.clone() };
        AlertingOptions { auth, ..self.alerting() }
    }

    pub fn kill9(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill9();
        }
        self.child = None;
    }

    /// SIGTERM, and time to leave in order.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.stop();
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// From the next start on its wall clock is ahead by that much; no time passes for anybody else.
    pub fn set_clock_ahead(&mut self, by: Duration) -> anyhow::Result<()> {
        let library = faketime().context("libfaketime is not installed (Debian package libfaketime)")?;
        self.env.push(("LD_PRELOAD", library.display().to_string()));
        self.env.push(("FAKETIME", format!("+{}", by.as_secs())));
        self.env.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
        Ok(())
    }

    /// Starts it on the data it has, and waits until it is ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut spec = Spec::new("pointsman", self.argv.clone(), self.log.clone())
            .dir(&self.dir)
            .stop_with_term(Duration::from_secs(10));
        for (key, value) in &self.env {
            spec = spec.env(key, value);
        }
        let child = self.child.insert(Child::spawn(spec)?);
        let client = &self.client;
        let ready = net::wait_until("pointsman to be ready", READY, || async { client.is_ready().await });
        let ready = ready.await;
        child.must_run().and(ready).with_context(|| format!("its log ends with:\n{}", tail(&self.log)))
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.get(path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.client.post(path, body).await
    }

    pub async fn runs(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.client.get("/api/v1/runs").await?;
        answer["runs"].as_array().cloned().context("the answer has no list of runs")
    }

    pub async fn run(&self, id: &str) -> anyhow::Result<Value> {
        self.client.get(&format!("/api/v1/runs/{id}")).await
    }

    /// Every record so far, oldest first.
    pub async fn journal(&self) -> anyhow::Result<Vec<Record>> {
        self.client.journal(1).await
    }

    /// The records of one kind, oldest first.
    pub async fn records(&self, kind: &str) -> anyhow::Result<Vec<Record>> {
        Ok(self.journal().await?.into_iter().filter(|record| record.kind == kind).collect())
    }

    /// Waits until the journal is as asked.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        asked: impl Fn(&[Record]) -> bool,
    ) -> anyhow::Result<Vec<Record>> {
        let asked = &asked;
        let waited = net::wait_until(what, limit, || async move { Ok(asked(&self.journal().await?)) }).await;
        waited?;
        self.journal().await
    }

    /// Waits until every probe has been seen up from every vantage: a dry plan then finds the destination healthy and
    /// the origin alive.
    pub async fn wait_probes_known(&self, limit: Duration) -> anyhow::Result<()> {
        let body = serde_json::json!({ "playbook": PLAYBOOK });
        let body = &body;
        let known = || async move {
            let plan = self.post("/api/v1/plans", body).await?;
            let lines = plan["lines"].as_array().context("a plan without lines")?;
            let say = |words: &str| lines.iter().filter(|line| line.to_string().contains(words)).count();
            let (all, up) = (say("vantages say"), say("3 of 3 vantages say up"));
            anyhow::ensure!(up > 0 && up == all, "not every vantage votes yet: {plan}");
            Ok(true)
        };
        let waited = net::wait_until("every vantage to know every probe", limit, known).await;
        match waited {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.story().await)),
        }
    }

    /// The journal as people read it, and the end of the log: what a test prints when it fails.
    pub async fn story(&self) -> String {
        let records = match self.journal().await {
            Ok(records) => records,
            Err(error) => return format!("no journal: {error:#}\n{}", tail(&self.log)),
        };
        let first = records.first().map_or(0, |record| record.at);
        let line = |record: &Record| {
            let seconds = (record.at - first) as f64 / 1e6;
            format!("{seconds:9.3} {:>5} {:<17} {}", record.position, record.kind, record.says)
        };
        let lines: Vec<String> = records.iter().map(line).collect();
        format!("the journal:\n{}\nthe log ends with:\n{}", lines.join("\n"), tail(&self.log))
    }

    /// Everything that it wrote to stdout and stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Debian puts it into a folder of the architecture.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|file| file.is_file())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("tower_http")).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
