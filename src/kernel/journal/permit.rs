//! The right to make one call: it contains the change as written, so apply can act only on what is on record.

use crate::domain::{Call, Change, Epoch, Position, Spec};

/// Not `Clone`, not `Default`, not deserialisable, no public constructor: only [`super::Journal`] mints one, after
/// its `Intended` is durable.
///
/// ```compile_fail
/// let forged = pointsman_kernel::journal::Permit { };
/// ```
#[derive(Debug)]
pub struct Permit {
    call: Call,
    spec: Spec,
    change: Change,
    epoch: Epoch,
    position: Position,
}

impl Permit {
    pub(super) fn mint(call: Call, spec: Spec, change: Change, epoch: Epoch, position: Position) -> Permit {
        Permit { call, spec, change, epoch, position }
    }

    /// For the planted mistakes of the simulator only, and in no shipped program: a permit that no record stands behind.
    #[cfg(any(test, feature = "planted"))]
    pub(crate) fn forged(call: Call, spec: Spec, change: Change) -> Permit {
        Permit { call, spec, change, epoch: 0, position: 0 }
    }

    /// The same call once more, as a network may deliver it twice. For the fault `repeat` alone.
    pub(crate) fn again(&self) -> Permit {
        let Permit { call, spec, change, epoch, position } = self;
        Permit::mint(*call, spec.clone(), change.clone(), *epoch, *position)
    }

    pub fn call(&self) -> Call {
        self.call
    }
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
    pub fn change(&self) -> &Change {
        &self.change
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Position of its `Intended`: unique for ever, so it serves as idempotency key.
    pub fn position(&self) -> Position {
        self.position
    }
}
