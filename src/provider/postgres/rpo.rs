//! What may be lost by a promotion, from samples taken while the old primary still answered. Unknown is
//! `None`.

use super::sampler::Window;
use crate::kernel::domain::{Lsn, Rpo, Time};
use crate::kernel::port::Sample;
use crate::units::show_bytes;

/// What is known of the two ends of the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Timeline that both wrote and received.
    pub timeline: Option<u32>,
    /// What the standby had when it was, or would be, promoted.
    pub had: Option<Lsn>,
    /// When the standby was seen to have all of a fenced primary's log.
    pub drained: Option<Time>,
}

/// Sound because a sample's time is taken before its question is sent: all that was committed before it lies
/// at or below the position that came back.
pub fn rpo(samples: &[Sample], ends: Ends) -> Rpo {
    if let Some(at) = ends.drained {
        let says = "nothing is lost: the standby had all of the fenced primary's log".to_owned();
        return Rpo { bytes: Some(0), last_safe: Some(at), says };
    }
    let unknown = |says: &str| Rpo { bytes: None, last_safe: None, says: says.to_owned() };
    let Some(had) = ends.had else {
        return unknown("unknown: it cannot be told what the standby had when it was promoted");
    };
    let of_this = |sample: &Sample| sample.timeline.is_some() && sample.timeline == ends.timeline;
    known(samples, &of_this, had)
        .unwrap_or_else(|| unknown("unknown: no position of the old primary was sampled on this timeline"))
}

/// The same for any log whose positions can be compared among the samples that `of_this` picks. `None`: no such one.
pub fn known(samples: &[Sample], of_this: &dyn Fn(&Sample) -> bool, had: Lsn) -> Option<Rpo> {
    let usable: Vec<&Sample> =
        samples.iter().filter(|sample| sample.primary.is_some() && of_this(sample)).collect();
    let last = usable.last()?;
    let end = last.primary.unwrap_or(had);
    let safe = usable.iter().rev().find(|sample| sample.primary.is_some_and(|primary| primary <= had));
    let bytes = end.0.saturating_sub(had.0);
    let known = match safe {
        Some(safe) => format!("everything committed before {} is there", clock(safe.at)),
        None => "no sample is old enough to say from when on everything is there".to_owned(),
    };
    let lost = if bytes == 0 {
        "nothing known is lost".to_owned()
    } else {
        format!("{} known to be lost", show_bytes(bytes))
    };
    let until =
        Window::of(samples).first_failed.map_or(String::new(), |at| format!(" (first failed {})", clock(at)));
    let says = format!(
        "{lost}; {known}; the old primary was last seen {}{until}: later writes are not known",
        clock(last.at)
    );
    Some(Rpo { bytes: Some(bytes), last_safe: safe.map(|sample| sample.at), says })
}

/// `03:10:41.250 UTC`
pub fn clock(at: Time) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(stamp) => stamp.strftime("%H:%M:%S.%3f UTC").to_string(),
        Err(_) => format!("{} µs", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: i64, primary: Option<u64>, timeline: u32) -> Sample {
        Sample {
            at: Time(at),
            primary: primary.map(Lsn),
            standby: None,
            timeline: Some(timeline),
            lineage: None,
        }
    }
    fn ends(had: u64) -> Ends {
        Ends { timeline: Some(1), had: Some(Lsn(had)), drained: None }
    }

    #[test]
    fn the_last_safe_time_is_the_last_sample_that_the_standby_had() {
        let samples =
            [sample(1, Some(100), 1), sample(2, Some(200), 1), sample(3, Some(300), 1), sample(4, None, 1)];
        let found = rpo(&samples, ends(250));
        assert_eq!((found.bytes, found.last_safe), (Some(50), Some(Time(2))));
        let found = rpo(&samples, ends(300));
        assert_eq!((found.bytes, found.last_safe), (Some(0), Some(Time(3))));
    }

    #[test]
    fn unknown_is_never_zero() {
        let none = rpo(&[], ends(250));
        assert_eq!((none.bytes, none.last_safe), (None, None));
        let other_timeline = rpo(&[sample(1, Some(100), 2)], ends(250));
        assert_eq!((other_timeline.bytes, other_timeline.last_safe), (None, None));
        let no_end = rpo(&[sample(1, Some(100), 1)], Ends { had: None, ..ends(0) });
        assert_eq!(no_end.bytes, None);
        let all_newer = rpo(&[sample(1, Some(900), 1)], ends(250));
        assert_eq!((all_newer.bytes, all_newer.last_safe), (Some(650), None));
    }

    #[test]
    fn a_drain_is_no_loss() {
        let drained = rpo(&[], Ends { drained: Some(Time(7)), ..Ends::default() });
        assert_eq!((drained.bytes, drained.last_safe), (Some(0), Some(Time(7))));
    }
}
