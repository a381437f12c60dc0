//! Authoritative servers that gave no usable answer: unknown, unless the configuration says that they are lost together
//! with the site which the run leads away from. `dns.record` and the record actions of providers ask.

use crate::config::LostWith;
use crate::kernel::domain::{Name, StepPlan};
use std::net::SocketAddr;

/// One server, and where it failed, in words.
pub(crate) struct Silent {
    pub server: SocketAddr,
    pub says: String,
}

/// `Ok`: a warning for each server that is lost with the site; the others answered.
pub(crate) fn judge(
    silent: Vec<Silent>,
    lost_with: &LostWith,
    from_site: Option<&Name>,
) -> Result<Vec<String>, StepPlan> {
    let (lost, unknown): (Vec<Silent>, Vec<Silent>) =
        silent.into_iter().partition(|one| lost_with.expects(one.server, from_site));
    if !unknown.is_empty() {
        let each: Vec<String> = unknown
            .iter()
            .map(|one| format!("{} gave no usable answer ({})", one.server, one.says))
            .collect();
        let says = format!("{}; every server must answer alike", each.join("; "));
        return Err(StepPlan::unknown("PM4101", says));
    }
    let site = from_site.map_or("its site", Name::as_str);
    let warn = |one: Silent| {
        format!(
            "{} is lost with {site} ({}): should it come back, it may serve the old records until it follows",
            one.server, one.says
        )
    };
    Ok(lost.into_iter().map(warn).collect())
}
