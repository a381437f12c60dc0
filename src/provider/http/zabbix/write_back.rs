//! A word at a problem of Zabbix: what Pointsman does about it. Acknowledging and commenting is all; severity and tags stay as
//! they are, since the API of 6.0 sets no tag of a problem. The outbox of the worker decides what is told, and when.

use super::{Asked, Trouble, not_zabbix};
use serde_json::{Value, json};

/// `event.acknowledge`, as bits: somebody takes care of it; a comment.
const ACKNOWLEDGE: u32 = 2;
const MESSAGE: u32 = 4;
/// The rights of a role that these need.
const NEEDED: [&str; 2] = ["acknowledge_problems", "add_problem_comments"];
/// Of 6.0, and of newer ones.
const SAID: [&str; 2] = ["select_acknowledges", "selectAcknowledges"];

/// What is to stand there.
pub struct Word {
    /// The part of `text` that nothing else says: where it stands already, nothing is written.
    pub mark: String,
    pub text: String,
    /// Somebody takes care of it.
    pub acknowledge: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Now,
    /// It stood there already.
    Before,
    /// The API does not show the event to the token's user.
    NotShown,
}

/// Looks first, so that a try whose answer was lost is not said twice. What is not known is not written over.
pub async fn leave(api: &Asked<'_>, event: &str, word: &Word) -> Result<Left, Trouble> {
    let Some(said) = said(api, event).await? else { return Ok(Left::NotShown) };
    if said.iter().any(|message| message.contains(&word.mark)) {
        return Ok(Left::Before);
    }
    let action = if word.acknowledge { ACKNOWLEDGE | MESSAGE } else { MESSAGE };
    let params = json!({ "eventids": [event], "action": action, "message": word.text });
    api.tell("event.acknowledge", params).await.map(|_| Left::Now)
}

/// What was said about it so far. `None`: there is no such event to be seen.
async fn said(api: &Asked<'_>, event: &str) -> Result<Option<Vec<String>>, Trouble> {
    let mut trouble = Trouble::Refused("it does not tell what was said about an event".into());
    for select in SAID {
        let mut params = json!({ "output": ["eventid"], "eventids": [event], "limit": 1 });
        params[select] = json!(["message"]);
        let found = match api.call("event.get", params).await {
            Ok(found) => found,
            Err(refused @ Trouble::Refused(_)) => {
                trouble = refused;
                continue;
            }
            Err(lost) => return Err(lost),
        };
        let list = found.as_array().ok_or_else(|| not_zabbix("events are a list"))?;
        let Some(first) = list.first() else { return Ok(None) };
        if let Some(all) = first["acknowledges"].as_array() {
            let message = |one: &Value| one["message"].as_str().map(str::to_owned);
            return Ok(Some(all.iter().filter_map(message).collect()));
        }
    }
    Err(trouble)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    Enough,
    /// Of the role of the token's user.
    Missing(Vec<&'static str>),
}

/// Whether the token's user may do that. It only asks.
pub async fn rights(api: &Asked<'_>) -> Result<Rights, Trouble> {
    let Some(token) = api.token else { return Err(Trouble::Refused("there is no token".into())) };
    // Whose token it is, is asked without saying who asks.
    let open = Asked { token: None, ..*api };
    let user = open.call("user.checkAuthentication", json!({ "token": token.expose() })).await?;
    let unknown = |what: &str| Trouble::Refused(format!("it does not tell {what}"));
    let role = user["roleid"].as_str().ok_or_else(|| unknown("the role of the token's user"))?;
    let asked = json!({ "output": ["roleid"], "roleids": [role], "selectRules": ["actions", "actions.default_access"] });
    let roles = api.call("role.get", asked).await?;
    let rules = roles.get(0).and_then(|role| role.get("rules"));
    let rules = rules.ok_or_else(|| unknown("the rules of the role of the token's user"))?;
    let missing: Vec<&'static str> = NEEDED.into_iter().filter(|right| !allows(rules, right)).collect();
    Ok(if missing.is_empty() { Rights::Enough } else { Rights::Missing(missing) })
}

/// What a role does not name is as its default says.
fn allows(rules: &Value, right: &str) -> bool {
    let is_one = |value: &Value| value == "1" || value == 1;
    let named = rules["actions"].as_array().into_iter().flatten().find(|action| action["name"] == right);
    named.map_or_else(|| is_one(&rules["actions.default_access"]), |action| is_one(&action["status"]))
}
