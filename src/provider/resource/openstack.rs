//! A machine by OpenStack: Keystone for a token and for where the region's Nova is, Nova for the machine.

use super::port::{Fields, Seen, Write};
use crate::config::{OpenstackLogin, is_private};
use crate::kernel::domain::Secret;
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::api::{Answer, Api, Request, secret};
use crate::provider::hosted::{Rights, Written};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// A token is asked for anew after that; Keystone's own lasts longer.
const KEEP: Duration = Duration::from_secs(600);
/// Nova's numbers for a machine that runs, and one that is shut down.
const RUNNING: u64 = 1;
const SHUT_DOWN: u64 = 4;

/// Tokens by login, and where each leads. Nothing of it is shown.
#[derive(Default)]
pub struct Sessions(Mutex<BTreeMap<String, Session>>);

#[derive(Clone)]
struct Session {
    until: Instant,
    token: Secret,
    nova: String,
    /// As Keystone names them.
    roles: Vec<String>,
}

pub struct Instance<'a> {
    pub api: &'a Api,
    pub sessions: &'a Sessions,
    pub auth_url: &'a str,
    pub region: &'a str,
    pub id: &'a str,
    pub login: &'a OpenstackLogin,
    pub within: Duration,
}

impl Instance<'_> {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.sessions.0.lock().expect("invariant: no panic while holding the lock")
    }

    fn key(&self) -> String {
        let who = match self.login {
            OpenstackLogin::Application { id, .. } => id.clone(),
            OpenstackLogin::User { user, domain, project, .. } => format!("{user} {domain} {project}"),
        };
        format!("{} {} {who}", self.auth_url, self.region)
    }

    /// A refused token is forgotten and asked for anew, once: a refusal proves that nothing was done.
    async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let kept = self.sessions().get(&self.key()).filter(|session| session.until > Instant::now()).cloned();
        if let Some(session) = kept {
            match self.call_with(&session, method.clone(), rest, body.as_ref()).await {
                Answer::No { status: 401, .. } => self.sessions().remove(&self.key()),
                answer => return answer,
            };
        }
        let session = match self.log_in().await {
            Ok(session) => session,
            Err(answer) => return answer,
        };
        self.call_with(&session, method, rest, body.as_ref()).await
    }

    async fn call_with(&self, session: &Session, method: Method, rest: &str, body: Option<&Value>) -> Answer {
        let url = format!("{}/servers/{}{rest}", session.nova, self.id);
        let headers = vec![("x-auth-token", session.token.expose().to_owned())];
        let body = body.map(Value::to_string);
        self.api.call(Request { method, base: self.auth_url, url, headers, body }, self.within).await
    }

    async fn log_in(&self) -> Result<Session, Answer> {
        let identity = match self.login {
            OpenstackLogin::Application { id, secret: reference } => {
                let given = secret(reference)?;
                json!({ "identity": { "methods": ["application_credential"],
                                      "application_credential": { "id": id, "secret": given.expose() } } })
            }
            OpenstackLogin::User { user, domain, password, project } => {
                let given = secret(password)?;
                let user = json!({ "name": user, "domain": { "name": domain }, "password": given.expose() });
                json!({ "identity": { "methods": ["password"], "password": { "user": user } },
                        "scope": { "project": { "id": project } } })
            }
        };
        let ask = Request {
            method: Method::POST,
            base: self.auth_url,
            url: format!("{}/auth/tokens", self.auth_url),
            headers: vec![],
            body: Some(json!({ "auth": identity }).to_string()),
        };
        let not_sent = |says: String| Answer::NotSent { retry: true, says };
        let (granted, token) = match self.api.call_for_header(ask, "x-subject-token", self.within).await {
            (Answer::Good(granted), Some(token)) => (granted, token),
            (Answer::Good(_), None) => return Err(not_sent("Keystone's answer holds no token".into())),
            // Whatever became of the question for a token: the call itself was not sent.
            (Answer::Doubt(says), _) => return Err(not_sent(format!("Keystone: {says}"))),
            (other, _) => return Err(other),
        };
        let nova = endpoint(&granted, self.region).map_err(not_sent)?;
        let roles = granted["token"]["roles"].as_array().map(Vec::as_slice).unwrap_or_default();
        let roles = roles.iter().filter_map(|role| role["name"].as_str().map(str::to_owned)).collect();
        let session = Session { until: Instant::now() + KEEP, token: Secret::new(&token), nova, roles };
        self.sessions().insert(self.key(), session.clone());
        Ok(session)
    }

    /// Keystone names roles; what each allows is Nova's own policy, which it does not show. One that only reads is known.
    pub async fn rights(&self) -> Vec<Rights> {
        let roles = match self.log_in().await {
            Ok(session) => session.roles,
            Err(_) => return vec![Rights::Untold("Keystone does not tell our roles".into())],
        };
        let reads = |role: &String| role == "reader" || role.ends_with("_viewer");
        vec![match roles.as_slice() {
            [] => Rights::Untold("Keystone names no roles for these credentials".into()),
            all if all.iter().all(reads) => Rights::may_not(
                format!("these credentials may only read (roles {})", all.join(", ")),
                "make credentials with a role that may stop machines",
            ),
            all => Rights::Untold(format!("what the roles {} allow is Nova's own policy", all.join(", "))),
        }]
    }

    pub async fn read(&self) -> Result<Seen, NoAnswer> {
        let said = self.call(Method::GET, "", None).await.read()?;
        let server = &said["server"];
        if server["id"].as_str() != Some(self.id) {
            return Err(NoAnswer { layer: "api", says: "the answer is about another machine".into() });
        }
        let mut fields = Fields::new();
        fields.insert("name".into(), json!(server["name"].as_str().unwrap_or(self.id)));
        fields.insert("power".into(), json!(power(server)));
        let task = server["OS-EXT-STS:task_state"].as_str();
        let evidence = json!({ "status": server["status"], "vm_state": server["OS-EXT-STS:vm_state"],
                               "power_state": server["OS-EXT-STS:power_state"] });
        Ok(Seen { fields, pending: task.map(|task| format!("it is {task}")), evidence, handle: Value::Null })
    }

    /// Taken means under way; the looks that follow tell how it ends.
    pub async fn write(&self, write: Write<'_>) -> Written {
        let off = write.after.get("power") == Some(&json!("off"));
        let body = if off { json!({ "os-stop": null }) } else { json!({ "os-start": null }) };
        match self.call(Method::POST, "/action", Some(body)).await.written() {
            Ok(_) => Written::Done(json!({ "asked": if off { "os-stop" } else { "os-start" } })),
            Err(end) => end,
        }
    }
}

