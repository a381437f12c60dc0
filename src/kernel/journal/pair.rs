//! The chain hashes of two records at once. A block of SHA-256 waits for the one before it in the same message, and the processor
//! meanwhile has nothing to do; with the blocks of two messages in turn it works on both. For who checks what is stored: there the
//! hash before each record is known. A fifth less time a record (docs/PERFORMANCE.md).

use super::chain::{ChainLink, hashed};
use crate::domain::Digest;
use sha2::block_api::compress256;

/// FIPS 180-4, 5.3.3.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Room for two messages.
#[derive(Default)]
pub struct PairHash([Vec<u8>; 2]);

impl PairHash {
    /// For each what [`chain_hash`](super::chain_hash) says.
    pub fn of(&mut self, links: [&ChainLink<'_>; 2]) -> [Digest; 2] {
        let Self([one, other]) = self;
        let body = |room, link: &ChainLink<'_>| padded(room, |message| message.extend_from_slice(link.body));
        let bodies = digests(body(one, links[0]), body(other, links[1]));
        let link = |room, link, body| {
            padded(room, |message| hashed(link, body, |bytes| message.extend_from_slice(bytes)))
        };
        digests(link(one, links[0], bodies[0]), link(other, links[1], bodies[1]))
    }
}

/// FIPS 180-4, 5.1.1: a one bit, zeros, and the length in bits, which ends a block.
fn padded(message: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> &[[u8; 64]] {
    message.clear();
    write(message);
    let bits = 8 * message.len() as u64;
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend_from_slice(&bits.to_be_bytes());
    message.as_chunks().0
}

fn digests(one: &[[u8; 64]], other: &[[u8; 64]]) -> [Digest; 2] {
    let mut states = [START; 2];
    for (one, other) in one.iter().zip(other) {
        compress256(&mut states[0], std::slice::from_ref(one));
        compress256(&mut states[1], std::slice::from_ref(other));
    }
    let both = one.len().min(other.len());
    compress256(&mut states[0], &one[both..]);
    compress256(&mut states[1], &other[both..]);
    states.map(|state| {
        let mut digest = Digest::ZERO;
        for (bytes, word) in digest.0.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    })
}

#[cfg(test)]
mod tests {
    use super::super::chain_hash;
    use super::*;
    use crate::domain::Time;

    #[test]
    fn two_hash_as_one_does_whatever_their_lengths() {
        let text: Vec<u8> = (0..=255).cycle().take(400).collect();
        let link = |body: usize, name: usize| ChainLink {
            prev: Digest::of(&text[..body]),
            position: body as u64,
            stream: &text[..name],
            seq: u64::MAX,
            at: Time(-1),
            kind: &text[..body % 20],
            version: 3,
            body: &text[..body],
        };
        let mut pair = PairHash::default();
        // Every length of a last block beside every other, for the body as for what is around it.
        for one in 0..=130 {
            for other in 0..=130 {
                let (one, other) = (link(one, other), link(other, one));
                assert_eq!(pair.of([&one, &other]), [chain_hash(&one), chain_hash(&other)]);
            }
        }
    }
}
