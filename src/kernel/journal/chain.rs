//! The hash chain over stored records. Every backend and every verifier uses this one function.

use crate::domain::{Digest, Position, Seq, Time};
use sha2::{Digest as _, Sha256};

/// All of a record that the chain covers: every stored column.
pub struct ChainLink<'a> {
    pub prev: Digest,
    pub position: Position,
    pub stream: &'a str,
    pub seq: Seq,
    pub at: Time,
    pub kind: &'a str,
    pub version: u16,
    pub body: &'a [u8],
}

/// `SHA-256("pm1" ‖ prev ‖ position ‖ stream ‖ seq ‖ at ‖ kind ‖ version ‖ SHA-256(body))`; variable fields are
/// prefixed with their length (u32 BE), integers are u64 BE, time is i64 µs BE.
pub fn chain_hash(link: &ChainLink<'_>) -> Digest {
    link_hash(link, Digest::of(link.body))
}

/// The same where only the digest of the body is at hand; `link.body` is not looked at.
pub fn link_hash(link: &ChainLink<'_>, body: Digest) -> Digest {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, s: &str| {
        let length = u32::try_from(s.len()).expect("invariant: names are short");
        hash.update(length.to_be_bytes());
        hash.update(s.as_bytes());
    };
    hash.update(b"pm1");
    hash.update(link.prev.0);
    hash.update(link.position.to_be_bytes());
    text(&mut hash, link.stream);
    hash.update(link.seq.to_be_bytes());
    hash.update(link.at.0.to_be_bytes());
    text(&mut hash, link.kind);
    hash.update(u64::from(link.version).to_be_bytes());
    hash.update(body.0);
    Digest(hash.finalize().into())
}

/// Time of the next record: the writer's clock, but never behind the last record.
pub fn next_time(last: Time, now: Time) -> Time {
    last.max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(stream: &str, kind: &str, position: u64, at: i64) -> Digest {
        chain_hash(&ChainLink {
            prev: Digest::ZERO,
            position,
            stream,
            seq: 1,
            at: Time(at),
            kind,
            version: 1,
            body: b"{}",
        })
    }

    #[test]
    fn every_column_counts_and_fields_cannot_run_into_each_other() {
        let base = link("run:A", "opened", 1, 5);
        assert_ne!(base, link("run:Ao", "pened", 1, 5));
        assert_ne!(base, link("run:A", "opened", 2, 5));
        assert_ne!(base, link("run:A", "opened", 1, 6));
    }
}
