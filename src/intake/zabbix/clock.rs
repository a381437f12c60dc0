//! When a problem began and ended. Zabbix writes times in the zone of whoever is told, and does not say which. What it says
//! twice can be compared, though: the time of the message less that of the event is its age, in any zone, and our media
//! type adds the seconds since 1970 at which it sent.

use super::fields::Fields;
use crate::kernel::domain::{Span, Time};

/// Of a recovery or a problem; `None`: the arrival stands in.
pub(super) struct Clock {
    pub starts: Option<Time>,
    pub ends: Option<Time>,
}

/// No zone is further away from UTC than 14 hours. A message that waited for longer than the rest says nothing about now.
const AT_MOST_APART: i64 = 15 * 3_600;

pub(super) fn read(fields: &Fields) -> Clock {
    let began = since_1970(fields, "event_timestamp");
    let ended = since_1970(fields, "event_recovery_timestamp");
    Clock {
        starts: began.or_else(|| by_age(fields, "event_date", "event_time")),
        ends: ended.or_else(|| by_age(fields, "event_recovery_date", "event_recovery_time")),
    }
}

/// Newer Zabbix says it.
fn since_1970(fields: &Fields, name: &str) -> Option<Time> {
    seconds(fields.text(name)?).map(time)
}

fn seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|seconds| (1..=253_402_300_799).contains(seconds))
}

fn time(seconds: i64) -> Time {
    Time(seconds * i64::try_from(Span::secs(1).0).unwrap_or(1_000_000))
}

fn by_age(fields: &Fields, date: &str, time_of_day: &str) -> Option<Time> {
    let sent = seconds(fields.text("sent_at")?)?;
    let written = local(fields, "date", "time")?;
    let event = local(fields, date, time_of_day)?;
    let age = written - event;
    (age >= 0 && (sent - written).abs() <= AT_MOST_APART && sent > age).then(|| time(sent - age))
}

/// Seconds since 1970, if the zone were UTC.
fn local(fields: &Fields, date: &str, time: &str) -> Option<i64> {
    let text = format!("{} {}", fields.text(date)?, fields.text(time)?);
    let civil = jiff::civil::DateTime::strptime("%Y.%m.%d %H:%M:%S", &text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}
