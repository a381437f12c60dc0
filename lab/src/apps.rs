//! The shop's processes, one per application machine, each under its machine's supervisor. Both regions begin
//! with the database of gra; a failover has to point sbg's at its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::children::{Child, Spec};
use crate::files;
use crate::host_config::{HostConfig, HostDir, Kind};
use crate::net::{Port, PortBlock, http, wait_http};
use crate::postgres::{DATABASE, Postgres, Role};
use crate::site::{REGIONS, Site, at};

/// The env file as the machine's users name it.
pub const ENV_FILE: &str = "/etc/shop/env";

/// One running shop.
#[derive(Debug)]
pub struct App {
    pub site: Site,
    /// Its machine, as in the ssh configuration.
    pub host: String,
    pub addr: SocketAddr,
    dir: HostDir,
    supervisor: Option<Child>,
    log: PathBuf,
}

/// All shops, origin's first.
#[derive(Debug)]
pub struct Apps {
    apps: Vec<App>,
    port: u16,
}

impl Apps {
    pub(crate) async fn start(
        lab: &Path,
        ports: &PortBlock,
        postgres: &Postgres,
        per_site: u8,
    ) -> anyhow::Result<Apps> {
        let port = ports.get(Port::App);
        let mut apps = Vec::new();
        for site in REGIONS {
            for n in 0..per_site {
                let mut app = App::make(lab, site, n, port, postgres)?;
                app.start()?;
                apps.push(app);
            }
        }
        for app in &apps {
            let url = format!("http://{}/healthz", app.addr);
            let what = format!("{} to write orders (log: {})", app.host, app.log.display());
            wait_http(&what, &url, Duration::from_secs(10)).await?;
        }
        Ok(Apps { apps, port })
    }

    /// The same on every machine: the public name says only an address.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn all(&self) -> &[App] {
        &self.apps
    }

    /// The first shop of a region: the one behind the public address.
    pub fn at(&self, site: Site) -> &App {
        let found = self.apps.iter().find(|app| app.site == site);
        found.unwrap_or_else(|| panic!("there is no shop in {site}"))
    }

    pub fn at_mut(&mut self, site: Site) -> &mut App {
        let found = self.apps.iter_mut().find(|app| app.site == site);
        found.unwrap_or_else(|| panic!("there is no shop in {site}"))
    }
}

impl App {
    fn make(lab: &Path, site: Site, n: u8, port: u16, postgres: &Postgres) -> anyhow::Result<App> {
        let host = format!("shop-{site}-{}", n + 1);
        let dir = HostDir::new(lab.join("hosts").join(&host));
        let log = lab.join("log").join(format!("{host}.log"));
        let addr = at(site.app(n), port);
        let app = App { site, host, addr, dir, supervisor: None, log };
        let work_dir = app.dir.0.join("work");
        std::fs::create_dir_all(&work_dir)?;
        let env = app.env_file();
        std::fs::create_dir_all(env.parent().context("the env file is in a folder")?)?;
        let text = format!(
            "# the shop\nDATABASE_HOST={}\nDATABASE_PORT={}\nDATABASE_NAME={DATABASE}\nDATABASE_USER={}\n\
             DATABASE_PASSWORD={}\n",
            Site::Gra.postgres(),
            postgres.port(),
            Role::Shop.user(),
            Role::Shop.password(),
        );
        std::fs::write(&env, text)?;
        let helper = files::lab_host_binary()?.display().to_string();
        let mut command = ["setpriv", "--pdeathsig", "KILL", "--", &helper, "app"].map(String::from).to_vec();
        let orders = app.orders_log();
        let own = [("--env", env.display()), ("--log", orders.display())];
        command.extend(own.iter().flat_map(|(flag, path)| [(*flag).to_owned(), path.to_string()]));
        command.extend(["--listen".into(), addr.to_string(), "--site".into(), site.to_string()]);
        app.dir.write_config(&HostConfig {
            name: app.host.clone(),
            kind: Kind::App { listen: addr, env: ENV_FILE.into() },
            command,
            work_dir,
            log: app.log.clone(),
            restart_after: Some(Duration::from_secs(1)),
        })?;
        Ok(app)
    }

    /// Starts the machine's supervisor, and so the shop.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let argv =
            [files::lab_host_binary()?.into_os_string(), "supervise".into(), self.dir.0.clone().into()];
        let log = self.log.with_extension("supervisor.log");
        let spec = Spec::new(&format!("supervisor of {}", self.host), argv, log);
        self.supervisor = Some(Child::spawn(spec.stop_with_term(Duration::from_secs(4)))?);
        Ok(())
    }

    /// Takes the shop away with its supervisor: nothing brings it back but [`App::start`].
    pub fn stop(&mut self) {
        self.supervisor = None;
    }

    /// The env file on the disk of the harness.
    pub fn env_file(&self) -> PathBuf {
        self.dir.root(ENV_FILE)
    }

    /// One line per acknowledged order: `id,unix microseconds of the acknowledgement,site`.
    pub fn orders_log(&self) -> PathBuf {
        self.dir.0.join("orders.log")
    }

    /// What the running process says about itself.
    pub async fn livez(&self) -> anyhow::Result<serde_json::Value> {
        Ok(http()?.get(format!("http://{}/livez", self.addr)).send().await?.json().await?)
    }

    /// The status of the shallow or the deep health page.
    pub async fn healthz(&self, deep: bool) -> anyhow::Result<u16> {
        let query = if deep { "?deep=1" } else { "" };
        let answer = http()?.get(format!("http://{}/healthz{query}", self.addr)).send().await?;
        Ok(answer.status().as_u16())
    }

    pub(crate) fn host_dir(&self) -> &HostDir {
        &self.dir
    }
}
