//! `windows`: when a playbook may start by itself. People are not bound by it.
//!
//! ```yaml
//! windows: { zone: Europe/Berlin, allow: ["Mon-Fri 08:00-18:00"], block: ["Fri 16:00-24:00"] }
//! ```

use crate::document::{Sink, Table, code};
use crate::kernel::domain::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: u16 = 24 * 60;
/// Entries of each list.
const MOST: usize = 50;

#[derive(Clone, Debug)]
pub struct Windows {
    zone: String,
    tz: TimeZone,
    /// Empty: always, but for what is blocked.
    allow: Vec<Window>,
    block: Vec<Window>,
}

/// Some days of the week, from a minute of the day to another; past midnight where the end is not later.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    text: String,
    days: [bool; 7],
    from: u16,
    to: u16,
}

impl Windows {
    /// Whether a run may start by itself at that time; else why not.
    pub fn allow(&self, now: Time) -> Result<(), String> {
        let at = Timestamp::from_microsecond(now.0).map_err(|e| format!("the time cannot be read: {e}"))?;
        let local = at.to_zoned(self.tz.clone());
        let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let here = format!("{} {:02}:{:02} in {}", DAYS[day], minute / 60, minute % 60, self.zone);
        if let Some(blocked) = self.block.iter().find(|w| w.holds(day, minute)) {
            return Err(format!("it is {here}, which is blocked by {:?}", blocked.text));
        }
        if self.allow.is_empty() || self.allow.iter().any(|w| w.holds(day, minute)) {
            return Ok(());
        }
        let allowed: Vec<&str> = self.allow.iter().map(|w| w.text.as_str()).collect();
        Err(format!("it is {here}, and only {} is allowed", allowed.join(", ")))
    }
}

impl Window {
    fn holds(&self, day: usize, minute: u16) -> bool {
        let yesterday = (day + 6) % 7;
        match self.from < self.to {
            true => self.days[day] && (self.from..self.to).contains(&minute),
            false => (self.days[day] && minute >= self.from) || (self.days[yesterday] && minute < self.to),
        }
    }

    /// `Mon-Fri 08:00-18:00`, `Sat,Sun`, `22:00-06:00`.
    fn parse(text: &str) -> Result<Window, String> {
        let bad = || format!("{text:?} is no window; write it like \"Mon-Fri 08:00-18:00\" or \"Sat,Sun\"");
        let parts: Vec<&str> = text.split_whitespace().collect();
        let is_time = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let (days, times) = match parts.as_slice() {
            [times] if is_time(times) => (None, Some(*times)),
            [days] => (Some(*days), None),
            [days, times] => (Some(*days), Some(*times)),
            _ => return Err(bad()),
        };
        let days = days.map_or(Some([true; 7]), parse_days).ok_or_else(bad)?;
        let (from, to) = times.map_or(Some((0, DAY)), parse_times).ok_or_else(bad)?;
        Ok(Window { text: text.to_owned(), days, from, to })
    }
}

fn parse_days(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|d| *d == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + 7 - first) % 7;
        (0..=count).for_each(|n| days[(first + n) % 7] = true);
    }
    Some(days)
}

fn parse_times(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        (digits(hour) && digits(minute)).then_some(())?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to && from < DAY).then_some((from, to))
}

pub(super) fn read(top: &Table<'_>) -> Option<Windows> {
    let table = top.table("windows")?;
    let zone = table.need_text("zone").unwrap_or("UTC").to_owned();
    let tz = match (zone.as_str(), TimeZone::get(&zone)) {
        ("UTC", _) => TimeZone::UTC,
        (_, Ok(tz)) => tz,
        (_, Err(error)) => {
            let at = table.get("zone").map_or(table.at.clone(), |node| node.at.clone());
            let hint = "a name of the zone database, like Europe/Berlin or UTC; is it on this machine?";
            table.sink.error_hint(code::BAD_VALUE, at, format!("zone {zone:?}: {error}"), hint);
            TimeZone::UTC
        }
    };
    let windows = Windows { zone, tz, allow: entries(&table, "allow"), block: entries(&table, "block") };
    if table.get("allow").is_none() && table.get("block").is_none() {
        table.sink.error(code::MISSING, table.at.clone(), "\"windows\" has neither \"allow\" nor \"block\"");
    }
    table.finish();
    Some(windows)
}

fn entries(table: &Table<'_>, key: &'static str) -> Vec<Window> {
    let sink: &Sink = table.sink;
    let nodes = table.list(key).unwrap_or_default();
    if nodes.len() > MOST || (table.get(key).is_some() && nodes.is_empty()) {
        sink.error(code::BAD_VALUE, table.key_at(key), format!("{key:?} has 1 to {MOST} entries"));
    }
    let one = |node| match Window::parse(sink.text(node, &format!("each of {key:?}"))?) {
        Ok(window) => Some(window),
        Err(says) => {
            sink.error(code::BAD_VALUE, node.at.clone(), says);
            None
        }
    };
    nodes.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(zone: &str, allow: &[&str], block: &[&str]) -> Windows {
        let all = |texts: &[&str]| texts.iter().map(|t| Window::parse(t).unwrap()).collect();
        let tz = TimeZone::get(zone).unwrap();
        Windows { zone: zone.into(), tz, allow: all(allow), block: all(block) }
    }
    fn at(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn days_times_and_zones_hold() {
        // 2026-11-20 is a Friday.
        let office = windows("UTC", &["Mon-Fri 08:00-18:00"], &["Fri 16:00-24:00"]);
        let verdicts = [
            ("2026-11-20T07:59:59Z", false),
            ("2026-11-20T08:00:00Z", true),
            ("2026-11-20T15:59:00Z", true),
            ("2026-11-20T16:00:00Z", false),
            ("2026-11-21T09:00:00Z", false),
            ("2026-11-23T17:59:59Z", true),
            ("2026-11-23T18:00:00Z", false),
        ];
        for (time, allowed) in verdicts {
            assert_eq!(office.allow(at(time)).is_ok(), allowed, "{time}: {:?}", office.allow(at(time)));
        }
        let why = office.allow(at("2026-11-20T16:30:00Z")).unwrap_err();
        assert!(why.contains("Fri 16:30 in UTC") && why.contains("Fri 16:00-24:00"), "{why}");
    }

    #[test]
    fn a_night_belongs_to_the_day_it_begins() {
        let night = windows("UTC", &["Sat 22:00-06:00"], &[]);
        for (time, allowed) in [
            ("2026-11-21T22:00:00Z", true),
            ("2026-11-22T05:59:00Z", true),
            ("2026-11-22T06:00:00Z", false),
            ("2026-11-21T05:00:00Z", false),
            ("2026-11-22T22:30:00Z", false),
        ] {
            assert_eq!(night.allow(at(time)).is_ok(), allowed, "{time}");
        }
        assert!(windows("UTC", &[], &["Fri-Mon"]).allow(at("2026-11-22T12:00:00Z")).is_err());
        assert!(windows("UTC", &[], &["Fri-Mon"]).allow(at("2026-11-24T12:00:00Z")).is_ok());
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in
            ["", "Mo", "Mon 8:00-9:00", "Mon 08:00", "08:00-08:00", "25:00-26:00", "Mon-Fri 08:60-09:00"]
        {
            assert!(Window::parse(text).is_err(), "{text:?}");
        }
        assert!(Window::parse("Mon 08:00-18:00 extra").is_err());
    }
}
