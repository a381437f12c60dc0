//! A real SMTP server, Debian's aiosmtpd, that keeps what it gets as files; it wants STARTTLS where asked to. Not ours, so
//! that what we send is read by somebody else's understanding of RFC 5321.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::children::{Child, Spec};
use crate::files::temp_dir;
use crate::net::{PortBlock, wait_tcp};
use crate::site::at;
use crate::tls;

pub struct Mail {
    pub listen: SocketAddr,
    /// The authority of its certificate.
    pub ca: Option<PathBuf>,
    argv: Vec<String>,
    child: Option<Child>,
    _ports: PortBlock,
    dir: tempfile::TempDir,
}

/// One mail: headers by small letters, unfolded; and the text as it was sent.
#[derive(Clone, Debug)]
pub struct Letter {
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Mail {
    pub async fn start(encrypted: bool) -> anyhow::Result<Mail> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let listen = at(Ipv4Addr::LOCALHOST, ports.spare(2));
        let mut argv: Vec<String> = ["/usr/bin/aiosmtpd", "-n", "-u", "-l"].map(str::to_owned).to_vec();
        argv.push(listen.to_string());
        let ca = if encrypted {
            let made = tls::make(&dir.path().join("tls")).await?;
            for (word, path) in [("--tlscert", &made.cert), ("--tlskey", &made.key)] {
                argv.extend([word.to_owned(), path.display().to_string()]);
            }
            Some(made.ca)
        } else {
            None
        };
        let folder = dir.path().join("box").display().to_string();
        argv.extend(["-c".to_owned(), "aiosmtpd.handlers.Mailbox".to_owned(), folder]);
        let mut mail = Mail { listen, ca, argv, child: None, _ports: ports, dir };
        mail.come_back().await?;
        Ok(mail)
    }

    /// One that wants STARTTLS, and then this user with this password.
    pub async fn with_user(user: &str, password: &str) -> anyhow::Result<Mail> {
        let (dir, ports) = (temp_dir(false)?, PortBlock::reserve()?);
        let listen = at(Ipv4Addr::LOCALHOST, ports.spare(2));
        let made = tls::make(&dir.path().join("tls")).await?;
        let file = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(file("smtp.py"), include_str!("smtp.py"))?;
        std::fs::write(file("password"), password)?;
        // Debian's own Python has Debian's aiosmtpd.
        let argv = vec![
            "/usr/bin/python3".to_owned(),
            file("smtp.py"),
            listen.ip().to_string(),
            listen.port().to_string(),
            made.cert.display().to_string(),
            made.key.display().to_string(),
            file("box"),
            user.to_owned(),
            file("password"),
        ];
        let mut mail = Mail { listen, ca: Some(made.ca), argv, child: None, _ports: ports, dir };
        mail.come_back().await?;
        Ok(mail)
    }

    /// Starts, also again after [`Mail::kill`].
    pub async fn come_back(&mut self) -> anyhow::Result<()> {
        self.child =
            Some(Child::spawn(Spec::new("aiosmtpd", self.argv.clone(), self.dir.path().join("log")))?);
        wait_tcp("the SMTP server to listen", self.listen, Duration::from_secs(20)).await
    }

    pub fn kill(&mut self) {
        self.child = None;
    }

    /// What arrived, oldest first.
    pub fn letters(&self) -> anyhow::Result<Vec<Letter>> {
        let folder = self.dir.path().join("box/new");
        let mut files: Vec<PathBuf> = match std::fs::read_dir(&folder) {
            Ok(files) => files.filter_map(Result::ok).map(|file| file.path()).collect(),
            // The box is made with the first letter.
            Err(_) => return Ok(vec![]),
        };
        // A maildir's names begin with the second, and count within it.
        files.sort_by_key(|path| order(path));
        files.iter().map(|path| read(path)).collect()
    }
}

/// `SECONDS.M…P…Q…`: of one process, the number behind Q counts.
fn order(path: &Path) -> (u64, u64, u64) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number =
        |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let (seconds, rest) = name.split_once('.').unwrap_or((&name, ""));
    (
        number(seconds),
        number(rest.trim_start_matches('M')),
        number(rest.split('Q').nth(1).unwrap_or_default()),
    )
}

fn read(path: &Path) -> anyhow::Result<Letter> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").context("a mail without a body")?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for line in head.replace("\n ", " ").replace("\n\t", " ").lines() {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok(Letter { headers, text: body.to_owned() })
}
