//! What a person sets up in five minutes, by the API: our media type, its macros, the user, the action; and a host with a
//! value that is watched.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::Zabbix;
use crate::net::wait_until;

/// The file that is imported.
const MEDIA_TYPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/zabbix/pointsman.yaml");
/// Of Zabbix' roles and groups as it ships with them: an ordinary role, and "Zabbix administrators".
const SUPER_ADMIN: &str = "3";
const ADMINISTRATORS: &str = "7";

/// What is watched.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// What [`Zabbix::send`] says.
    Told,
    /// Whether something listens there, looked at every second.
    Port(SocketAddr),
}

/// A value that is 1 while all is well; 0 is a disaster.
#[derive(Clone, Debug)]
pub struct Watched {
    pub host: String,
    pub key: String,
    pub trigger: String,
    item: String,
}

/// One message of the media type, as Zabbix' log of actions has it.
#[derive(Clone, Debug)]
pub struct Message {
    pub event: String,
    pub recovery_of: String,
    /// 0: will be tried again; 1: delivered; 2: given up.
    pub status: u8,
    pub retries: u32,
    pub error: String,
}

impl Zabbix {
    /// Everything of the page, and one watched value with these tags. `attempt_every`: the media type waits longer.
    pub async fn tells(
        &self,
        hook: &str,
        secret: &str,
        item: Item,
        tags: &[(&str, &str)],
        attempt_every: Duration,
    ) -> anyhow::Result<Watched> {
        let media_type = self.media_type(attempt_every).await?;
        let macros = [
            json!({ "macro": "{$POINTSMAN.URL}", "value": hook }),
            json!({ "macro": "{$POINTSMAN.SECRET}", "value": secret, "type": 1 }),
            json!({ "macro": "{$ZABBIX.URL}", "value": self.url().trim_end_matches("/api_jsonrpc.php") }),
        ];
        self.api.call("usermacro.createglobal", json!(macros)).await?;
        let watched = self.watched(item, tags).await?;
        let media = json!({ "mediatypeid": media_type, "sendto": "pointsman", "active": 0, "severity": 63,
            "period": "1-7,00:00-24:00" });
        let user = json!({ "username": "pointsman", "passwd": "Lab-Only-Pw-9!", "roleid": SUPER_ADMIN,
            "usrgrps": [{ "usrgrpid": ADMINISTRATORS }], "medias": [media] });
        let user = self.api.create("user", user).await?;
        let send = json!({ "operationtype": 0, "opmessage": { "default_msg": 1, "mediatypeid": media_type },
            "opmessage_usr": [{ "userid": user }] });
        let mut each_step = send.clone();
        each_step["esc_step_from"] = 1.into();
        each_step["esc_step_to"] = 0.into();
        each_step["esc_period"] = "0".into();
        let filter = json!({ "evaltype": 0,
            "conditions": [{ "conditiontype": 2, "operator": 0, "value": watched.trigger }] });
        let action = json!({ "name": "Tell Pointsman", "eventsource": 0, "status": 0, "esc_period": "60s",
            "filter": filter, "operations": [each_step], "recovery_operations": [send], "update_operations": [send] });
        self.api.create("action", action).await?;
        // Only now, so that the server, which reads all of this once a second, never knows the value without the action.
        self.api.call("item.update", json!({ "itemid": watched.item, "status": 0 })).await?;
        Ok(watched)
    }

    async fn media_type(&self, attempt_every: Duration) -> anyhow::Result<String> {
        let file = std::fs::read_to_string(MEDIA_TYPE).with_context(|| format!("reading {MEDIA_TYPE}"))?;
        let rules = json!({ "mediaTypes": { "createMissing": true, "updateExisting": true } });
        let import = json!({ "format": "yaml", "source": file, "rules": rules });
        self.api.call("configuration.import", import).await.context("importing the media type")?;
        let known = json!({ "output": ["mediatypeid"], "filter": { "name": "Pointsman" } });
        let found = self.api.call("mediatype.get", known).await?;
        let id = found[0]["mediatypeid"].as_str().context("the media type is not there")?.to_owned();
        let every = format!("{}s", attempt_every.as_secs());
        self.api.call("mediatype.update", json!({ "mediatypeid": id, "attempt_interval": every })).await?;
        Ok(id)
    }

