//! Limits over made-up histories, each rule at its edge.

use super::*;

const NOW: Time = Time(1_800_000_000_000_000);
const OWN: Own = Own { cooldown: HOUR, per_day: 2 };

/// A run of the past: opened so many minutes ago, changed or not, ended so many minutes ago or still open.
fn run(name: &str, automatic: bool, opened: u64, changed: bool, ended: Option<u64>) -> Past {
    let ago = |mins: u64| NOW - Span::mins(mins);
    Past {
        run: name.into(),
        service: "shop".into(),
        automatic,
        changed,
        opened: ago(opened),
        ended: ended.map(ago),
    }
}

fn codes(why: &[Reason]) -> Vec<&str> {
    why.iter().map(|r| r.code.as_str()).collect()
}
fn own(runs: &[Past], seen: Option<u64>) -> Vec<Reason> {
    of_service(&runs.iter().collect::<Vec<_>>(), OWN, seen.map(|mins| NOW - Span::mins(mins)), NOW)
}

#[test]
fn a_cooldown_is_released_by_time_and_by_acknowledgement_both() {
    let fresh = [run("R1", true, 50, true, Some(40))];
    assert_eq!(codes(&own(&fresh, None)), ["PM5411", "PM5412"]);
    assert_eq!(codes(&own(&fresh, Some(10))), ["PM5411"], "seen, but the hour is not over");
    assert!(own(&fresh, None)[0].says.contains("run R1 ended 40 min"), "{:?}", own(&fresh, None));
    let old = [run("R1", true, 80, true, Some(60))];
    assert_eq!(codes(&own(&old, None)), ["PM5412"], "the hour is over, but nobody has seen it");
    assert_eq!(codes(&own(&old, Some(61))), ["PM5412"], "seen before it ended");
    assert!(own(&old, Some(5)).is_empty());
    let by_hand = [run("R1", false, 80, true, Some(70))];
    assert!(own(&by_hand, None).is_empty(), "who ran it by hand has seen it");
    assert_eq!(codes(&own(&[run("R1", false, 30, true, Some(20))], None)), ["PM5411"]);
    assert!(own(&[run("R1", true, 30, false, Some(20))], None).is_empty(), "nothing was changed");
}

#[test]
fn the_budget_of_a_day_counts_what_changed_or_may_still() {
    let day = [run("R1", true, 1_400, true, Some(1_390)), run("R2", true, 300, true, Some(290))];
    assert_eq!(codes(&own(&day, Some(5))), ["PM5413"]);
    let later = [run("R1", true, 1_440, true, Some(1_390)), run("R2", true, 300, true, Some(290))];
    assert!(own(&later, Some(5)).is_empty(), "24 h later it is a new day");
    let called_off = [run("R1", true, 100, false, Some(90)), run("R2", true, 300, true, Some(290))];
    assert!(own(&called_off, Some(5)).is_empty());
    let by_hand = [run("R1", false, 300, true, Some(200)), run("R2", true, 300, true, Some(290))];
    assert!(own(&by_hand, Some(5)).is_empty());
}

#[test]
fn the_breaker_counts_an_hour_since_its_last_reset() {
    let limits = Storm { concurrent: 1, per_hour: 2, sick_share: 100 };
    let runs = [run("R1", true, 50, false, None), run("R2", true, 10, true, Some(5))];
    let calm = Sick { sick: 1, of: 10 };
    assert_eq!(codes(&storm(&runs, limits, None, calm, NOW)), ["PM5417"]);
    let reset = |mins| Some(Reset { at: NOW - Span::mins(mins), sick: 0 });
    assert!(storm(&runs, limits, reset(20), calm, NOW).is_empty());
    assert!(storm(&runs[1..], limits, None, calm, NOW).is_empty());
    assert_eq!(full(&runs, limits).map(|r| r.code), Some("PM5415".to_owned()));
    assert_eq!(full(&runs[1..], limits), None);
    assert_eq!(full(&runs, Storm { concurrent: 2, ..limits }), None);
}

#[test]
fn a_share_of_sick_services_trips_and_a_reset_knows_those_it_saw() {
    let limits = Storm::default();
    let of = |sick, of| codes(&storm(&[], limits, None, Sick { sick, of }, NOW)).len();
    assert_eq!((of(3, 10), of(4, 10), of(2, 2), of(3, 3)), (0, 1, 0, 1), "more than 30%, and at least three");
    let reset = |mins, sick| Some(Reset { at: NOW - Span::mins(mins), sick });
    let four = Sick { sick: 4, of: 10 };
    assert!(storm(&[], limits, reset(10, 4), four, NOW).is_empty());
    assert_eq!(codes(&storm(&[], limits, reset(10, 3), four, NOW)), ["PM5418"], "one more than was seen");
    assert_eq!(codes(&storm(&[], limits, reset(60, 4), four, NOW)), ["PM5418"], "an hour later it is news");
}
