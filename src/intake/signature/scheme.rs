//! Signatures as other senders write them: Standard Webhooks, and a header with an HMAC of the body, with or without a time.

use super::{Claim, Unsigned};
use crate::config::{HeaderScheme, Scheme};
use crate::kernel::domain::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

/// Five minutes, as the libraries of Standard Webhooks have it.
const WINDOW: u64 = 300;

/// What the headers of a request claim. None: it is not signed.
pub fn claim(scheme: &Scheme, headers: &HeaderMap, now: u64) -> Result<Option<Claim>, Unsigned> {
    match scheme {
        Scheme::Pointsman => {
            let text = only(headers, super::HEADER)?;
            text.map(|text| Claim::read(text, now)).transpose()
        }
        Scheme::StandardWebhooks => standard(headers, now),
        Scheme::Header(scheme) => by_header(scheme, headers, now),
    }
}

/// A header that stands there twice could be read as either.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Unsigned> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(Unsigned::Malformed);
    }
    first.map(|value| value.to_str().map_err(|_| Unsigned::Malformed)).transpose()
}

fn seconds(text: &str) -> Result<u64, Unsigned> {
    text.trim().parse().map_err(|_| Unsigned::Malformed)
}

/// `webhook-signature: v1,BASE64 v1,BASE64` over the id, the time and the body.
fn standard(headers: &HeaderMap, now: u64) -> Result<Option<Claim>, Unsigned> {
    let Some(text) = only(headers, "webhook-signature")? else { return Ok(None) };
    let id = only(headers, "webhook-id")?.ok_or(Unsigned::Malformed)?;
    let time = only(headers, "webhook-timestamp")?.ok_or(Unsigned::Malformed)?;
    // Of another kind (`v1a` is a key pair's): one that we know must be good.
    let ours = text.split_whitespace().filter_map(|each| each.strip_prefix("v1,"));
    let signatures: Result<Vec<_>, _> = ours.map(|each| STANDARD.decode(each)).collect();
    let signatures = signatures.map_err(|_| Unsigned::Malformed)?;
    let before = format!("{id}.{time}.").into_bytes();
    Claim { before, signatures, whsec: true }.bounded(Some((seconds(time)?, WINDOW)), now).map(Some)
}

fn by_header(scheme: &HeaderScheme, headers: &HeaderMap, now: u64) -> Result<Option<Claim>, Unsigned> {
    let Some(text) = only(headers, &scheme.header)? else { return Ok(None) };
    let decode = |each: &str| match scheme.base64 {
        true => STANDARD.decode(each).map_err(|_| Unsigned::Malformed),
        false => hex::decode(each).map_err(|_| Unsigned::Malformed),
    };
    // Several, while the sender changes its secret.
    let each = text.split([',', ' ']).map(str::trim).filter(|each| !each.is_empty());
    let ours = each.filter_map(|each| each.strip_prefix(scheme.prefix.as_str()));
    let signatures = ours.map(decode).collect::<Result<Vec<_>, _>>()?;
    let Some(name) = &scheme.time_header else {
        return Claim { before: vec![], signatures, whsec: false }.bounded(None, now).map(Some);
    };
    // Without the time it would be good for ever: it is asked for where it is configured.
    let time = only(headers, name)?.ok_or(Unsigned::Malformed)?;
    let at = (seconds(time)?, scheme.window.0 / 1_000_000);
    let before = format!("{time}{}", scheme.separator).into_bytes();
    Claim { before, signatures, whsec: false }.bounded(Some(at), now).map(Some)
}