/// On or off only where all that Nova says of it agrees; else its own words.
fn power(server: &Value) -> String {
    let status = server["status"].as_str().unwrap_or("unknown");
    let (vm, number) = (server["OS-EXT-STS:vm_state"].as_str(), server["OS-EXT-STS:power_state"].as_u64());
    match (status, vm, number) {
        ("ACTIVE", Some("active"), Some(RUNNING)) => "on".into(),
        ("SHUTOFF", Some("stopped"), Some(SHUT_DOWN)) => "off".into(),
        _ => {
            let number = number.map_or("unknown".to_owned(), |number| number.to_string());
            format!("{status} (vm_state {}, power_state {number})", vm.unwrap_or("unknown"))
        }
    }
}

/// The public Nova of the region, as the catalogue has it.
fn endpoint(granted: &Value, region: &str) -> Result<String, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let compute =
        list(&granted["token"]["catalog"]).into_iter().filter(|service| service["type"] == "compute");
    let mut all = compute.flat_map(|service| list(&service["endpoints"]));
    let ours =
        |it: &Value| it["interface"] == "public" && (it["region"] == region || it["region_id"] == region);
    let found = all.find(ours).and_then(|it| it["url"].as_str().map(str::to_owned));
    match found {
        Some(url) if is_private(&url) => Ok(url.trim_end_matches('/').to_owned()),
        Some(_) => Err(format!("Keystone names an address of Nova in {region} without TLS")),
        None => Err(format!("Keystone's catalogue has no public Nova in {region}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_only_what_all_signs_say() {
        let server = |status: &str, vm: &str, number: u64| json!({ "status": status, "OS-EXT-STS:vm_state": vm, "OS-EXT-STS:power_state": number });
        assert_eq!(power(&server("SHUTOFF", "stopped", 4)), "off");
        assert_eq!(power(&server("ACTIVE", "active", 1)), "on");
        for odd in
            [server("SHUTOFF", "stopped", 1), server("SHUTOFF", "active", 4), server("PAUSED", "paused", 3)]
        {
            assert!(!["on", "off"].contains(&power(&odd).as_str()), "{odd}");
        }
        assert!(power(&json!({ "status": "SHUTOFF" })).contains("unknown"));
    }

    #[test]
    fn a_token_goes_to_the_region_and_never_in_the_clear() {
        let granted = |url: &str| {
            let endpoint = |interface: &str, region: &str, url: &str| json!({ "interface": interface, "region": region, "url": url });
            json!({ "token": { "catalog": [
                { "type": "image", "endpoints": [endpoint("public", "GRA", "https://image")] },
                { "type": "compute", "endpoints": [
                    endpoint("admin", "GRA", "https://admin"), endpoint("public", "SBG", "https://sbg"),
                    endpoint("public", "GRA", url)] } ] } })
        };
        assert_eq!(endpoint(&granted("https://gra/v2.1/"), "GRA"), Ok("https://gra/v2.1".into()));
        assert!(endpoint(&granted("http://gra/v2.1"), "GRA").unwrap_err().contains("without TLS"));
        assert!(endpoint(&granted("https://gra"), "BHS").unwrap_err().contains("no public Nova"));
    }
}
