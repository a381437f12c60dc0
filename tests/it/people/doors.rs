//! The listener under TLS, with a certificate that a test made.

use crate::canary;
use crate::serve::rig::{BINARY, announced};
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test]
async fn the_listener_speaks_tls_and_nothing_holds_it_up() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
    let names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    let made = Command::new("openssl")
        .args(words)
        .args(names)
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let config = |certificate: &str| {
        let text = format!("[web.tls]\ncertificate = {:?}\nkey = {:?}\n", file(certificate), file("key.pem"));
        std::fs::write(file("pointsman.toml"), text).unwrap();
    };
    let serve = || {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--data", &file("data"), "--playbooks", &file("playbooks")]);
        command.args(["--config", &file("pointsman.toml"), "--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        std::fs::create_dir_all(file("playbooks")).unwrap();
        std::fs::create_dir_all(file("data")).unwrap();
        command
    };
    config("no-such.pem");
    let refused = serve().output().unwrap();
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && says.contains("PM2102") && says.contains("no-such.pem"), "{says}");

    config("cert.pem");
    let stdout = std::fs::File::create(file("out")).unwrap();
    let mut child = serve().stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
    let address = announced(&mut child, file("out").as_ref()).await.replace("https://", "");
    let port = address.rsplit_once(':').unwrap().1;
    // A peer that says nothing, and one that speaks plain HTTP: neither holds up the next.
    let silent = std::net::TcpStream::connect(&address).unwrap();
    let pem = std::fs::read(file("cert.pem")).unwrap();
    let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).timeout(Duration::from_secs(5));
    let reply = client.build().unwrap().get(format!("https://localhost:{port}/healthz")).send().await;
    let plain = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/healthz")).send().await;
    let stranger = reqwest::Client::new().get(format!("https://localhost:{port}/healthz")).send().await;
    let page = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap()
        .get(format!("https://localhost:{port}/sign-in"))
        .send()
        .await;
    drop(silent);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(reply.unwrap().status().as_u16(), 200);
    assert!(plain.is_err() && stranger.is_err(), "{plain:?} {stranger:?}");
    assert_eq!(page.unwrap().status().as_u16(), 200);
    canary::plant(std::fs::read_to_string(file("key.pem")).unwrap().lines().nth(1).unwrap());
    canary::sweep(&["data", "out"].map(|name| folder.path().join(name)));
}
