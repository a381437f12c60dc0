//! The hash chain over stored records. Every backend and every verifier uses this one function; one that has two records at
//! hand may use [`super::PairHash`].

use crate::domain::{Digest, Position, Seq, Time};
use sha2::{Digest as _, Sha256};

/// All of a record that the chain covers: every stored column, text as its bytes in UTF-8.
pub struct ChainLink<'a> {
    pub prev: Digest,
    pub position: Position,
    pub stream: &'a [u8],
    pub seq: Seq,
    pub at: Time,
    pub kind: &'a [u8],
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
    hashed(link, body, |bytes| hash.update(bytes));
    Digest(hash.finalize().into())
}

/// The bytes that are hashed, piece by piece.
#[inline]
pub(super) fn hashed(link: &ChainLink<'_>, body: Digest, mut write: impl FnMut(&[u8])) {
    let length = |text: &[u8]| u32::try_from(text.len()).expect("invariant: names are short").to_be_bytes();
    write(b"pm1");
    write(&link.prev.0);
    write(&link.position.to_be_bytes());
    write(&length(link.stream));
    write(link.stream);
    write(&link.seq.to_be_bytes());
    write(&link.at.0.to_be_bytes());
    write(&length(link.kind));
    write(link.kind);
    write(&u64::from(link.version).to_be_bytes());
    write(&body.0);
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
            stream: stream.as_bytes(),
            seq: 1,
            at: Time(at),
            kind: kind.as_bytes(),
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
