//! A certificate authority of the lab and one server certificate for all addresses on which PostgreSQL and Redis are
//! reached. Called before they start.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::children::run;
use crate::files;
use crate::site::Site;

/// Paths of what was made.
#[derive(Clone, Debug)]
pub struct Tls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

const EXTENSIONS: &str = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n";

/// A new key on a curve that every client knows, without a passphrase.
const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30";

pub async fn make(dir: &Path) -> anyhow::Result<Tls> {
    std::fs::create_dir_all(dir)?;
    let path = |name: &str| dir.join(name);
    let ca = format!("req -x509 {NEW_KEY} -subj /CN=lab-ca -out ca.crt -keyout ca.key");
    openssl(dir, &ca).await.context("making the lab's CA")?;
    let sites = [Site::Gra, Site::Sbg, Site::Par].into_iter();
    let addresses = sites.flat_map(|site| [site.postgres(), site.redis()]).map(|ip| format!("IP:{ip}"));
    let addresses: Vec<String> = addresses.collect();
    let names = format!("{EXTENSIONS}subjectAltName={},IP:127.0.0.1,DNS:localhost\n", addresses.join(","));
    std::fs::write(path("server.ext"), names)?;
    let request = format!("req -new {NEW_KEY} -subj /CN=lab-postgres -out server.csr -keyout server.key");
    openssl(dir, &request).await.context("making the server's key")?;
    let sign =
        "x509 -req -days 30 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile server.ext";
    openssl(dir, &format!("{sign} -out server.crt")).await.context("signing the server's certificate")?;
    std::fs::set_permissions(path("server.key"), PermissionsExt::from_mode(0o600))?;
    files::give_to_postgres(&path("server.key"))?;
    Ok(Tls { ca: path("ca.crt"), cert: path("server.crt"), key: path("server.key") })
}

/// Runs openssl in the folder, so that its words are file names without folders.
async fn openssl(dir: &Path, words: &str) -> anyhow::Result<()> {
    let dir = dir.display().to_string();
    let argv: Vec<&str> = ["env", "-C", &dir, "openssl"].into_iter().chain(words.split(' ')).collect();
    run(&argv, &[]).await?;
    Ok(())
}
