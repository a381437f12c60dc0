//! Times as senders written in Go give them: RFC 3339, any offset, nanoseconds, and the year 1 for "none".

use crate::kernel::domain::Time;

/// None: Go's zero time, which means that there is no time.
pub(super) fn parse(text: &str) -> Result<Option<Time>, String> {
    let short: String = text.chars().take(40).collect();
    let stamp: jiff::Timestamp = text.parse().map_err(|_| format!("{short:?} is not an RFC 3339 time"))?;
    let micros = stamp.as_microsecond();
    // Nothing that alerts today began before computers did; a year of 1 in any zone is not a time.
    Ok((micros > 0).then_some(Time(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_nanoseconds() {
        let utc = parse("2018-08-03T01:52:26.739266876Z").unwrap();
        assert_eq!(utc, Some(Time(1_533_261_146_739_266)));
        assert_eq!(parse("2018-08-03T09:52:26.739266876+08:00").unwrap(), utc);
        assert_eq!(parse("2018-08-02T19:52:26.739266876-06:00").unwrap(), utc);
    }

    #[test]
    fn the_year_1_is_no_time_in_any_zone() {
        assert_eq!(parse("0001-01-01T00:00:00Z").unwrap(), None);
        assert_eq!(parse("0001-01-01T00:00:00+08:00").unwrap(), None);
    }

    #[test]
    fn what_is_not_a_time_is_an_error_not_none() {
        for text in ["", "yesterday", "2018-08-03", "2018-08-03T01:52:26", "2018-13-03T01:52:26Z"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
