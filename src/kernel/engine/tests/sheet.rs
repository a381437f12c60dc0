//! The plan's sheet: what a yes to it covers, what its lines and its data at risk say, and what stands against it.

use super::scene::*;
use super::spec;
use crate::domain::*;
use crate::engine::Run;
use serde_json::json;
use std::collections::BTreeMap;

fn digest(run: &Run) -> Digest {
    run.sheet(NOW).digest
}

/// The step to the left as planned, with one thing about it changed.
fn left(run: &mut Run, with: impl FnOnce(&mut Change)) {
    plan_as(run, LEFT, changed(with));
}

fn refused() -> StepPlan {
    StepPlan::refuse("PM1", "alive")
}

fn unknown() -> StepPlan {
    StepPlan::unknown("PM2", "silent")
}

fn by_hand(run: &mut Run, id: usize, proves: Vec<Fact>) {
    change_spec(run, |spec| {
        let form = Form::Manual { text: "power it off".into() };
        spec.items[id].rungs[0] = Rung { form, proves: proves.clone() };
    });
    run.items[id].planned = None;
}

fn lift(run: &mut Run, rule: Rule) {
    let by = person(&[Role::IncidentLead]);
    let lifted =
        Override { rule, service: "shop".into(), by, reason: "why".into(), until: NOW + Span::mins(9) };
    run.lifted.insert(rule, lifted);
}

fn spent(begun: u32) -> Option<Result<Spent, String>> {
    Some(Ok(Spent { begun, reserved: 0, own: 0, most: 10 }))
}

