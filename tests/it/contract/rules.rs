//! The rules themselves. Each begins with a remote that was set back and with new clients.

use super::fixture::{Fixture, Trouble};
use crate::remote::{Remote, is_nothing, is_unknown};
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One rule's scene.
struct Bench<'a> {
    fixture: &'a dyn Fixture,
    remote: Remote,
    bound: Bound,
    given: Vec<Fact>,
    /// Everything that a record would hold.
    said: &'a Mutex<String>,
}

macro_rules! rules {
    ($fixture:ident, $said:ident: $($rule:ident)*) => {
        $({
            let bench = begin($fixture, &$said, stringify!($rule)).await;
            $rule(&bench).await;
        })*
    };
}

/// All of them, one after the other.
pub async fn hold(fixture: &dyn Fixture) {
    let said = Mutex::new(String::new());
    rules! { fixture, said:
        observing_changes_nothing
        planning_is_pure
        applied_and_then_seen
        what_is_right_is_left_alone
        applied_twice_is_applied_once
        somebody_elses_change_is_not_written_over
        evidence_is_not_consent_and_facts_are
        undo_brings_the_old_state_back
        a_proven_refusal_changes_nothing
        doubt_without_effect_is_doubt
        doubt_with_effect_is_seen_to_have_happened
        an_answer_too_late_is_doubt_in_time
        a_lie_is_not_believed
        a_stale_read_is_not_done
        what_cannot_be_read_is_unknown
        limits_are_honoured
        the_plan_says_what_it_depends_on
        what_caches_keep_is_told_and_waited_for
        what_may_be_is_asked_and_never_guessed
    }
    let said = said.into_inner().unwrap();
    for secret in fixture.secrets() {
        assert!(!said.contains(&secret), "{}: a secret was said", fixture.kind());
    }
    assert!(said.len() > 1000, "nothing was recorded to look for secrets in");
}

async fn begin<'a>(fixture: &'a dyn Fixture, said: &'a Mutex<String>, rule: &str) -> Bench<'a> {
    println!("{}: {rule}", fixture.kind());
    fixture.calm().await;
    fixture.reset().await;
    let remote = fixture.remote();
    let bound = remote.bind(fixture.kind(), "target", fixture.with());
    Bench { fixture, remote, bound, given: fixture.given(), said }
}

impl Bench<'_> {
    fn note(&self, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        writeln!(self.said.lock().unwrap(), "{value:?}").unwrap();
    }

    async fn observe(&self) -> Observation {
        let seen = self.bound.check().observe(&self.remote.ctx(15)).await.expect("an observation");
        self.note(&seen);
        seen
    }

    fn plan_of(&self, seen: &Observation) -> StepPlan {
        let plan = self.bound.check().plan(seen, &self.given, self.remote.ctx(15).now());
        self.note(&plan);
        plan
    }

    async fn plan(&self) -> StepPlan {
        let seen = self.observe().await;
        self.plan_of(&seen)
    }

    async fn change(&self) -> Change {
        match self.plan().await {
            StepPlan::Change(change) => *change,
            other => panic!("there is something to do, but the plan is {other:?}"),
        }
    }

    async fn apply(&self, change: Change, seconds: u64) -> CallEnd {
        let end = self.remote.apply(&self.bound, change, seconds).await;
        self.note(&end);
        end
    }

    async fn settled(&self, bound: &Bound) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let plan = self.remote.plan_given(bound, &self.given).await;
            if is_nothing(&plan) {
                return;
            }
            assert!(Instant::now() < until, "it never settled: {plan:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As the engine goes on after doubt: look; and where a part was done, plan and apply anew.
    async fn recovered(&self) {
        if !self.fixture.nature().whole {
            let rest = self.plan().await;
            if let StepPlan::Change(change) = rest {
                let end = self.apply(*change, 40).await;
                assert_eq!(end.result, CallResult::Applied, "{end:?}");
            }
        }
        self.settled(&self.bound).await;
    }

    async fn standing(&self) -> Value {
        self.fixture.standing().await
    }
}

async fn observing_changes_nothing(bench: &Bench<'_>) {
    let before = bench.standing().await;
    let first = bench.observe().await;
    for _ in 0..2 {
        assert_eq!(bench.observe().await.state, first.state, "the same state is seen the same");
    }
    assert_eq!(bench.standing().await, before);
}

