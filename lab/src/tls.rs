//! A certificate authority of the lab and one server certificate for all addresses on which PostgreSQL is reached.
//! Called once per lab, before PostgreSQL starts.

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

pub async fn make(dir: &Path) -> anyhow::Result<Tls> {
    std::fs::create_dir_all(dir)?;
    let path = |name: &str| dir.join(name);
    let text = |name: &str| dir.join(name).display().to_string();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let (ca, ca_key) = (text("ca.crt"), text("ca.key"));
    let mut argv = vec![
        "openssl",
        "req",
        "-x509",
        "-days",
        "30",
        "-subj",
        "/CN=lab CA",
        "-out",
        &ca,
        "-keyout",
        &ca_key,
    ];
    argv.extend(curve);
    run(&argv, &[]).await.context("making the lab's CA")?;
    let addresses = [Site::Gra, Site::Sbg, Site::Par].map(|site| format!("IP:{}", site.postgres()));
    let names = format!(
        "{EXTENSIONS}subjectAltName={},IP:127.0.0.1,DNS:localhost\n",
        addresses.join(",")
    );
    std::fs::write(path("server.ext"), names)?;
    let (csr, key, cert, ext) = (
        text("server.csr"),
        text("server.key"),
        text("server.crt"),
        text("server.ext"),
    );
    let mut argv = vec![
        "openssl",
        "req",
        "-new",
        "-subj",
        "/CN=lab postgres",
        "-out",
        &csr,
        "-keyout",
        &key,
    ];
    argv.extend(curve);
    run(&argv, &[]).await.context("making the server's key")?;
    let argv = [
        "openssl",
        "x509",
        "-req",
        "-days",
        "30",
        "-in",
        &csr,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-extfile",
        &ext,
        "-out",
        &cert,
    ];
    run(&argv, &[])
        .await
        .context("signing the server's certificate")?;
    std::fs::set_permissions(path("server.key"), PermissionsExt::from_mode(0o600))?;
    files::give_to_postgres(&path("server.key"))?;
    Ok(Tls {
        ca: path("ca.crt"),
        cert: path("server.crt"),
        key: path("server.key"),
    })
}
