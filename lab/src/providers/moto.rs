//! moto's server: an AWS that answers the real SDK. `scripts/install` puts it into a virtual environment beside the
//! build. It checks no signature, and a change is in sync at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::ZONE;
use crate::children::{Child, Spec};
use crate::files::temp_dir;
use crate::net::{PortBlock, http, on_lab, wait_http};
use crate::site::at;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

#[derive(Debug)]
pub struct Moto {
    pub http: SocketAddr,
    /// The id of [`ZONE`].
    pub zone_id: String,
    _child: Child,
    _ports: PortBlock,
    _dir: tempfile::TempDir,
}

/// In a folder above the running test.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_MOTO") {
        return Ok(PathBuf::from(path));
    }
    let exe = std::env::current_exe().context("asking for our own path")?;
    let found = exe.ancestors().map(|dir| dir.join("lab-venv/bin/moto_server")).find(|path| path.is_file());
    found.context("there is no lab-venv/bin/moto_server beside the build: run scripts/install test")
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
        let mut moto = Moto { http: web, zone_id: String::new(), _child: child, _ports: ports, _dir: dir };
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\"><Name>{ZONE}.</Name><CallerReference>lab</CallerReference>\
             </CreateHostedZoneRequest>"
        );
        let said = moto.call("POST", "/2013-04-01/hostedzone", body).await?;
        let id = said.split("<Id>/hostedzone/").nth(1).and_then(|rest| rest.split('<').next());
        moto.zone_id = id.with_context(|| format!("no zone id in {said}"))?.to_owned();
        Ok(moto)
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
        let call = http()?.request(method.parse()?, &url).header("authorization", scope).body(body);
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
        self.call("POST", &format!("/2013-04-01/hostedzone/{}/rrset/", self.zone_id), body).await?;
        Ok(())
    }

    /// The sets of the zone as the API tells them, SOA and NS left out; each the inside of its element.
    pub async fn sets(&self) -> anyhow::Result<Vec<String>> {
        let said = self
            .call("GET", &format!("/2013-04-01/hostedzone/{}/rrset", self.zone_id), String::new())
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
