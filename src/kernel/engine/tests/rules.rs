//! The rules over what a change leaves behind: on the plan, and again right before each write, when somebody has changed
//! the world by hand since; what is not told or not known breaks them; what a person lifts, and until when.

use super::*;
use crate::engine::rules::Ahead;
use crate::engine::{Accepted, Command, Refused, Run};
use crate::journal::Journal;
use crate::port::Ledger;

const NOW: Time = Time(1_000_000_000);

fn lead() -> Actor {
    Actor::token("lea".into(), vec![Role::IncidentLead], Via::Cli)
}

fn lifted(rule: Rule, until: Time) -> Override {
    Override { rule, service: "shop".into(), by: lead(), reason: "looked".into(), until }
}

/// Fence, promote, and one more step of this kind after both.
fn with_step(kind: &str, with: serde_json::Value) -> Resolved {
    let mut spec = spec(Mode::Auto);
    spec.items[5] = item("dns", kind, ItemRole::Step, vec![3, 4], with);
    spec
}

struct Tale {
    sim: Sim,
    toy: Toy,
    run: RunId,
}

impl Tale {
    fn open(spec: Resolved) -> Tale {
        let mut sim = Sim::new(Schedule::default(), NOW);
        sim.hold_patience = Span::mins(2);
        let registers = Arc::new(Mutex::new(Registers::default()));
        let toy = Toy::new(&sim, &registers);
        let run = sim.open(spec).unwrap();
        Tale { sim, toy, run }
    }
    fn end(&self) -> End {
        self.sim.finish(&self.run, &self.toy, Arc::new(NoSamples)).unwrap()
    }
    fn changes(&self, register: &str) -> u32 {
        self.toy.registers.lock().unwrap().changes.get(&Name::from(register)).copied().unwrap_or(0)
    }
    fn records(&self) -> Vec<Stamped> {
        let journal = Journal::new(self.sim.backend.clone());
        self.sim.block_on(journal.read(&Stream::Run(self.run.clone()), 1)).unwrap().unwrap()
    }
    fn folded(&self) -> Run {
        Run::fold(&self.records()).unwrap()
    }
    /// The codes of every no on record, in order.
    fn codes(&self) -> Vec<String> {
        let why = |r: Stamped| match r.record {
            Record::Held { why, .. } | Record::Parked { why, .. } | Record::Finished { why, .. } => why,
            _ => vec![],
        };
        let mut codes: Vec<String> = self.records().into_iter().flat_map(why).map(|r| r.code).collect();
        codes.dedup();
        codes
    }
}

fn records(after: &[&str]) -> serde_json::Value {
    json!({ "name": "shop.test", "kind": "A", "before": ["192.0.2.1"], "after": after })
}

#[test]
fn what_would_break_a_rule_or_does_not_tell_is_held_at_the_plan() {
    let empty = json!({ "effects": [{ "records": records(&[]) }] });
    let beside = |writes: serde_json::Value| json!({ "effects": [{ "writer": { "target": "dns", "others": [{ "target": "third", "writes": writes }] } }] });
    for (kind, with, code) in [
        ("dns.set", empty.clone(), "PM5601"),
        ("toy.set", empty, "PM5601"),
        ("dns.set", json!({}), "PM5601"),
        ("toy.promote", json!({}), "PM5602"),
        ("toy.unfence", json!({}), "PM5602"),
        ("toy.set", beside(json!(true)), "PM5602"),
        ("toy.set", beside(json!(null)), "PM5602"),
    ] {
        let tale = Tale::open(with_step(kind, with.clone()));
        let end = tale.end();
        assert!(matches!(&end, End::Waits(says) if says.starts_with("held")), "{kind} {with}: {end:?}");
        assert_eq!((tale.codes(), tale.changes("fence")), (vec![code.to_owned()], 0), "{kind} {with}");
    }
    let tale = Tale::open(with_step("toy.promote", beside(json!(false))));
    assert_eq!(tale.end(), End::Finished(Outcome::Succeeded), "seen not to write");
}

