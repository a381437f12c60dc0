//! How long to wait: before the next look, and before the next attempt.

use crate::domain::{Retry, RunId, Span};

/// Pause before look number `polls` at something that is expected to change soon.
pub fn poll_delay(polls: u32) -> Span {
    match polls {
        0 => Span::ZERO,
        1..=6 => Span::millis(50),
        7..=24 => Span::millis(100),
        25..=36 => Span::millis(250),
        _ => Span::secs(1),
    }
}

/// Exponential with jitter of a quarter, from the run's own name: deterministic, yet two runs do not beat in time.
pub fn backoff(retry: &Retry, attempt: u32, run: &RunId) -> Span {
    let doubled = retry.backoff_from.0.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    let base = doubled.min(retry.backoff_to.0.max(retry.backoff_from.0));
    let seed =
        run.as_str().bytes().fold(u64::from(attempt), |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    Span(base - base / 4 + (base / 4).saturating_mul(seed % 100) / 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_is_bounded() {
        let retry = Retry { attempts: 5, backoff_from: Span::secs(2), backoff_to: Span::secs(30) };
        let run = RunId::from("7KQ4M2");
        let waits: Vec<u64> = (1..=6).map(|n| backoff(&retry, n, &run).as_millis()).collect();
        assert!(waits.iter().all(|w| (1_500..=37_500).contains(w)), "{waits:?}");
        assert!(waits[3] > waits[0]);
    }
}
