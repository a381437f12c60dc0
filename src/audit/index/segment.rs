//! The words are in tables of a segment of positions each. FTS5 walks two frequent phrases that never meet to the ends of
//! both, whatever the bounds; so the tables are what bounds a walk, and two of them are asked at once.

use crate::kernel::domain::Position;

/// Positions of a segment, as a power of two.
const BITS: u32 = if cfg!(test) { 7 } else { 18 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment(u64);

impl Segment {
    pub fn of(position: Position) -> Segment {
        Segment(position >> BITS)
    }

    /// Those of a range, oldest first.
    pub fn all(range: (Position, Position)) -> impl DoubleEndedIterator<Item = Segment> {
        (range.0 >> BITS..=range.1 >> BITS).map(Segment)
    }

    /// Its first position, and its last.
    pub fn ends(self) -> (Position, Position) {
        (self.0 << BITS, (self.0 << BITS) + (1 << BITS) - 1)
    }

    pub fn table(self) -> String {
        format!("words_{}", self.0)
    }
}