#[test]
fn a_name_leads_only_where_something_is_proven_to_answer() {
    let go = |least: u32, proven: &[&str], when: usize| {
        let with = json!({ "effects": [{ "records": records(&["192.0.2.7"]) }] });
        let mut spec = with_step("dns.set", with);
        spec.limits.min_live_targets = least;
        let live = |at: &&str| Fact::Live { at: (*at).to_owned() };
        spec.items[when].rungs[0].proves = proven.iter().map(live).collect();
        let tale = Tale::open(spec);
        (tale.end() == End::Finished(Outcome::Succeeded), tale.codes(), tale.changes("dns"))
    };
    let held = (false, vec!["PM5603".to_owned()], 0);
    assert_eq!(go(1, &[], 0), held);
    assert_eq!(go(1, &["192.0.2.1"], 0), held, "another address is no proof");
    assert_eq!(go(2, &["192.0.2.7"], 0), held, "one of two");
    assert_eq!(go(1, &["192.0.2.7"], 0), (true, vec![], 1), "a guard that holds");
    assert_eq!(go(1, &["192.0.2.7"], 3), (true, vec![], 1), "a step that is done");
    assert_eq!(go(0, &[], 0), (true, vec![], 1), "none is asked for");
    // What the verification proves comes too late.
    assert_eq!(go(1, &["192.0.2.7"], 6), held);
}

#[test]
fn somebody_changes_the_world_between_the_plan_and_the_write() {
    let beside = json!({ "effects": [{ "writer": { "target": "promote", "others": [{ "target": "third", "writes": false }] } }],
        "needs": "fence", "watch": "third" });
    let mut spec = spec(Mode::Auto);
    spec.items[2] = item("promote", "toy.set", ItemRole::Step, vec![1], beside);
    let tale = Tale::open(spec.clone());
    assert_eq!(tale.end(), End::Finished(Outcome::Succeeded), "nobody meddles");
    let mut tale = Tale::open(spec);
    tale.toy.plot.meddle = Some(("fence".into(), "third".into()));
    // So that what was seen for the plan is older than what the fence did.
    tale.toy.plot.slow = Some(("fence".into(), Span::millis(50)));
    let end = tale.end();
    assert!(
        matches!(&end, End::Waits(says) if says.contains("beside third, which accepts writes")),
        "{end:?}"
    );
    assert_eq!((tale.codes(), tale.changes("promote")), (vec!["PM5602".to_owned()], 0));
    assert_eq!(tale.changes("fence"), 1, "it was seen right before the write, and not before the fence");
    // Fenced by what cannot be true of a server that takes writes: no proof.
    let mut run = tale.folded();
    let given = |rung| vec![Fact::Fenced { target: "third".into(), rung, position: None }];
    let mut change = Change::new(json!(0), json!(1));
    let third = Other { target: "third".into(), writes: Some(true) };
    change.effects = vec![Effect::Writer { target: "promote".into(), others: vec![third] }];
    let broken = |run: &Run, rung, when| run.broken((2, 0), &change, &given(rung), when).len();
    assert_eq!(broken(&run, FenceRung::Stopped, Ahead::Write), 1);
    assert_eq!(broken(&run, FenceRung::Stopped, Ahead::Plan), 0, "the fence is still to come");
    assert_eq!(broken(&run, FenceRung::Lockout, Ahead::Write), 0, "its clients are refused");
    run.overrides.insert("third".into(), Accepted { by: lead(), until: Time(i64::MAX) });
    assert_eq!(
        broken(&run, FenceRung::None, Ahead::Write),
        1,
        "nobody accepts a writer that is seen to write"
    );
}

/// By whomever the fence was lost: two servers that this run itself makes primary are two writers.
#[test]
fn what_this_run_promoted_is_a_writer_of_its_data() {
    let run = Run::fold(&Tale::open(spec(Mode::Auto)).records()).unwrap();
    let primary = |target: &str, lineage: &str| {
        vec![Fact::Primary { target: target.into(), lineage: lineage.to_owned() }]
    };
    for (promoted, lineage, two) in
        [("third", "shop", true), ("third", "cache", false), ("promote", "shop", false)]
    {
        let writer = Effect::Writer { target: "promote".into(), others: vec![] };
        let (effects, gives) = (vec![writer], primary("promote", "shop"));
        let change = Change { effects, gives, ..Change::new(json!(0), json!(1)) };
        for when in [Ahead::Plan, Ahead::Write, Ahead::Back] {
            let broken = run.broken((2, 0), &change, &primary(promoted, lineage), when);
            let says: Vec<&str> = broken.iter().map(|(_, says)| says.as_str()).collect();
            let told = ["promote would be a writer beside third, which accepts writes"];
            assert_eq!(says, if two { told.as_slice() } else { &[] }, "{promoted} of {lineage}, {when:?}");
        }
    }
}