async fn planning_is_pure(bench: &Bench<'_>) {
    let (before, seen) = (bench.standing().await, bench.observe().await);
    let plan = bench.plan_of(&seen);
    assert!(matches!(plan, StepPlan::Change(_)), "{plan:?}");
    assert_eq!(bench.plan_of(&seen), plan);
    assert_eq!(bench.standing().await, before);
}

async fn applied_and_then_seen(bench: &Bench<'_>) {
    let (before, seen) = (bench.standing().await, bench.observe().await);
    let change = bench.change().await;
    let end = bench.apply(change, 40).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    bench.settled(&bench.bound).await;
    assert_ne!(bench.standing().await, before, "nothing happened");
    assert_ne!(bench.observe().await.state, seen.state, "the effect is not visible");
    if !bench.fixture.nature().compares {
        assert!(end.detail["window_ms"].is_u64(), "the window is not on record: {end:?}");
    }
}

async fn what_is_right_is_left_alone(bench: &Bench<'_>) {
    let change = bench.change().await;
    bench.apply(change, 40).await;
    bench.settled(&bench.bound).await;
    let standing = bench.standing().await;
    assert!(is_nothing(&bench.plan().await));
    assert_eq!(bench.standing().await, standing);
}

async fn applied_twice_is_applied_once(bench: &Bench<'_>) {
    let change = bench.change().await;
    bench.apply(change.clone(), 40).await;
    bench.settled(&bench.bound).await;
    let once = bench.standing().await;
    let again = bench.apply(change, 40).await;
    assert_ne!(again.result, CallResult::Indeterminate, "{again:?}");
    bench.settled(&bench.bound).await;
    assert_eq!(bench.standing().await, once);
}

async fn somebody_elses_change_is_not_written_over(bench: &Bench<'_>) {
    let change = bench.change().await;
    let Some(work) = bench.fixture.by_hand() else { return };
    work.await;
    let theirs = bench.standing().await;
    let end = bench.apply(change, 40).await;
    assert!(matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
    assert_eq!(bench.standing().await, theirs);
}

/// Every number one larger: what was measured a moment later.
fn drifted(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_u64().map_or(value.clone(), |n| json!(n + 1)),
        Value::Array(list) => list.iter().map(drifted).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), drifted(value))).collect(),
        other => other.clone(),
    }
}

/// The same with one leaf changed, for each leaf.
fn one_leaf_off(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![],
        Value::Bool(yes) => vec![json!(!yes)],
        Value::Number(n) => n.as_u64().map(|n| json!(n + 1)).into_iter().collect(),
        Value::String(text) => vec![json!(format!("{text}x"))],
        Value::Array(list) => (0..list.len())
            .flat_map(|at| {
                let put = |leaf| {
                    let mut list = list.clone();
                    list[at] = leaf;
                    Value::Array(list)
                };
                one_leaf_off(&list[at]).into_iter().map(put).collect::<Vec<_>>()
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                let put = |leaf| {
                    let mut map = map.clone();
                    map.insert(key.clone(), leaf);
                    Value::Object(map)
                };
                one_leaf_off(value).into_iter().map(put).collect::<Vec<_>>()
            })
            .collect(),
    }
}

async fn evidence_is_not_consent_and_facts_are(bench: &Bench<'_>) {
    let seen = bench.observe().await;
    let StepPlan::Change(planned) = bench.plan_of(&seen) else { panic!("no change") };
    let later = Observation { evidence: drifted(&seen.evidence), ..seen.clone() };
    match bench.plan_of(&later) {
        StepPlan::Change(change) => {
            assert!(change.within(&planned) || change.bounds != planned.bounds, "{change:?}")
        }
        other => panic!("measurements alone turned a change into {other:?}"),
    }
    let told_apart = one_leaf_off(&seen.state).into_iter().filter(|state| {
        let other = Observation { state: state.clone(), ..seen.clone() };
        match bench.plan_of(&other) {
            StepPlan::Change(change) => change.contract() != planned.contract(),
            _ => true,
        }
    });
    assert!(told_apart.count() > 0, "no fact makes a difference: {}", seen.state);
}

async fn undo_brings_the_old_state_back(bench: &Bench<'_>) {
    if !bench.fixture.nature().undo {
        return;
    }
    let before = bench.standing().await;
    let change = bench.change().await;
    let Undo::To(back) = change.undo.clone() else { panic!("no undo: {:?}", change.undo) };
    bench.apply(change, 40).await;
    bench.settled(&bench.bound).await;
    let undo = bench.remote.bind(back.kind.as_str(), back.target.as_str(), back.with);
    let undone = bench.remote.change(&undo).await;
    let end = bench.remote.apply(&undo, undone, 40).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    bench.settled(&undo).await;
    assert_eq!(bench.standing().await, before);
}