/// The key within `whsec_…`.
pub(super) fn whsec(secret: &Secret) -> Result<Vec<u8>, Unsigned> {
    let coded = secret.expose().strip_prefix("whsec_").ok_or(Unsigned::NotWhsec)?;
    STANDARD.decode(coded).ok().filter(|key| !key.is_empty()).ok_or(Unsigned::NotWhsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::domain::Span;

    const NOW: u64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"a":1}"#;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn check(scheme: &Scheme, pairs: &[(&str, &str)], secret: &str, now: u64) -> Result<(), Unsigned> {
        claim(scheme, &headers(pairs), now)?.unwrap().verify(&Secret::new(secret), BODY)
    }

    /// `printf 'msg_1.1700000000.{"a":1}' | openssl dgst -sha256 -hmac KEY -binary | base64`, where KEY is thirty-two letters k.
    const STANDARD_GOOD: &str = "tDnYFrCIK4MQWDoOot4FXQ7/xKQ3Ta7J5hEfw60KmoA=";
    /// `printf '1700000000:{"a":1}' | openssl dgst -sha256 -hmac secret`
    const GRAFANA_GOOD: &str = "4f0bff5cd8903c8149837f5187dd1ebbb1ba3fe7acd2a8b61cb3fb91e509a6ad";
    /// `printf '{"a":1}' | openssl dgst -sha256 -hmac secret`
    const PAGERDUTY_GOOD: &str = "aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494";

    #[test]
    fn standard_webhooks_as_another_program_signs() {
        let secret = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
        let good = format!("v1a,AAAA v1,{STANDARD_GOOD}");
        let pairs = |id: &'static str, at: &'static str| {
            [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", &*good)]
        };
        let scheme = Scheme::StandardWebhooks;
        for now in [NOW, NOW - 300, NOW + 300] {
            assert_eq!(check(&scheme, &pairs("msg_1", "1700000000"), secret, now), Ok(()));
        }
        for now in [NOW - 301, NOW + 301] {
            assert_eq!(check(&scheme, &pairs("msg_1", "1700000000"), secret, now), Err(Unsigned::NotNow));
        }
        assert_eq!(check(&scheme, &pairs("msg_2", "1700000000"), secret, NOW), Err(Unsigned::Wrong));
        assert_eq!(check(&scheme, &pairs("msg_1", "1700000001"), secret, NOW), Err(Unsigned::Wrong));
        for secret in ["whsec_", "whsec_***", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"] {
            assert_eq!(check(&scheme, &pairs("msg_1", "1700000000"), secret, NOW), Err(Unsigned::NotWhsec));
        }
        let lone = [("webhook-signature", good.as_str()), ("webhook-id", "msg_1")];
        assert_eq!(claim(&scheme, &headers(&lone), NOW), Err(Unsigned::Malformed), "no time, no bound");
        assert_eq!(claim(&scheme, &headers(&[]), NOW), Ok(None));
        let only_key_pair =
            [("webhook-id", "m"), ("webhook-timestamp", "1"), ("webhook-signature", "v1a,AA")];
        assert_eq!(claim(&scheme, &headers(&only_key_pair), NOW), Err(Unsigned::Malformed));
    }

    #[test]
    fn a_header_with_and_without_a_time() {
        let with_time = HeaderScheme {
            header: "x-sig".into(),
            base64: false,
            prefix: String::new(),
            time_header: Some("x-time".into()),
            separator: ":".into(),
            window: Span::mins(5),
        };
        let timed = Scheme::Header(with_time.clone());
        let pairs = [("x-sig", GRAFANA_GOOD), ("x-time", "1700000000")];
        assert_eq!(check(&timed, &pairs, "secret", NOW), Ok(()));
        assert_eq!(check(&timed, &pairs, "secret", NOW + 301), Err(Unsigned::NotNow));
        assert_eq!(check(&timed, &pairs, "another", NOW), Err(Unsigned::Wrong));
        assert_eq!(
            claim(&timed, &headers(&pairs[..1]), NOW),
            Err(Unsigned::Malformed),
            "the time is asked for"
        );
        let twice = [("x-sig", GRAFANA_GOOD), ("x-sig", GRAFANA_GOOD), ("x-time", "1700000000")];
        assert_eq!(claim(&timed, &headers(&twice), NOW), Err(Unsigned::Malformed));

        let plain = HeaderScheme { prefix: "v1=".into(), time_header: None, ..with_time };
        let base64 = STANDARD.encode(hex::decode(PAGERDUTY_GOOD).unwrap());
        let rotating = format!("v1={}, v1={PAGERDUTY_GOOD},v0=zz", "00".repeat(32));
        assert_eq!(check(&Scheme::Header(plain.clone()), &[("x-sig", &rotating)], "secret", NOW), Ok(()));
        let in_base64 = HeaderScheme { base64: true, prefix: String::new(), ..plain.clone() };
        assert_eq!(check(&Scheme::Header(in_base64), &[("x-sig", &base64)], "secret", NOW), Ok(()));
        for bad in ["", "v0=00", "v1=0g", "v1=00,v1=00,v1=00,v1=00,v1=00"] {
            let claimed = claim(&Scheme::Header(plain.clone()), &headers(&[("x-sig", bad)]), NOW);
            assert_eq!(claimed, Err(Unsigned::Malformed), "{bad}");
        }
    }
}