#[test]
fn a_server_of_which_nothing_is_known_writes_unless_a_person_accepted_that() {
    for (accepted, asked, [plan, write]) in [
        (false, false, [1, 1]),
        (true, false, [0, 0]),
        // The plan says that a person will be asked; right before the write, nobody has been.
        (false, true, [0, 1]),
    ] {
        let mut spec = spec(Mode::Auto);
        let rule = UnfencedRule { target: "third".into(), role: Role::IncidentLead };
        spec.items[1].accept_unfenced = asked.then_some(rule);
        let mut run = Run::fold(&Tale::open(spec).records()).unwrap();
        if accepted {
            run.overrides.insert("third".into(), Accepted { by: lead(), until: Time(i64::MAX) });
        }
        let third = Other { target: "third".into(), writes: None };
        let writer = Effect::Writer { target: "promote".into(), others: vec![third] };
        let change = Change { effects: vec![writer], ..Change::new(json!(0), json!(1)) };
        let broken = |when| run.broken((2, 0), &change, &[], when).len();
        assert_eq!([broken(Ahead::Plan), broken(Ahead::Write)], [plan, write], "{accepted} {asked}");
    }
}

#[test]
fn an_override_is_of_one_rule_by_one_role_and_ends() {
    let empty = || with_step("dns.set", json!({ "effects": [{ "records": records(&[]) }] }));
    let tale = Tale::open(empty());
    assert!(matches!(tale.end(), End::Waits(_)));
    let until = |mins| tale.sim.world.now() + Span::mins(mins);
    let refused = |who: &Actor, rule, until| {
        let command = Command::Override(Override { by: who.clone(), ..lifted(rule, until) });
        tale.folded().decide(&command, who, "why", tale.sim.world.now()).unwrap_err()
    };
    let admin = Actor { roles: vec![Role::Admin, Role::Operator, Role::Approver], ..lead() };
    assert!(matches!(refused(&admin, Rule::NeverEmptyRrset, until(5)), Refused::NotAllowed(_)));
    assert!(matches!(refused(&lead(), Rule::MaxWriters, until(5)), Refused::NotAllowed(_)));
    assert!(matches!(refused(&lead(), Rule::NeverEmptyRrset, until(0)), Refused::Conflict(_)));
    // Another rule than the one in the way.
    tale.sim.say(&tale.run, &lead(), &Command::Override(lifted(Rule::MinLiveTargets, until(30)))).unwrap();
    assert!(matches!(tale.end(), End::Waits(_)));
    let spoken = lifted(Rule::NeverEmptyRrset, tale.sim.world.now() + Span::mins(30));
    tale.sim.say(&tale.run, &lead(), &Command::Override(spoken.clone())).unwrap();
    assert_eq!(tale.end(), End::Finished(Outcome::Succeeded));
    let run = tale.folded();
    let notes: Vec<String> =
        run.plan.iter().flat_map(|plan| &plan.lines).flat_map(|l| l.notes.clone()).collect();
    assert!(notes.contains(&spoken.says()), "{notes:?}");
    // What was agreed to is not what it would be without it.
    let agreed = run.plan.as_ref().map(|plan| plan.digest);
    assert_eq!(Some(run.sheet(tale.sim.world.now()).digest), agreed);
    assert_ne!(Some(run.sheet(spoken.until).digest), agreed);
}

#[test]
fn an_override_that_is_over_or_taken_back_binds_again() {
    let empty = || with_step("dns.set", json!({ "effects": [{ "records": records(&[]) }] }));
    let short = Tale::open(empty());
    let command = Command::Override(lifted(Rule::NeverEmptyRrset, NOW + Span::secs(1)));
    short.sim.say(&short.run, &lead(), &command).unwrap();
    short.sim.world.advance_to(NOW + Span::secs(1));
    assert!(matches!(short.end(), End::Waits(_)));
    assert_eq!((short.codes(), short.changes("fence")), (vec!["PM5601".to_owned()], 0));
    let taken_back = Tale::open(empty());
    let say = |command| taken_back.sim.say(&taken_back.run, &lead(), &command).unwrap();
    say(Command::Override(lifted(Rule::NeverEmptyRrset, NOW + Span::mins(60))));
    say(Command::Enforce(Rule::NeverEmptyRrset));
    assert!(matches!(taken_back.end(), End::Waits(_)));
    assert_eq!(taken_back.codes(), ["PM5601"]);
    // It runs out in the middle: what was planned under it is not written without it.
    let mut middle = Tale::open(empty());
    middle.toy.plot.slow = Some(("right".into(), Span::secs(10)));
    middle
        .sim
        .say(&middle.run, &lead(), &Command::Override(lifted(Rule::NeverEmptyRrset, NOW + Span::secs(5))))
        .unwrap();
    let end = middle.end();
    assert!(matches!(&end, End::Waits(says) if says.starts_with("parked")), "{end:?}");
    assert_eq!((middle.codes(), middle.changes("dns")), (vec!["PM5601".to_owned()], 0));
}

