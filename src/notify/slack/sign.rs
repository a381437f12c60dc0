//! Whether a request comes from Slack: the signature over the very bytes, and a time that is neither old nor ahead.

use crate::kernel::domain::Secret;
use aws_lc_rs::hmac;

/// Both ways: a clock that is ahead must not make a request last longer.
const WINDOW: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("it is not signed as Slack signs")]
    Malformed,
    #[error("its time is more than five minutes away from ours")]
    NotNow,
    #[error("its signature is not good")]
    Wrong,
}

/// `now`: seconds since 1970, on the wall.
pub fn verify(
    secret: &Secret,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: u64,
) -> Result<(), Unsigned> {
    let at: u64 = timestamp.parse().map_err(|_| Unsigned::Malformed)?;
    let given =
        signature.strip_prefix("v0=").and_then(|text| hex::decode(text).ok()).ok_or(Unsigned::Malformed)?;
    if now.abs_diff(at) > WINDOW {
        return Err(Unsigned::NotNow);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    // Compares in constant time.
    hmac::verify(&key, &signed, &given).map_err(|_| Unsigned::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's own documentation.
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=\
        https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=\
        398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const AT: u64 = 1_531_420_618;

    fn check(timestamp: &str, signature: &str, body: &str, now: u64) -> Result<(), Unsigned> {
        verify(&Secret::new("8f742231b10e8888abcd99yyyzzz85a5"), timestamp, signature, body.as_bytes(), now)
    }

    #[test]
    fn the_known_answer_and_only_that() {
        let at = AT.to_string();
        assert_eq!(check(&at, SIGNED, BODY, AT), Ok(()));
        for now in [AT + 300, AT - 300] {
            assert_eq!(check(&at, SIGNED, BODY, now), Ok(()));
        }
        for now in [AT + 301, AT - 301] {
            assert_eq!(check(&at, SIGNED, BODY, now), Err(Unsigned::NotNow), "both ways");
        }
        assert_eq!(check(&at, SIGNED, &format!("{BODY} "), AT), Err(Unsigned::Wrong));
        assert_eq!(
            check(&(AT + 1).to_string(), SIGNED, BODY, AT),
            Err(Unsigned::Wrong),
            "the time is signed too"
        );
        for bad in ["", "v0=", "v1=a2114d57", "a2114d57b48eac39", "v0=zz"] {
            assert!(check(&at, bad, BODY, AT).is_err(), "{bad}");
        }
        assert_eq!(check("soon", SIGNED, BODY, AT), Err(Unsigned::Malformed));
    }
}
