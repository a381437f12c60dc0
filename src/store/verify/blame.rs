//! Which column of a record was changed, where that can be known. The chain says only "one of them"; undoing the
//! change in thought and hitting the stored hash again says which.

use super::rows::Stored;
use super::{BadRecord, Column};
use crate::kernel::domain::{Digest, Record, Seq};
use crate::kernel::journal::{ChainLink, chain_hash};

pub(super) fn pin_down(
    row: &Stored<'_>,
    prev: Digest,
    computed: Digest,
    expected: Seq,
    next: Option<&Stored<'_>>,
) -> BadRecord {
    if next.is_some_and(|next| chain_hash(&next.link(computed)).0 == *next.hash) {
        // The record after it was chained to what the columns say: only the stored hash is another one.
        return row.bad(Column::Hash, "its stored hash was changed");
    }
    let would_fit = |link: ChainLink<'_>| chain_hash(&link).0 == *row.hash;
    if would_fit(ChainLink { seq: expected, ..row.link(prev) }) {
        return row.bad(Column::Seq, format!("its sequence was changed; it was {expected}"));
    }
    match Record::decode(&String::from_utf8_lossy(row.kind), 1, row.body) {
        Ok(record) => {
            let (kind, version) = (record.kind(), record.version());
            if would_fit(ChainLink { kind: kind.as_bytes(), ..row.link(prev) }) {
                return row.bad(Column::Kind, format!("its kind was changed; it was {kind}"));
            }
            if would_fit(ChainLink { version, ..row.link(prev) }) {
                return row.bad(Column::Version, format!("its version was changed; it was {version}"));
            }
            row.bad(Column::Covered, "one of its columns was changed (stream, sequence, time, body or hash)")
        }
        Err(why) => row.bad(Column::Body, format!("its body was changed: {why}")),
    }
}
