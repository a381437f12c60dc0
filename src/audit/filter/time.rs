//! Points in time as people type them in a filter: `3h`, `2026-11-21`, `2026-11-21T03:12`, with or without an offset.

use super::When;
use crate::kernel::domain::Time;
use crate::units::parse_span;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::fmt;

/// Without an offset it is UTC, as in the record itself.
pub(super) fn read(text: &str) -> Result<When, String> {
    if let Ok(span) = parse_span(text) {
        return Ok(When::Ago(span));
    }
    let exact = |at: Timestamp| When::At(Time(at.as_microsecond()));
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).map(|at: Zoned| exact(at.timestamp()));
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(exact(at));
    }
    let civil = match text.contains('T') {
        true => text.parse::<DateTime>().and_then(utc),
        false => text.parse::<Date>().and_then(|day| utc(day.at(0, 0, 0, 0))),
    };
    civil.map_err(|_| {
        format!(
            "{text:?} is no time; write how long ago, like 3h or 30m, or 2026-11-21, 2026-11-21T03:12 (UTC) or \
             2026-11-21T04:12+01:00"
        )
    })
}

pub(super) fn write(f: &mut fmt::Formatter<'_>, at: Time) -> fmt::Result {
    match Timestamp::from_microsecond(at.0) {
        Ok(stamp) => write!(f, "{stamp}"),
        // Times come from the parser, which knows no others.
        Err(_) => write!(f, "{}", at.0),
    }
}