/// What other runs have begun, and a limit; this run's own changes are counted on top.
struct Others {
    begun: u32,
    most: u32,
    known: bool,
    own: Mutex<(u32, Option<u32>)>,
    /// Whether another run takes all that is left between the decision and the booking.
    race: bool,
}

impl Ledger for Others {
    fn spent(&self, _: &RunId, _: Time) -> Result<Spent, String> {
        let (own, left) = *self.own.lock().unwrap();
        let begun = self.begun + own;
        let spent = Spent { begun, reserved: 0, own: left.unwrap_or(0), most: self.most };
        self.known.then_some(spent).ok_or_else(|| "the journal cannot be read".to_owned())
    }
    fn begin(&self, run: &RunId, now: Time, left: u32, room: &dyn Fn(&Spent) -> bool) -> bool {
        if self.race {
            self.own.lock().unwrap().0 = self.most;
        }
        if !self.spent(run, now).is_ok_and(|spent| room(&spent)) {
            return false;
        }
        let mut own = self.own.lock().unwrap();
        own.0 += 1;
        own.1 = Some(own.1.unwrap_or(left).saturating_sub(1));
        true
    }
    fn take_back(&self, _: &RunId, calls: usize) {
        self.own.lock().unwrap().0 -= u32::try_from(calls).unwrap();
    }
    fn release(&self, _: &RunId) {}
}

#[test]
fn changes_within_an_hour_are_limited_as_a_whole_and_a_run_under_way_is_not_cut_in_two() {
    let go = |others: Others, wrong: Option<&str>| {
        let mut tale = Tale::open(spec(Mode::Auto));
        tale.toy.plot.wrong = wrong.map(|name| (Name::from(name), 1, Wrong::Swallows));
        tale.sim.ledger = Some(Arc::new(others));
        let end = tale.end();
        (end, tale.codes(), tale.changes("fence"), tale)
    };
    let others = |begun, most| Others { begun, most, known: true, own: Mutex::default(), race: false };
    // Six changes: guard and checks are none.
    assert_eq!(go(others(4, 10), None).0, End::Finished(Outcome::Succeeded));
    let (end, codes, fenced, tale) = go(others(5, 10), None);
    assert_eq!((codes, fenced), (vec!["PM5604".to_owned()], 0), "{end:?}: all or nothing");
    tale.sim
        .say(
            &tale.run,
            &lead(),
            &Command::Override(lifted(Rule::ChangesPerHour, tale.sim.world.now() + Span::mins(9))),
        )
        .unwrap();
    assert_eq!(tale.end(), End::Finished(Outcome::Succeeded));
    let (_, codes, fenced, _) = go(Others { known: false, ..others(0, 10) }, None);
    assert_eq!((codes, fenced), (vec!["PM5604".to_owned()], 0), "what is not known is no room");
    let (end, codes, fenced, _) = go(Others { race: true, ..others(0, 10) }, None);
    assert_eq!((codes, fenced), (vec!["PM5604".to_owned()], 0), "{end:?}: another was quicker");
    // A cached row is a function of the records alone, whatever a ledger says.
    let (_, _, _, tale) = go(others(5, 10), None);
    let told = tale.records();
    let held = told.iter().position(|r| matches!(r.record, Record::Held { .. })).unwrap();
    let mut run = Run::fold(&told[..held]).unwrap();
    let bare = run.summary().cached();
    run.spent = Some(Ok(Spent { begun: 10, reserved: 0, own: 0, most: 10 }));
    assert!(run.next(NOW).says.contains("changes_per_hour") && run.summary().cached() == bare);
    // The fence is swallowed again and again: each attempt beyond the plan asks for room, and the seventh has none.
    let (end, codes, _, _) = go(others(4, 10), Some("fence"));
    assert!(matches!(&end, End::Waits(says) if says.starts_with("parked")), "{end:?}");
    assert_eq!(codes, ["PM5604"]);
}