    /// Not looked at yet.
    async fn watched(&self, item: Item, tags: &[(&str, &str)]) -> anyhow::Result<Watched> {
        let tags: Vec<Value> =
            tags.iter().map(|(tag, value)| json!({ "tag": tag, "value": value })).collect();
        let group = self.api.create("hostgroup", json!({ "name": "Lab/Shop" })).await?;
        let host = "db1".to_owned();
        // 2: told by others; 3: looked at by the server.
        let (key, kind, delay) = match item {
            Item::Told => ("db.up".to_owned(), 2, "0"),
            Item::Port(at) => (format!("net.tcp.service[tcp,{},{}]", at.ip(), at.port()), 3, "1s"),
        };
        let interface =
            json!({ "type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": "10050" });
        let made = json!({ "host": host, "name": "Primary – Größe 1", "groups": [{ "groupid": group }], "tags": tags,
            "interfaces": [interface] });
        let host_id = self.api.create("host", made).await?;
        let interface = self.api.call("hostinterface.get", json!({ "hostids": host_id })).await?;
        let mut item = json!({ "name": "db up", "key_": key, "hostid": host_id, "type": kind, "value_type": 3,
            "delay": delay, "status": 1 });
        if kind == 3 {
            item["interfaceid"] = interface[0]["interfaceid"].clone();
        }
        let item = self.api.create("item", item).await?;
        let trigger = json!({ "description": "Primary database is down on {HOST.NAME}", "priority": 5,
            "expression": format!("last(/{host}/{key})=0"), "manual_close": 1 });
        let trigger = self.api.create("trigger", trigger).await?;
        Ok(Watched { host, key, trigger, item })
    }

    /// Until Zabbix has seen this value.
    pub async fn wait_value(&self, watched: &Watched, value: &str) -> anyhow::Result<()> {
        let asked = json!({ "itemids": watched.item, "output": ["lastvalue", "lastclock"] });
        wait_until("Zabbix to look", Duration::from_secs(30), || {
            let (api, asked) = (self.api.clone(), asked.clone());
            async move {
                let item = api.call("item.get", asked).await?;
                Ok(item[0]["lastclock"] != "0" && item[0]["lastvalue"] == value)
            }
        })
        .await
    }

    /// An API token, for who asks whether a problem still stands.
    pub async fn token(&self) -> anyhow::Result<String> {
        let admin = self.api.call("user.get", json!({ "filter": { "username": "Admin" } })).await?;
        self.token_of(&admin[0]["userid"]).await
    }

    /// An API token of a user who sees no host, and whose role allows nothing to be done to problems.
    pub async fn blind_token(&self) -> anyhow::Result<String> {
        let denied =
            ["acknowledge_problems", "add_problem_comments"].map(|name| json!({ "name": name, "status": 0 }));
        let rules = json!({ "actions": denied, "actions.default_access": 0 });
        let role = self.api.create("role", json!({ "name": "Blind", "type": 1, "rules": rules })).await?;
        let user = json!({ "username": "blind", "passwd": "Lab-Only-Pw-8!", "roleid": role,
            "usrgrps": [{ "usrgrpid": ADMINISTRATORS }] });
        self.token_of(&self.api.create("user", user).await?.into()).await
    }

    async fn token_of(&self, user: &Value) -> anyhow::Result<String> {
        let made = json!({ "name": "pointsman", "userid": user });
        let id = self.api.create("token", made).await?;
        let token = self.api.call("token.generate", json!([id])).await?;
        Ok(token[0]["token"].as_str().context("a token is a text")?.to_owned())
    }

    /// Problems of the trigger that are not over, with their tags and what was said about them.
    pub async fn problems(&self, watched: &Watched) -> anyhow::Result<Value> {
        let asked = json!({ "output": "extend", "recent": false, "objectids": [watched.trigger],
            "selectTags": "extend", "selectAcknowledges": "extend" });
        self.api.call("problem.get", asked).await
    }

    /// Whether the media type is in use: what comes while it is not, is told to nobody.
    pub async fn use_media_type(&self, used: bool) -> anyhow::Result<()> {
        let known = json!({ "output": ["mediatypeid"], "filter": { "name": "Pointsman" } });
        let found = self.api.call("mediatype.get", known).await?;
        let status = u8::from(!used);
        let changed = json!({ "mediatypeid": found[0]["mediatypeid"], "status": status });
        self.api.call("mediatype.update", changed).await.map(drop)
    }

    /// Messages at an event, sorted, and whether somebody acknowledged it.
    pub async fn said(&self, event: &str) -> anyhow::Result<(Vec<String>, bool)> {
        let asked = json!({ "eventids": event, "output": ["acknowledged"], "select_acknowledges": ["message", "clock"] });
        let found = self.api.call("event.get", asked).await?;
        let all = found[0]["acknowledges"].as_array().context("an event with what was said")?;
        let mut said: Vec<String> =
            all.iter().filter_map(|one| one["message"].as_str()).map(str::to_owned).collect();
        said.sort();
        Ok((said, found[0]["acknowledged"] == "1"))
    }

    /// What the media type was given to deliver, oldest first.
    pub async fn messages(&self) -> anyhow::Result<Vec<Message>> {
        let output = ["eventid", "p_eventid", "status", "retries", "error"];
        let all = self.api.call("alert.get", json!({ "output": output, "sortfield": "alertid" })).await?;
        let text = |message: &Value, key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let one = |message: &Value| {
            Ok(Message {
                event: text(message, "eventid"),
                recovery_of: text(message, "p_eventid"),
                status: text(message, "status").parse()?,
                retries: text(message, "retries").parse()?,
                error: text(message, "error"),
            })
        };
        all.as_array().context("a list of messages")?.iter().map(one).collect()
    }
}
