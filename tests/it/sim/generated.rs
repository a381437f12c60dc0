//! Playbooks and histories that nobody thought of: whatever is generated, nothing is promoted unless its need is proven,
//! or a person has said so on record; and no two servers ever take writes.

mod book;
mod history;
mod proof;

use super::CUT_OFF;
use book::{Book, Rung, books};
use history::{History, Told, histories, tell};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::sim::Schedule;
use pointsman::simulated::world::Hand;
use proof::{Proof, promotions};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Cases of an ordinary run; `PROPTEST_CASES` asks for more, with another beginning each time.
const CASES: u32 = 300;
/// Steps that are spent to make a failing case small.
const SHRINKS: u32 = 2_000;

fn runner() -> TestRunner {
    let more = Config::default().cases;
    let own = more == Config { ..Config::with_cases(256) }.cases;
    let config = Config {
        cases: if own { CASES } else { more },
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    };
    match own {
        true => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        false => TestRunner::new(config),
    }
}

/// What is wrong with a story, or what stood behind its promotions.
fn judged(told: &Told, history: &History) -> Result<Vec<Proof>, String> {
    let proofs = promotions(&told.records)?;
    let promoted = told.effects.iter().find(|(what, _)| what.ends_with(" promoted")).map_or(0, |(_, n)| *n);
    if promoted > 1 {
        return Err(format!("promoted {promoted} times"));
    }
    if promoted == 1 && proofs.is_empty() {
        return Err("promoted, and no intent is on record".to_owned());
    }
    let wrong = told.watch.violations.iter().find(|(call, what)| {
        // Between the last look and the call nothing can be seen, whichever way the run goes.
        let back = history.hand == Some(Hand::PromoteNew) && what.contains("taken back");
        !back && !super::judge::in_the_window_of(&told.watch, *call)
    });
    // A person's word stands for what the world does not show: they may be wrong.
    let by_word = proofs.iter().any(|proof| *proof != Proof::Seen);
    match (wrong, &told.end) {
        (Some((call, what)), _) if !by_word => Err(format!("at call {call}: {what}")),
        (_, Err(why)) => Err(format!("a wrong end: {why}")),
        (_, Ok(_)) => Ok(proofs),
    }
}

#[test]
fn nothing_is_promoted_without_a_proven_need_or_a_word_on_record() {
    let counts: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let count = |what: String| *counts.borrow_mut().entry(what).or_default() += 1;
    let result = runner().run(&(books(), histories()), |(book, history)| {
        let told = tell(&book, &history, Mistake::None).map_err(TestCaseError::reject)?;
        let proofs = judged(&told, &history)
            .map_err(|why| TestCaseError::fail(format!("{why}\n{}\n{:?}", book.text(), told.effects)))?;
        match proofs.first() {
            None => count("not promoted".into()),
            Some(proof) => count(format!("promoted: {proof:?}")),
        }
        if book.disordered && !proofs.is_empty() {
            count("promoted without the order of steps".into());
        }
        Ok(())
    });
    let counts = counts.into_inner();
    println!("{counts:?}");
    if let Err(error) = result {
        panic!("{error}");
    }
    for (what, least) in
        [("not promoted", 50), ("promoted: Seen", 30), ("promoted: Accepted", 1), ("promoted: Confirmed", 1)]
    {
        let found = counts.get(what).copied().unwrap_or(0);
        assert!(found >= least, "{what}: {found}; the histories have become dull");
    }
}

/// The test of the test: an engine that lets an unproven need pass is found, and the case that shows it is small.
#[test]
fn an_unproven_need_that_passes_is_found_and_made_small() {
    let disordered =
        proptest::strategy::Strategy::prop_map(books(), |book| Book { disordered: true, ..book });
    let result = runner().run(&(disordered, histories()), |(book, history)| {
        let told = tell(&book, &history, Mistake::UnprovenNeed).map_err(TestCaseError::reject)?;
        judged(&told, &history).map(drop).map_err(TestCaseError::fail)
    });
    let Err(TestError::Fail(why, (book, history))) = result else {
        panic!("the planted mistake was not found: {result:?}");
    };
    println!("{why}: {book:?} {history:?}");
    let struck = history.schedule.deaths.len() + history.schedule.strikes.len() + history.schedule.said.len();
    assert!(struck == 0 && history.deeds.is_empty(), "it needs nothing to go wrong: {history:?}");
    assert!(book.ladder.len() == 1 && !book.moves_app, "{book:?}");
}

/// The generated playbooks are playbooks: each feature on its own passes the real check.
#[test]
fn every_shape_is_legal() {
    let all = Book {
        approve: true,
        guards: vec![0, 1, 2],
        ladder: vec![Rung::Sql, Rung::Ssh, Rung::Hand],
        second_fence: true,
        accept_unfenced: true,
        fence_undo: true,
        promote_undo: true,
        optional_look: true,
        attempts: 3,
        moves_app: true,
        looks: true,
        moves_name: true,
        disordered: false,
    };
    let quiet = History { start: CUT_OFF, schedule: Schedule::default(), hand: None, deeds: vec![] };
    let told = tell(&all, &quiet, Mistake::None).unwrap_or_else(|why| panic!("{why}\n{}", all.text()));
    assert!(told.effects.is_empty(), "nobody has approved it: {:?}", told.effects);
}