async fn a_proven_refusal_changes_nothing(bench: &Bench<'_>) {
    let rejected = |retry| CallResult::Rejected { retry };
    let expected = [
        (Trouble::Denied, Some(rejected(false))),
        (Trouble::Missing, Some(rejected(false))),
        (Trouble::Closed, Some(rejected(true))),
        (Trouble::Refused, None),
    ];
    let before = bench.standing().await;
    let change = bench.change().await;
    for (trouble, result) in expected {
        if !bench.fixture.plant(trouble) {
            continue;
        }
        let end = bench.apply(change.clone(), 40).await;
        let is_rejected = matches!(end.result, CallResult::Rejected { .. });
        assert!(is_rejected && result.is_none_or(|result| result == end.result), "{trouble:?}: {end:?}");
        assert_eq!(bench.standing().await, before, "{trouble:?}");
        bench.fixture.calm().await;
    }
}

async fn doubt_without_effect_is_doubt(bench: &Bench<'_>) {
    let before = bench.standing().await;
    let change = bench.change().await;
    for trouble in [Trouble::Broken, Trouble::Swallowed] {
        if bench.fixture.plant(trouble) {
            let end = bench.apply(change.clone(), 40).await;
            assert_eq!(end.result, CallResult::Indeterminate, "{trouble:?}: {end:?}");
            assert_eq!(bench.standing().await, before, "{trouble:?}");
            assert!(!is_nothing(&bench.plan().await), "{trouble:?}");
            bench.fixture.calm().await;
        }
    }
}

async fn doubt_with_effect_is_seen_to_have_happened(bench: &Bench<'_>) {
    for trouble in [Trouble::LostReply, Trouble::Garbage] {
        let bench = begin(bench.fixture, bench.said, "once more").await;
        let change = bench.change().await;
        if bench.fixture.plant(trouble) {
            let end = bench.apply(change, 40).await;
            assert!(!matches!(end.result, CallResult::Rejected { .. }), "{trouble:?}: {end:?}");
            bench.fixture.calm().await;
            bench.recovered().await;
        }
    }
}

async fn an_answer_too_late_is_doubt_in_time(bench: &Bench<'_>) {
    let change = bench.change().await;
    if bench.fixture.plant(Trouble::Late(4)) {
        let started = Instant::now();
        let end = bench.apply(change, 2).await;
        assert_eq!(end.result, CallResult::Indeterminate, "{end:?}");
        assert!(started.elapsed() < Duration::from_millis(3500), "{:?}", started.elapsed());
        bench.fixture.calm().await;
        bench.recovered().await;
    }
}

async fn a_lie_is_not_believed(bench: &Bench<'_>) {
    let change = bench.change().await;
    if bench.fixture.plant(Trouble::Lie) {
        let end = bench.apply(change, 40).await;
        assert!(!matches!(end.result, CallResult::Rejected { .. }), "{end:?}");
        assert!(!is_nothing(&bench.plan().await), "a call's own success is no proof");
    }
}

async fn a_stale_read_is_not_done(bench: &Bench<'_>) {
    let change = bench.change().await;
    bench.apply(change, 40).await;
    bench.settled(&bench.bound).await;
    if bench.fixture.plant(Trouble::StaleRead) {
        assert!(!is_nothing(&bench.plan().await));
        bench.fixture.calm().await;
        bench.settled(&bench.bound).await;
    }
}

async fn what_cannot_be_read_is_unknown(bench: &Bench<'_>) {
    for trouble in [Trouble::ReadFails, Trouble::ReadDenied, Trouble::ReadGarbage] {
        // Enough for every question of one look, and for those of the last one that were given up and still arrive.
        if (0..16).all(|_| bench.fixture.plant(trouble)) {
            let plan = bench.plan().await;
            assert!(is_unknown(&plan), "{trouble:?}: {plan:?}");
            bench.fixture.calm().await;
        }
    }
}

