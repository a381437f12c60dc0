//! What a remote tells about our credentials, so that readiness knows before the outage whether a change would be allowed.
//! Questions only: whatever could be told by trying alone is left open, with the reason. The wires of zones and of resources
//! answer; their actions' `rehearse` makes findings of it.

use super::api::Answer;
use crate::kernel::domain::{Finding, Grade, Time};
use crate::provider::dns::NoAnswer;
use serde_json::Value;

/// A credential that ends within that time is told.
const SOON_DAYS: i64 = 14;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The remote says that such a change is allowed.
    May(String),
    /// It says that it is not.
    MayNot { says: String, fix: String },
    /// It is, and something about it should be seen to.
    But { says: String, fix: String },
    /// It does not tell, or could not be asked: and why.
    Untold(String),
}

impl Rights {
    pub fn may_not(says: impl Into<String>, fix: impl Into<String>) -> Rights {
        Rights::MayNot { says: says.into(), fix: fix.into() }
    }

    /// The question itself was refused, or not answered. That proves nothing about the change.
    pub fn unasked(what: &str, no: &NoAnswer) -> Rights {
        Rights::Untold(format!("{what} is not told ({}: {})", no.layer, no.says))
    }

    pub fn finding(self) -> Finding {
        match self {
            Rights::May(says) => Finding::ok(says),
            Rights::MayNot { says, fix } => Finding::of(Grade::Bad, "PM5803", says, fix),
            Rights::But { says, fix } => Finding::of(Grade::Warn, "PM5811", says, fix),
            Rights::Untold(says) => {
                let says =
                    format!("whether the change would be allowed is not known before it is done: {says}");
                Finding::of(Grade::Open, "PM5802", says, "a drill shows it")
            }
        }
    }
}

/// Told when `ends` (RFC 3339) is near. An end that cannot be read is none that is told.
pub fn ends(what: &str, ends: &Value, now: Time) -> Option<Rights> {
    let at: jiff::Timestamp = ends.as_str()?.parse().ok()?;
    let now = jiff::Timestamp::from_microsecond(now.0).ok()?;
    let days = at.duration_since(now).as_hours() / 24;
    (days < SOON_DAYS).then(|| {
        let says = match at > now {
            true => format!("{what} ends on {at}, in {days} days: then no change is allowed any more"),
            false => format!("{what} has ended on {at}"),
        };
        Rights::But { says, fix: "make a new one now, and put it into the configuration".into() }
    })
}

/// The account of a token at DigitalOcean. What the token may do is not told by any question.
pub fn of_digitalocean(answer: Answer) -> Vec<Rights> {
    const UNTOLD: &str = "DigitalOcean tells nobody which scopes a token has";
    let said = match answer.read() {
        Ok(said) => said,
        Err(no) => return vec![Rights::unasked("the token's account", &no), Rights::Untold(UNTOLD.into())],
    };
    let status = said["account"]["status"].as_str().unwrap_or("unknown");
    let message = said["account"]["status_message"].as_str().unwrap_or_default();
    let says = format!("the account at DigitalOcean is {status}: {message}");
    match status {
        "active" => vec![Rights::Untold(UNTOLD.into())],
        "locked" => vec![Rights::may_not(says, "have the account unlocked by DigitalOcean's support")],
        _ => vec![
            Rights::But { says, fix: "see to what DigitalOcean asks for".into() },
            Rights::Untold(UNTOLD.into()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_end_that_is_near_is_told_and_nothing_is_made_of_one_that_cannot_be_read() {
        let now = Time(jiff::Timestamp::constant(1_800_000_000, 0).as_microsecond());
        let told = |text: &str| ends("the token", &json!(text), now).map(Rights::finding);
        assert_eq!(told("2027-02-15T08:00:00Z"), None);
        assert!(
            told("2027-01-20T08:00:00Z")
                .is_some_and(|f| f.grade == Grade::Warn && f.says.contains("in 5 days"))
        );
        assert!(told("2026-01-20T08:00:00Z").is_some_and(|f| f.says.contains("has ended")));
        assert_eq!((told("soon"), ends("the token", &Value::Null, now)), (None, None));
    }

    #[test]
    fn nothing_that_is_not_told_is_well() {
        assert_eq!(Rights::Untold("x".into()).finding().grade, Grade::Open);
        let no = NoAnswer { layer: "api", says: "403".into() };
        assert_eq!(Rights::unasked("it", &no).finding().grade, Grade::Open);
        assert_eq!(Rights::may_not("no", "fix").finding().grade, Grade::Bad);
        let locked = Answer::Good(json!({ "account": { "status": "locked" } }));
        assert_eq!(of_digitalocean(locked)[0].clone().finding().grade, Grade::Bad);
        let active = Answer::Good(json!({ "account": { "status": "active" } }));
        let grades =
            |answer| of_digitalocean(answer).into_iter().map(|r| r.finding().grade).collect::<Vec<_>>();
        assert_eq!(grades(active), [Grade::Open]);
        assert_eq!(grades(Answer::Good(json!({}))), [Grade::Warn, Grade::Open]);
        assert_eq!(grades(Answer::Doubt("lost".into())), [Grade::Open, Grade::Open]);
    }
}
