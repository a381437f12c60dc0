//! moto's server: an AWS that answers the real SDK. `scripts/install` puts it into a virtual environment beside the
//! build. It checks no signature, a change is in sync at once, and DELETE compares with all that ever stood there: a
//! [`Guard`](super::Guard) before it compares with what stands there now, as the documents say that Route 53 does.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::ZONE;
use crate::children::{Child, Spec};
use crate::files::temp_dir;
use crate::net::{PortBlock, on_lab, wait_http};
use crate::site::at;

pub(super) const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

#[derive(Debug)]
pub struct Moto {
    pub http: SocketAddr,
    /// The id of [`ZONE`]; new after a reset.
    zone_id: Mutex<String>,
    _child: Child,
    _ports: PortBlock,
    _dir: tempfile::TempDir,
}

/// In a folder above the running test.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_MOTO") {
        return Ok(PathBuf::from(path));
    }
    in_venv("moto_server")
}

/// A program that `scripts/install` put beside the build.
pub(super) fn in_venv(name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("asking for our own path")?;
    let found = exe.ancestors().map(|dir| dir.join("lab-venv/bin").join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("there is no lab-venv/bin/{name} beside the build: run scripts/install test")
    })
}

impl Moto {
    pub async fn start() -> anyhow::Result<Moto> {
        let (dir, ports, program) = (temp_dir(false)?, PortBlock::reserve()?, program()?);
        let web = at(Ipv4Addr::LOCALHOST, ports.spare(0));
        let argv = [
            program.display().to_string(),
            "-H".into(),
            web.ip().to_string(),
            "-p".into(),
            web.port().to_string(),
        ];
        let child = Child::spawn(Spec::new("moto_server", argv, dir.path().join("log")))?;
        wait_http("moto", &format!("http://{web}/moto-api/"), Duration::from_secs(60)).await?;
        let moto = Moto { http: web, zone_id: Mutex::default(), _child: child, _ports: ports, _dir: dir };
        moto.reset().await?;
        Ok(moto)
    }

    /// Forgets everything and makes the zone anew: what moto compares with is all that ever stood there, so that a
    /// value that stood there once could not be told from one that does.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.call("POST", "/moto-api/reset", String::new()).await?;
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\"><Name>{ZONE}.</Name><CallerReference>lab</CallerReference>\
             </CreateHostedZoneRequest>"
        );
        let said = self.call("POST", "/2013-04-01/hostedzone", body).await?;
        let id = said.split("<Id>/hostedzone/").nth(1).and_then(|rest| rest.split('<').next());
        *self.lock() = id.with_context(|| format!("no zone id in {said}"))?.to_owned();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.zone_id.lock().expect("invariant: no panic while holding the lock")
    }

    pub fn zone_id(&self) -> String {
        self.lock().clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// A call of the harness itself, in the protocol's XML.
    pub async fn call(&self, method: &str, rest: &str, body: String) -> anyhow::Result<String> {
        let url = format!("{}{rest}", self.url());
        // Tells moto which service is meant.
        let scope = "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/route53/aws4_request, \
                     SignedHeaders=host, Signature=0";
        let call = super::client()?.request(method.parse()?, &url).header("authorization", scope).body(body);
        on_lab(async move {
            let answer = call.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{url}: {status}: {text}");
            Ok(text)
        })
        .await
    }

    /// UPSERT or DELETE of sets given as the inside of `ResourceRecordSet`.
    pub async fn change(&self, action: &str, sets: &[String]) -> anyhow::Result<()> {
        let one = |set: &String| {
            format!("<Change><Action>{action}</Action><ResourceRecordSet>{set}</ResourceRecordSet></Change>")
        };
        let changes: String = sets.iter().map(one).collect();
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes>{changes}</Changes>\
             </ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        self.call("POST", &format!("/2013-04-01/hostedzone/{}/rrset/", self.zone_id()), body).await?;
        Ok(())
    }

    /// The sets of the zone as the API tells them, SOA and NS left out; each the inside of its element.
    pub async fn sets(&self) -> anyhow::Result<Vec<String>> {
        let said = self
            .call("GET", &format!("/2013-04-01/hostedzone/{}/rrset", self.zone_id()), String::new())
            .await?;
        let inside = |part: &str| part.split("</ResourceRecordSet>").next().unwrap_or_default().to_owned();
        let squeeze = |text: String| text.split_whitespace().collect::<String>();
        let mut sets: Vec<String> =
            said.split("<ResourceRecordSet>").skip(1).map(inside).map(squeeze).collect();
        sets.retain(|set| !set.contains("<Type>SOA<") && !set.contains("<Type>NS<"));
        sets.sort();
        Ok(sets)
    }
}

/// The texts of all elements of one name, sorted.
pub(super) fn texts(xml: &str, element: &str) -> Vec<String> {
    let open = format!("<{element}>");
    let one = |part: &str| part.split('<').next().unwrap_or_default().trim_end_matches('.').to_owned();
    let mut found: Vec<String> = xml.split(&open).skip(1).map(one).collect();
    found.sort();
    found
}

/// What makes two sets equal for DELETE, and the first three of it for CREATE.
fn like(set: &str) -> Vec<Vec<String>> {
    ["Name", "Type", "SetIdentifier", "TTL", "Weight", "Value"].map(|element| texts(set, element)).to_vec()
}

impl Moto {
    /// All deletions match exactly what stands there, and no creation meets what stands there and is not deleted.
    pub fn strict(self: &Arc<Moto>) -> super::Guard {
        let moto = self.clone();
        Arc::new(move |method, _path, body| {
            let moto = moto.clone();
            Box::pin(async move {
                if method != "POST" {
                    return None;
                }
                let mut there: Vec<_> = moto.sets().await.ok()?.iter().map(|set| like(set)).collect();
                for change in body.split("<Change>").skip(1) {
                    let (set, action) = (like(change), texts(change, "Action"));
                    let at = match action.first().map(String::as_str) {
                        Some("DELETE") => there.iter().position(|held| *held == set),
                        _ => (!there.iter().any(|held| held[..3] == set[..3])).then_some(usize::MAX),
                    };
                    match at {
                        Some(usize::MAX) => there.push(set),
                        Some(at) => drop(there.remove(at)),
                        None => return Some((400, invalid(&action.concat(), &set))),
                    }
                }
                None
            })
        })
    }
}

fn invalid(action: &str, set: &[Vec<String>]) -> String {
    let says =
        format!("Tried to {action} resource record set {set:?} but the values do not match or it exists");
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidChangeBatch</Code>\
         <Message>{says}</Message></Error><RequestId>lab</RequestId></ErrorResponse>"
    )
}
