//! Points in time and lengths of time, as integers. There is no `now()` here: time is always handed in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Time {
    /// Length from `earlier` to here; zero when `earlier` is later (clocks of two machines differ).
    pub fn since(self, earlier: Time) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Span {
    pub const ZERO: Span = Span(0);
    pub const fn micros(n: u64) -> Span {
        Span(n)
    }
    pub const fn millis(n: u64) -> Span {
        Span(n.saturating_mul(1_000))
    }
    pub const fn secs(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000))
    }
    pub const fn mins(n: u64) -> Span {
        Span::secs(n.saturating_mul(60))
    }
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

/// For people and for the record: `2026-11-21 09:12:07 UTC`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.div_euclid(1_000_000);
        let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Days since 0000-03-01, in eras of 400 years: leap days come last in a year.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// For people: `340 ms`, `2.4 s`, `3 min 5 s`, `2 h 1 min`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0 / 1_000_000;
        match self.0 {
            0 => f.write_str("0 s"),
            1..1_000 => write!(f, "{} µs", self.0),
            1_000..1_000_000 => write!(f, "{} ms", self.0 / 1_000),
            1_000_000..60_000_000 => write!(f, "{}.{} s", secs, self.0 % 1_000_000 / 100_000),
            60_000_000..3_600_000_000 => write!(f, "{} min {} s", secs / 60, secs % 60),
            _ => write!(f, "{} h {} min", secs / 3_600, secs % 3_600 / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let said: Vec<String> =
            [Span(12), Span::millis(340), Span::millis(2_450), Span::secs(185), Span::mins(121)]
                .iter()
                .map(Span::to_string)
                .collect();
        assert_eq!(said, ["12 µs", "340 ms", "2.4 s", "3 min 5 s", "2 h 1 min"]);
    }

    #[test]
    fn times_read_as_a_calendar() {
        let days = [(0, "1970-01-01 00:00:00 UTC"), (951_782_400, "2000-02-29 00:00:00 UTC")];
        let more = [(1_763_716_327, "2025-11-21 09:12:07 UTC"), (-1, "1969-12-31 23:59:59 UTC")];
        for (secs, said) in days.into_iter().chain(more) {
            assert_eq!(Time(secs * 1_000_000).to_string(), said);
        }
    }

    #[test]
    fn a_clock_that_stands_behind_gives_zero_not_a_huge_span() {
        assert_eq!(Time(5).since(Time(9)), Span::ZERO);
        assert_eq!(Time(9).since(Time(5)), Span(4));
    }
}
