//! `X-Pointsman-Signature: t=SECONDS,v1=HEX`: HMAC-SHA256 over the time, a dot and the very bytes of the body. For senders
//! that do not look at certificates and can count in hex only, as scripts in Zabbix: a token could be taken from them by
//! whoever stands in between, a signature cannot.

mod scheme;

pub use scheme::claim;

use crate::kernel::domain::Secret;
use aws_lc_rs::hmac;

pub const HEADER: &str = "x-pointsman-signature";
/// Both ways: a clock that is ahead must not make a request last longer.
const WINDOW: u64 = 300;
/// While a secret is changed, a sender may sign with both.
const MOST: usize = 4;

/// What a request claims; nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is signed in front of the body.
    before: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    /// The secret is written in base64, behind `whsec_`.
    whsec: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("its signature is not written as it should be")]
    Malformed,
    #[error("its time is further away from ours than may be: compare the clocks")]
    NotNow,
    #[error("its signature is not good: the secrets differ, or the body was changed on its way")]
    Wrong,
    #[error("the configured secret is not one of Standard Webhooks: whsec_ and base64")]
    NotWhsec,
}

impl Claim {
    /// `now`: seconds since 1970, on the wall.
    pub fn read(header: &str, now: u64) -> Result<Claim, Unsigned> {
        let (mut at, mut signatures) = (None, vec![]);
        for part in header.split(',') {
            match part.trim().split_once('=').ok_or(Unsigned::Malformed)? {
                ("t", text) if at.is_none() => at = Some(text.parse().map_err(|_| Unsigned::Malformed)?),
                ("t", _) => return Err(Unsigned::Malformed),
                ("v1", text) => signatures.push(hex::decode(text).map_err(|_| Unsigned::Malformed)?),
                // Of a later version: one that we know must be good.
                _ => {}
            }
        }
        let at: u64 = at.ok_or(Unsigned::Malformed)?;
        Claim { before: format!("{at}.").into_bytes(), signatures, whsec: false }
            .bounded(Some((at, WINDOW)), now)
    }

    /// `at`: the time that is signed, and how far it may be from ours.
    fn bounded(self, at: Option<(u64, u64)>, now: u64) -> Result<Claim, Unsigned> {
        if self.signatures.is_empty() || self.signatures.len() > MOST {
            return Err(Unsigned::Malformed);
        }
        match at {
            Some((at, window)) if now.abs_diff(at) > window => Err(Unsigned::NotNow),
            _ => Ok(self),
        }
    }

    pub fn verify(&self, secret: &Secret, body: &[u8]) -> Result<(), Unsigned> {
        let key = match self.whsec {
            true => scheme::whsec(secret)?,
            false => secret.expose().as_bytes().to_vec(),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [&self.before, body].concat();
        // Compares in constant time.
        let good = self.signatures.iter().any(|given| hmac::verify(&key, &signed, given).is_ok());
        if good { Ok(()) } else { Err(Unsigned::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;
    /// `printf '1700000000.{"event_id":"1"}' | openssl dgst -sha256 -hmac secret`
    const GOOD: &str = "09bea032bfe264fcf59a2195ac23bf6d2c01c4f8c62d00ef1ed4cf50136e0770";

    fn check(header: &str, secret: &str, body: &str, now: u64) -> Result<(), Unsigned> {
        Claim::read(header, now)?.verify(&Secret::new(secret), body.as_bytes())
    }

    #[test]
    fn what_another_program_signed_and_only_that() {
        let (body, header) = (r#"{"event_id":"1"}"#, format!("t={NOW},v1={GOOD}"));
        for now in [NOW, NOW - 300, NOW + 300] {
            assert_eq!(check(&header, "secret", body, now), Ok(()));
        }
        for now in [NOW - 301, NOW + 301] {
            assert_eq!(check(&header, "secret", body, now), Err(Unsigned::NotNow), "both ways");
        }
        assert_eq!(check(&header, "another", body, NOW), Err(Unsigned::Wrong));
        assert_eq!(check(&header, "secret", &format!("{body} "), NOW), Err(Unsigned::Wrong));
        let other_time = format!("t={},v1={GOOD}", NOW + 1);
        assert_eq!(check(&other_time, "secret", body, NOW), Err(Unsigned::Wrong), "the time is signed too");
        let rotating = format!("t={NOW}, v1={}, v1={GOOD}, v2=abc", "00".repeat(32));
        assert_eq!(check(&rotating, "secret", body, NOW), Ok(()));
    }

    #[test]
    fn what_is_not_a_signature_is_none() {
        let bad =
            ["", "t=1", "v1=00", "t=,v1=00", "t=x,v1=00", "t=-1,v1=00", "t=1,v1=0g", "t=1,t=1,v1=00", "v1"];
        for bad in bad {
            assert_eq!(Claim::read(bad, 1), Err(Unsigned::Malformed), "{bad}");
        }
        let many = format!("t=1{}", ",v1=00".repeat(5));
        assert_eq!(Claim::read(&many, 1), Err(Unsigned::Malformed));
        let empty = Claim::read("t=1,v1=", 1).unwrap();
        assert_eq!(empty.verify(&Secret::new("s"), b""), Err(Unsigned::Wrong));
    }
}
