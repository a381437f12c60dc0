//! A health check at Route 53, by the SDK. The version that was read goes with the change: Route 53 refuses it when
//! anybody changed the health check in between.

use super::port::{Fields, Seen, Write};
use crate::config::Route53HealthCheck;
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::Written;
use crate::provider::hosted::route53::{Client, ended, no_answer};
use aws_sdk_route53::types::HealthCheckConfig;
use serde_json::{Value, json};
use std::time::Duration;

pub struct HealthCheck<'a> {
    pub client: &'a Client,
    pub at: &'a Route53HealthCheck,
    pub within: Duration,
}

impl HealthCheck<'_> {
    pub async fn read(&self) -> Result<Seen, NoAnswer> {
        let ready = self.client.ready(&self.at.api, self.at.keys.as_ref(), self.within).await;
        let ready = ready.map_err(no_answer)?;
        self.client.pace().await;
        let ask = ready.sdk.get_health_check().health_check_id(&self.at.health_check);
        let said = ask.customize().config_override(ready.with()).send().await;
        let said = said.map_err(|e| no_answer(ended(&e)))?;
        let odd = |says: &str| NoAnswer { layer: "api", says: says.to_owned() };
        let check = said.health_check().ok_or_else(|| odd("the answer is about no health check"))?;
        if check.id() != self.at.health_check {
            return Err(odd("the answer is about another health check"));
        }
        let config = check.health_check_config().ok_or_else(|| odd("the answer holds no configuration"))?;
        let flag =
            |told: Option<bool>| told.ok_or_else(|| odd("whether it is inverted or disabled is not told"));
        let mut fields = Fields::new();
        fields.insert("about".into(), json!(about(config)));
        fields.insert("inverted".into(), json!(flag(config.inverted())?));
        fields.insert("disabled".into(), json!(flag(config.disabled())?));
        let managed_by = check.linked_service().and_then(|service| service.service_principal());
        Ok(Seen {
            fields,
            pending: None,
            evidence: json!({ "managed_by": managed_by, "version": check.health_check_version() }),
            handle: json!(check.health_check_version()),
        })
    }

    pub async fn write(&self, write: Write<'_>) -> Written {
        let no_words = || Written::Doubt("no answer".into());
        let ready = match self.client.ready(&self.at.api, self.at.keys.as_ref(), self.within).await {
            Ok(ready) => ready,
            Err(answer) => return answer.written().err().unwrap_or_else(no_words),
        };
        let flag = |key: &str| write.after.get(key).and_then(Value::as_bool);
        let (Some(version), Some(inverted), Some(disabled)) =
            (write.handle.as_i64(), flag("inverted"), flag("disabled"))
        else {
            let says = "the version read before, or what is wanted, cannot be read again";
            return Written::NotSent { retry: false, says: says.into() };
        };
        self.client.pace().await;
        let ask = ready.sdk.update_health_check().health_check_id(&self.at.health_check);
        let ask = ask.health_check_version(version).inverted(inverted).disabled(disabled);
        match ask.customize().config_override(ready.with()).send().await {
            Ok(said) => {
                let version = said.health_check().map(|check| check.health_check_version());
                Written::Done(json!({ "version": version }))
            }
            Err(e) => ended(&e).written().err().unwrap_or_else(no_words),
        }
    }
}

/// What it looks at, for people.
fn about(config: &HealthCheckConfig) -> String {
    let host =
        config.fully_qualified_domain_name().or(config.ip_address()).unwrap_or("other checks or an alarm");
    let port = config.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "the health check of {} {host}{port}{}",
        config.r#type().as_str(),
        config.resource_path().unwrap_or("")
    )
}
