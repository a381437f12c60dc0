//! Offsets of a pair, taken while both answer: what a failover needs cannot be asked once the primary is gone. The ring
//! that keeps them is that of `postgres::sampler`; the worker calls this every second.

use super::port::{Endpoint, Port};
use crate::kernel::domain::{Lsn, Span, Time};
use crate::kernel::port::Sample;
use futures_util::future::join;

/// Asks both at once. `at` is read by the caller before the call. The history's name stands as lineage; there is no
/// timeline.
pub async fn sample(
    port: &dyn Port,
    primary: &Endpoint,
    replica: &Endpoint,
    at: Time,
    within: Span,
) -> Sample {
    let (first, second) = join(port.progress(primary, within), port.progress(replica, within)).await;
    let first = first.ok().filter(|progress| !progress.replica);
    let second = second.ok().filter(|progress| progress.replica);
    let lineage = first.as_ref().or(second.as_ref()).map(|progress| progress.replid.clone());
    Sample {
        at,
        primary: first.and_then(|progress| progress.offset).map(Lsn),
        standby: second.and_then(|progress| progress.offset).map(Lsn),
        timeline: None,
        lineage,
    }
}
