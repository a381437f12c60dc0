//! Lengths of time, sizes and numbers as people write them: `30s`, `1h 5m`, `16MiB`, `1 run`.

use crate::kernel::domain::Span;

/// `30s`, `2m`, `1h 5m`, `250ms`. A bare number is an error: the unit is part of the value.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let bad = || format!("{text:?} is not a length of time; write it with its unit, like 30s, 5m or 1h 30m");
    let (days, rest) = days(text.trim());
    let duration = match rest {
        "" if days > 0 => jiff::SignedDuration::ZERO,
        rest => rest.parse().map_err(|_| bad())?,
    };
    let micros = u64::try_from(duration.as_micros()).map_err(|_| bad())?;
    days.checked_mul(DAY).and_then(|days| days.checked_add(micros)).map(Span).ok_or_else(bad)
}

const DAY: u64 = 86_400_000_000;

/// `400d` in front of the rest: a day here is 24 hours, whatever clocks do.
fn days(text: &str) -> (u64, &str) {
    let found = text.split_once('d').and_then(|(days, rest)| Some((days.trim().parse().ok()?, rest.trim())));
    found.unwrap_or((0, text))
}

/// `512`, `64KiB`, `16MiB`, `1GiB` (powers of 1024) or `kB`, `MB`, `GB` (powers of 1000), in bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size; write it like 512B, 64KiB, 16MiB or 1GiB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let factor: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

/// A size for people: `96 KiB`, `16 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// `1 run`, `2 runs`.
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_span("1h 5m"), Ok(Span::mins(65)));
        assert_eq!(parse_span("250ms"), Ok(Span::millis(250)));
        assert!(parse_span("30").is_err() && parse_span("-3s").is_err());
        assert_eq!(parse_span("400d"), Ok(Span::mins(400 * 24 * 60)));
        assert_eq!(parse_span("1d 12h"), Ok(Span::mins(36 * 60)));
        assert!(parse_span("d").is_err() && parse_span("-1d").is_err() && parse_span("1d x").is_err());
        assert_eq!(parse_bytes("16MiB"), Ok(16 << 20));
        assert_eq!((counted(1, "run"), counted(0, "run")), ("1 run".into(), "0 runs".into()));
        assert!(parse_bytes("16 Mb").is_err() && parse_bytes("").is_err());
    }
}