async fn limits_are_honoured(bench: &Bench<'_>) {
    let change = bench.change().await;
    if bench.fixture.plant(Trouble::Limited(1)) {
        let started = Instant::now();
        let end = bench.apply(change.clone(), 40).await;
        assert_eq!(end.result, CallResult::Applied, "{end:?}");
        assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After was not waited for");
        bench.settled(&bench.bound).await;
        bench.fixture.reset().await;
        // More than the step has left: nothing is done, and it may be tried again.
        assert!(bench.fixture.plant(Trouble::Limited(600)));
        let end = bench.apply(change, 40).await;
        assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
    }
    if bench.fixture.nature().closes {
        bench.fixture.calm().await;
        let requests = bench.fixture.requests();
        let plan = bench.plan().await;
        assert!(is_unknown(&plan), "{plan:?}");
        assert_eq!(bench.fixture.requests(), requests, "a request was sent into a closed door");
    } else if bench.fixture.plant(Trouble::ReadLimited(1)) {
        assert!(is_unknown(&bench.plan().await));
    }
}

async fn the_plan_says_what_it_depends_on(bench: &Bench<'_>) {
    let leads = ["cloudflare.steering", "cloudflare.pool", "route53.health_check"];
    if bench.fixture.kind().ends_with(".record") || leads.contains(&bench.fixture.kind()) {
        // What the rules of the instance judge: no name is left without records, and each leads to what answers.
        let told = bench.change().await.effects;
        let good = |effect: &Effect| matches!(effect, Effect::Records { after, .. } if !after.is_empty());
        assert!(!told.is_empty() && told.iter().all(good), "{told:?}");
    }
    let kind = bench.fixture.kind();
    if bench.fixture.nature().api || kind == "haproxy.server" {
        let change = bench.change().await;
        let (of, on) =
            if kind == "haproxy.server" { ("data", "no region") } else { ("control", "depends on") };
        let plane = format!("a {of}-plane act");
        assert!(
            change.warnings.iter().any(|text| text.contains(&plane) && text.contains(on)),
            "{:?}",
            change.warnings
        );
    }
}

/// Where caches are waited for: the plan says for how long, and what they give is told and never taken for the zone.
async fn what_caches_keep_is_told_and_waited_for(bench: &Bench<'_>) {
    if bench.fixture.with()["wait_ttl"] != json!(true) {
        return;
    }
    let change = bench.change().await;
    let lasts = change.lasts.expect("a name that moves was somewhere before");
    let old = super::records::old().iter().map(|(_, _, ttl, _)| *ttl).max().unwrap();
    assert_eq!(lasts, Span::secs(old.into()), "the old TTL, as it was planned");
    let warned = format!("waits up to {lasts} for caches");
    assert!(change.warnings.iter().any(|text| text.starts_with(&warned)), "{:?}", change.warnings);
    let Undo::To(back) = change.undo.clone() else { panic!("no undo: {:?}", change.undo) };
    assert!(back.with.get("wait_ttl").is_none(), "the way back waits for nobody");
    bench.apply(change, 40).await;
    bench.settled(&bench.bound).await;
    let plan = bench.plan().await;
    let StepPlan::Nothing { lingers: Some(lingers), says, .. } = &plan else { panic!("{plan:?}") };
    assert!(says.contains("still gives") && says.contains("192.0.2.10"), "{says}");
    assert!(lingers.waits && lingers.seen && lingers.at_most <= lasts, "{lingers:?}");
}

/// Readiness asks what would be allowed, and changes nothing by it. What is not told is not taken for a yes.
async fn what_may_be_is_asked_and_never_guessed(bench: &Bench<'_>) {
    let (before, seen) = (bench.standing().await, bench.observe().await);
    let rehearse = async || {
        let found = bench.bound.check().rehearse(&bench.remote.ctx(15), &seen).await;
        bench.note(&found);
        found
    };
    let Some(found) = rehearse().await else { return };
    assert_eq!(bench.standing().await, before);
    let kind = bench.fixture.kind();
    if !(kind.ends_with(".record") || bench.fixture.nature().api || kind == "haproxy.server") {
        return;
    }
    assert!(!found.is_empty(), "it can be asked ahead, and nothing was told");
    for trouble in [Trouble::ReadDenied, Trouble::ReadFails] {
        if (0..16).all(|_| bench.fixture.plant(trouble)) {
            let found = rehearse().await.unwrap_or_default();
            assert!(
                !found.is_empty() && found.iter().all(|f| f.grade != Grade::Ok),
                "{trouble:?}: {found:?}"
            );
            return bench.fixture.calm().await;
        }
    }
}
