//! A health check at moto. moto counts no versions: a [`Guard`] before it does, tells them, and refuses a change that
//! names another, as the documents say that Route 53 does.

use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context;

use super::moto::{NAMESPACE, texts};
use super::{Guard, Moto};

pub struct HealthCheck {
    moto: Arc<Moto>,
    at: Mutex<(String, u64)>,
}

impl HealthCheck {
    pub fn of(moto: Arc<Moto>) -> Arc<HealthCheck> {
        Arc::new(HealthCheck { moto, at: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, (String, u64)> {
        self.at.lock().expect("invariant: no panic while holding the lock")
    }

    /// As at the beginning; the first time it is made.
    pub async fn reset(&self) -> anyhow::Result<()> {
        if self.id().is_empty() {
            let body = format!(
                "<CreateHealthCheckRequest xmlns=\"{NAMESPACE}\"><CallerReference>lab</CallerReference><HealthCheckConfig>\
                 <IPAddress>192.0.2.10</IPAddress><Port>80</Port><Type>HTTP</Type><ResourcePath>/healthz</ResourcePath>\
                 </HealthCheckConfig></CreateHealthCheckRequest>"
            );
            let said = self.moto.call("POST", "/2013-04-01/healthcheck", body).await?;
            let id = texts(&said, "Id").first().cloned();
            self.lock().0 = id.with_context(|| format!("no id in {said}"))?;
        }
        self.set(false, false).await?;
        self.lock().1 = 1;
        Ok(())
    }

    pub fn id(&self) -> String {
        self.lock().0.clone()
    }

    fn path(&self) -> String {
        format!("/2013-04-01/healthcheck/{}", self.id())
    }

    /// Somebody sets it by hand.
    pub async fn set(&self, inverted: bool, disabled: bool) -> anyhow::Result<()> {
        let body = format!(
            "<UpdateHealthCheckRequest xmlns=\"{NAMESPACE}\"><Inverted>{inverted}</Inverted><Disabled>{disabled}</Disabled>\
             </UpdateHealthCheckRequest>"
        );
        self.moto.call("POST", &self.path(), body).await?;
        self.lock().1 += 1;
        Ok(())
    }

    /// It is not there any more.
    pub async fn forget(&self) -> anyhow::Result<()> {
        self.moto.call("DELETE", &self.path(), String::new()).await.map(drop)
    }

    /// `inverted`, `disabled` and what else its configuration holds, as the API tells them.
    pub async fn standing(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let said = self.moto.call("GET", &self.path(), String::new()).await?;
        let keys = ["Inverted", "Disabled", "IPAddress", "Port", "ResourcePath", "Type"];
        Ok(keys.map(|key| (key, texts(&said, key).concat())).to_vec())
    }

    pub fn versions(self: &Arc<HealthCheck>) -> Guard {
        let check = self.clone();
        Arc::new(move |method, path, body| {
            let check = check.clone();
            Box::pin(async move {
                if !path.contains("/healthcheck/") {
                    return None;
                }
                let version = check.lock().1;
                if method == "GET" {
                    let said = check.moto.call("GET", &path, String::new()).await.ok()?;
                    let counted = format!("<HealthCheckVersion>{version}</HealthCheckVersion>");
                    let moto = "<HealthCheckVersion>1</HealthCheckVersion>";
                    return said.contains(moto).then(|| (200, said.replace(moto, &counted)));
                }
                if texts(&body, "HealthCheckVersion").concat() == version.to_string() {
                    check.lock().1 += 1;
                    return None;
                }
                let says = format!("HealthCheckVersion is {version}");
                let error = format!(
                    "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>HealthCheckVersionMismatch</Code>\
                     <Message>{says}</Message></Error><RequestId>lab</RequestId></ErrorResponse>"
                );
                Some((409, error))
            })
        })
    }
}