type Turn = (&'static str, fn(&mut Run));

/// A yes is given to a digest: what it does not cover could be done without a yes.
const COVERED: [Turn; 19] = [
    ("from what", |run| left(run, |change| change.from = json!(7))),
    ("to what", |run| left(run, |change| change.to = json!(7))),
    ("what it needs", |run| left(run, |change| change.needs = vec![fenced()])),
    ("what it gives", |run| left(run, |change| change.gives = vec![fenced()])),
    ("how much it may lose", |run| left(run, |change| change.bounds = bounds(Some(7)))),
    ("that it is right already", |run| plan_as(run, LEFT, holds())),
    ("that it may not be", |run| plan_as(run, LEFT, refused())),
    ("that it is not known", |run| plan_as(run, LEFT, unknown())),
    ("that it is judged later", |run| run.items[LEFT].planned = None),
    ("which step", |run| change_spec(run, |spec| spec.items[LEFT].name = "other".into())),
    ("at which target, and how", |run| {
        change_spec(run, |spec| {
            let with = json!({ "to": 7 });
            let act = Spec { kind: "toy.set".into(), target: "left".into(), with };
            spec.items[LEFT].rungs[0].form = Form::Act(act);
        });
    }),
    ("by which of its ways", |run| {
        two_ways(run, LEFT);
        run.items[LEFT].planned.as_mut().unwrap().rung = 1;
    }),
    ("the playbook's text", |run| change_spec(run, |spec| spec.playbook_digest = Digest::of(b"other"))),
    ("the service", |run| change_spec(run, |spec| spec.service = "other".into())),
    ("from where", |run| change_spec(run, |spec| spec.from = "other".into())),
    ("to where", |run| change_spec(run, |spec| spec.to = "other".into())),
    ("what kind of run", |run| change_spec(run, |spec| spec.kind = RunKind::Drill)),
    ("whose fence is missing", |run| accept(run, "fence", NOW + Span::micros(1))),
    ("that another's is", |run| accept(run, "left", NOW + Span::micros(1))),
];

#[test]
fn a_yes_covers_what_would_be_done_and_no_measurement() {
    let mut digests = BTreeMap::from([(digest(&planned(Mode::Approve)), "nothing")]);
    for (what, turn) in COVERED {
        let mut run = planned(Mode::Approve);
        turn(&mut run);
        let like = digests.insert(digest(&run), what);
        assert_eq!(like, None, "{what} makes no difference");
    }
    let measured: [Turn; 4] = [
        ("words and evidence", |run| {
            left(run, |change| {
                (change.now, change.detail, change.warnings) =
                    ("as it was".into(), json!("text"), vec!["slow".into()]);
            });
        }),
        ("where its log ended", |run| {
            plan_as(run, FENCE, changed(|change| change.gives = vec![fenced_at(Some(Lsn(7)))]));
        }),
        ("an acceptance that is over", |run| accept(run, "fence", NOW)),
        ("a rule lifted that binds nobody", |run| lift(run, Rule::NeverEmptyRrset)),
    ];
    for (what, turn) in measured {
        let mut run = planned(Mode::Approve);
        turn(&mut run);
        assert_eq!(digests.get(&digest(&run)), Some(&"nothing"), "{what}");
    }
    assert_eq!(digest(&planned(Mode::Approve)), planned(Mode::Approve).sheet(NOW + Span::mins(9)).digest);
}

fn fenced_at(position: Option<Lsn>) -> Fact {
    Fact::Fenced { target: "fence".into(), rung: FenceRung::Stopped, position }
}

#[test]
fn a_yes_covers_which_of_its_broken_rules_are_lifted() {
    let mut digests = vec![];
    for rules in [&[] as &[Rule], &[Rule::NeverEmptyRrset], &[Rule::ChangesPerHour]] {
        let mut run = planned(Mode::Approve);
        let (name, kind) = ("shop.test".to_owned(), "A".to_owned());
        let none = Effect::Records { name, kind, before: vec!["192.0.2.1".into()], after: vec![] };
        left(&mut run, |change| change.effects = vec![none]);
        run.spent = spent(10);
        rules.iter().for_each(|rule| lift(&mut run, *rule));
        digests.push(digest(&run));
    }
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}

#[test]
fn each_line_says_what_becomes_of_its_step() {
    let mut run = planned(Mode::Approve);
    left(&mut run, |change| {
        (change.now, change.after, change.undo) = ("1".into(), "2".into(), Undo::ByHand("turn".into()));
        change.warnings = vec!["slow".into()];
    });
    plan_as(&mut run, 4, holds());
    plan_as(&mut run, 5, refused());
    may_be_unfenced(&mut run, FENCE);
    plan_as(&mut run, FENCE, unknown());
    (run.spent, run.items[PROMOTE].planned) = (spent(10), None);
    lift(&mut run, Rule::ChangesPerHour);
    let sheet = run.sheet(NOW);
    let lines: Vec<_> = sheet
        .lines
        .iter()
        .map(|l| (l.name.as_str(), l.verdict, l.now.as_str(), l.after.as_str(), l.no_undo, l.notes.len()))
        .collect();
    use Verdict::*;
    assert_eq!(
        lines,
        [
            ("guard", Ok, "up", "", false, 0),
            // What is lifted for the whole run stands on its first step.
            ("fence", Asks, "silent", "", false, 1),
            ("promote", Later, "", "", false, 0),
            ("left", Change, "1", "2", false, 1),
            ("right", Nothing, "up", "", false, 0),
            ("dns", Refused, "alive", "", false, 0),
            ("probe", Later, "", "", false, 0),
        ]
    );
    assert!(sheet.lines[FENCE].notes[0].contains("changes_per_hour"), "{:?}", sheet.lines[FENCE].notes);
    assert_eq!((sheet.at, sheet.until), (NOW, NOW + Span::mins(15)));
    by_hand(&mut run, FENCE, vec![]);
    plan_as(&mut run, PROMOTE, unknown());
    left(&mut run, |change| change.undo = Undo::None);
    let lines = run.sheet(NOW).lines;
    assert_eq!((lines[FENCE].verdict, lines[FENCE].now.as_str()), (Asks, "power it off"));
    assert_eq!((lines[FENCE].target.as_str(), lines[LEFT].target.as_str()), ("a person", "left"));
    assert_eq!((lines[PROMOTE].verdict, lines[LEFT].no_undo), (Unknown, true));
}

#[test]
fn what_stands_against_the_plan() {
    let gives_way = |run: &mut Run, id: usize| change_spec(run, |spec| spec.items[id].optional = true);
    type Turn<'a> = &'a dyn Fn(&mut Run, usize);
    let (required, asked): (Turn<'_>, Turn<'_>) = (&|_, _| (), &may_be_unfenced);
    let table: [(usize, StepPlan, Turn<'_>, Option<&str>); 9] = [
        (LEFT, refused(), required, Some("PM1")),
        (LEFT, refused(), &gives_way, None),
        // A living primary is not fenced, whoever accepts what.
        (LEFT, refused(), asked, Some("PM1")),
        (LEFT, unknown(), required, Some("PM2")),
        (LEFT, unknown(), &gives_way, None),
        (LEFT, unknown(), asked, None),
        (LEFT, changed(|_| ()), required, None),
        (GUARD, changed(|_| ()), required, Some("PM5101")),
        (GUARD, holds(), required, None),
    ];
    for (row, (id, plan, turn, code)) in table.into_iter().enumerate() {
        let mut run = planned(Mode::Auto);
        turn(&mut run, id);
        plan_as(&mut run, id, plan);
        let codes: Vec<String> = run.blockers(NOW).into_iter().map(|reason| reason.code).collect();
        assert_eq!(codes, Vec::from_iter(code), "row {row}");
    }
}

/// Else what a promotion says would depend on which look came back first.
#[test]
fn a_look_is_judged_once_all_that_it_builds_on_is() {
    let open = opened(spec(Mode::Auto));
    assert!(open.can_judge(0), "the first builds on nothing");
    assert!(!open.can_judge(1) && !open.can_judge(2), "the guards come first");
    let judged: [Turn; 4] = [
        ("planned", |run| plan_as(run, FENCE, refused())),
        ("over", |run| done(run, FENCE, vec![])),
        ("looked at in its turn", |run| {
            change_spec(run, |spec| spec.items[FENCE].planned_ahead = false);
        }),
        ("a person's deed", |run| by_hand(run, FENCE, vec![])),
    ];
    for (what, turn) in judged {
        let mut run = opened(spec(Mode::Auto));
        plan_as(&mut run, GUARD, holds());
        assert!(!run.can_judge(2), "the fence is not judged yet");
        turn(&mut run);
        assert!(run.can_judge(2) && !run.can_judge(3), "{what}");
    }
}

const NONE_AFTER: &str = "none after that, once fence is proven fenced";
const IN_DOUBT: &str = "plus everything fence has accepted since then, if it still runs: its fence is none until a person \
                        proves another";

fn fenced_by_its_way(run: &mut Run) {
    plan_as(run, FENCE, changed(|_| ()));
    change_spec(run, |spec| spec.items[FENCE].rungs[0].proves = vec![fenced()]);
}

fn another() -> Fact {
    Fact::Fenced { target: "x".into(), rung: FenceRung::Stopped, position: None }
}

#[test]
fn data_at_risk_is_what_guards_measured_and_what_a_missing_fence_lets_in() {
    let lag = |run: &mut Run| {
        change_spec(run, |spec| {
            spec.items[GUARD] = super::item("guard", "postgres.lag", ItemRole::Guard, vec![], json!({}));
        });
        plan_as(run, GUARD, StepPlan::nothing("7 B behind"));
    };
    let table: [(Turn, &str); 7] = [
        (("the fence is a step's", |_| ()), NONE_AFTER),
        (("that proves it by its way", fenced_by_its_way), NONE_AFTER),
        (("another is fenced by hand", |run| by_hand(run, 4, vec![another()])), NONE_AFTER),
        (("something else is done by hand", |run| by_hand(run, 4, vec![])), NONE_AFTER),
        (("a person fences it", |run| by_hand(run, FENCE, vec![fenced()])), IN_DOUBT),
        (("nobody promises a fence", |run| plan_as(run, FENCE, unknown())), IN_DOUBT),
        (("a person accepted that it is missing", |run| accept(run, "fence", NOW)), IN_DOUBT),
    ];
    for ((what, turn), says) in table {
        let mut run = planned(Mode::Auto);
        turn(&mut run);
        assert_eq!(run.sheet(NOW).at_risk, [says], "{what}");
        lag(&mut run);
        assert_eq!(run.sheet(NOW).at_risk, ["7 B behind", says], "{what}");
        plan_as(&mut run, GUARD, unknown());
        assert_eq!(run.sheet(NOW).at_risk, [says], "{what}: what nobody measured is not told as a figure");
    }
}

#[test]
fn only_a_planned_move_that_is_bound_to_lose_nothing_puts_nothing_at_risk() {
    let asked = || Cause::Person { by: person(&[Role::Operator]), reason: "maintenance".into() };
    let none = ["none: it goes on only with everything there, and is taken back or stops otherwise"];
    let (zero, some) = (Some(0), Some(7));
    for (kind, bound, nothing) in [
        (RunKind::Switchover, zero, true),
        (RunKind::Switchover, some, false),
        (RunKind::Switchover, None, false),
        (RunKind::Failover, zero, false),
    ] {
        let mut run = planned(Mode::Auto);
        change_spec(&mut run, |spec| (spec.kind, spec.cause) = (kind, asked()));
        plan_as(&mut run, LEFT, changed(|change| change.bounds = bounds(bound)));
        let told = run.sheet(NOW).at_risk;
        assert_eq!(told, if nothing { none } else { [NONE_AFTER] }, "{kind:?} {bound:?}");
    }
}

fn bounds(bytes: Option<u64>) -> BTreeMap<String, u64> {
    bytes.map(|bytes| ("data_loss_bytes".to_owned(), bytes)).into_iter().collect()
}
