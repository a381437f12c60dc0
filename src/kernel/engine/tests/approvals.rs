//! Whose yes counts, how often, for what and until when; and that nothing else begins a run that needs one.

use super::*;
use crate::engine::{Command, Consent, Refused, Run};

const SHOP: [&str; 3] = ["bo", "eve", "ada"];

fn person(name: &str) -> Actor {
    let groups = vec!["oncall".into()];
    Actor { person: true, groups, ..Actor::token(name.into(), vec![Role::Approver], Via::Web) }
}

fn rule(need: u8) -> ApprovalRule {
    ApprovalRule {
        need,
        from: vec!["oncall".into()],
        not_requester: true,
        on_expiry: OnExpiry::Escalate,
        ..ApprovalRule::simple(Span::mins(15), Role::Approver)
    }
}

struct Desk {
    sim: Sim,
    toy: Toy,
    id: RunId,
}

impl Desk {
    /// A run that waits for approval.
    fn new(rule: ApprovalRule, cause: Option<Cause>) -> Desk {
        let sim = Sim::new(Schedule::default(), Time(1_000_000_000));
        let toy = Toy::new(&sim, &Arc::new(Mutex::new(Registers::default())));
        let mut spec = Resolved { approval: rule, ..spec(Mode::Approve) };
        spec.cause = cause.unwrap_or(spec.cause);
        let id = sim.open(spec).unwrap();
        let mut desk = Desk { sim, toy, id };
        desk.sim.patience = Span::mins(1);
        desk.drive();
        assert!(matches!(desk.run().consent, Consent::Asked { .. }), "{:?}", desk.run().consent);
        desk
    }
    fn drive(&self) -> End {
        self.sim.finish(&self.id, &self.toy, Arc::new(NoSamples)).unwrap()
    }
    fn records(&self) -> Vec<Stamped> {
        let journal = crate::journal::Journal::new(self.sim.backend.clone());
        self.sim.block_on(journal.read(&Stream::Run(self.id.clone()), 1)).unwrap().unwrap()
    }
    fn run(&self) -> Run {
        Run::fold(&self.records()).unwrap()
    }
    fn digest(&self) -> Digest {
        self.run().plan.unwrap().digest
    }
    fn yes(&self, by: &Actor, digest: Digest, solo: bool) -> Result<(), Refused> {
        let command = Command::Approve { digest, accept_unfenced: vec![], solo };
        self.run().decide(&command, by, "it is down", self.sim.world.now())?;
        self.sim.say(&self.id, by, &command).map_err(Refused::Conflict)
    }
    fn no(&self, by: &Actor) -> Result<(), Refused> {
        self.run().decide(&Command::Reject, by, "no", self.sim.world.now())?;
        self.sim.say(&self.id, by, &Command::Reject).map_err(Refused::Conflict)
    }
    fn changed(&self) -> bool {
        self.run().first_change.is_some()
    }
    fn later(&self, span: Span) {
        self.sim.world.advance_to(self.sim.world.now() + span);
    }
}

fn says(refused: Result<(), Refused>) -> String {
    refused.unwrap_err().to_string()
}

#[test]
fn a_quorum_takes_distinct_people_and_the_last_yes_begins_the_run() {
    let desk = Desk::new(rule(3), None);
    for (n, name) in SHOP.iter().enumerate() {
        assert!(!desk.changed(), "begun after {n} of 3");
        desk.yes(&person(name), desk.digest(), false).unwrap();
        if n < 2 {
            let again = says(desk.yes(&person(name), desk.digest(), false));
            assert!(again.contains("approved already") && again.contains("other people"), "{again}");
            desk.drive();
        }
    }
    let late = says(desk.yes(&person("zoe"), desk.digest(), false));
    assert!(late.contains("already approved by bo at") && late.contains("ada at"), "{late}");
    assert_eq!(desk.drive(), End::Finished(Outcome::Succeeded));
    let late = says(desk.yes(&person("zoe"), desk.digest(), false));
    assert!(late.contains("already approved by bo at") && late.contains("finished"), "{late}");
}

#[test]
fn one_no_wins_over_two_yes() {
    let desk = Desk::new(rule(3), None);
    for name in &SHOP[..2] {
        desk.yes(&person(name), desk.digest(), false).unwrap();
    }
    desk.no(&person("zoe")).unwrap();
    assert!(says(desk.yes(&person("ada"), desk.digest(), false)).contains("already rejected by zoe at"));
    assert_eq!(desk.drive(), End::Finished(Outcome::Cancelled));
    assert!(!desk.changed());
}

#[test]
fn only_those_who_are_asked_may_say_yes() {
    let desk = Desk::new(rule(1), None);
    let digest = desk.digest();
    let viewer = Actor { roles: vec![Role::Viewer], ..person("bo") };
    let elsewhere = Actor { groups: vec!["sales".into()], ..person("bo") };
    let token = Actor { person: false, ..person("bo") };
    let slack = Actor { via: Via::Slack, ..person("bo") };
    let lead = Actor { roles: vec![Role::IncidentLead, Role::Operator], ..person("bo") };
    for (by, why) in [
        (viewer, "role approver"),
        (elsewhere, "not in oncall"),
        (token, "name of a token"),
        (slack, "by way of slack"),
        (lead, "role approver"),
        (Actor { person: true, ..Actor::internal() }, "role approver"),
    ] {
        let refused = desk.yes(&by, digest, false).unwrap_err();
        assert!(matches!(refused, Refused::NotAllowed(_)) && refused.to_string().contains(why), "{refused}");
    }
    let only_web = ApprovalRule { via: vec![Way::Web], ..rule(1) };
    let desk = Desk::new(only_web, None);
    let cli = Actor { via: Via::Socket, ..person("bo") };
    assert!(says(desk.yes(&cli, desk.digest(), false)).contains("by way of socket"));
    desk.yes(&person("bo"), desk.digest(), false).unwrap();
}

#[test]
fn a_link_is_good_for_one_word_where_the_playbook_takes_words_by_link() {
    let by_link = |name: &str| Actor { via: Via::Link, ..person(name) };
    let desk = Desk::new(rule(2), None);
    let refused = desk.yes(&by_link("bo"), desk.digest(), false).unwrap_err();
    assert!(refused.to_string().contains("by way of link"), "it has to be asked for: {refused}");
    let ways = vec![Way::Web, Way::Link];
    let desk = Desk::new(ApprovalRule { via: ways, ..rule(2) }, None);
    desk.yes(&by_link("bo"), desk.digest(), false).unwrap();
    for said in [desk.yes(&by_link("bo"), desk.digest(), false), desk.no(&by_link("bo"))] {
        let said = says(said);
        assert!(said.contains("used this link already, at"), "{said}");
    }
    // Others have links of their own; and who signs in says what they like.
    let another = says(desk.yes(&by_link("zoe"), Digest::of(b"another"), false));
    assert!(another.contains("the plan changed"), "a link of one's own: {another}");
    desk.no(&person("bo")).unwrap();
    assert_eq!(desk.drive(), End::Finished(Outcome::Cancelled));
    assert!(!desk.changed());
}

#[test]
fn another_plan_an_old_one_and_one_used_before_are_refused() {
    let desk = Desk::new(rule(1), None);
    assert!(says(desk.yes(&person("bo"), Digest::of(b"another"), false)).contains("the plan changed"));
    let offered = desk.digest();
    desk.later(Span::mins(16));
    assert!(says(desk.yes(&person("bo"), offered, false)).contains("expired"));
    assert!(!desk.changed());
}

#[test]
fn nobody_in_time_asks_again_and_more_and_never_begins() {
    for on_expiry in [OnExpiry::Escalate, OnExpiry::Hold] {
        let desk = Desk::new(ApprovalRule { on_expiry, ..rule(2) }, None);
        desk.yes(&person("bo"), desk.digest(), false).unwrap();
        for _ in 0..2 {
            desk.later(Span::mins(16));
            desk.drive();
        }
        let levels: Vec<u32> = desk
            .records()
            .iter()
            .filter_map(|r| match r.record {
                Record::Asked { level, .. } => Some(level),
                _ => None,
            })
            .collect();
        let wanted = if on_expiry == OnExpiry::Escalate { [0, 1, 2] } else { [0, 0, 0] };
        assert_eq!(levels, wanted);
        let run = desk.run();
        let Consent::Asked { yes, .. } = &run.consent else { panic!("{:?}", run.consent) };
        assert!(yes.is_empty() && run.first_change.is_none(), "an old yes does not count for a new plan");
        desk.yes(&person("bo"), desk.digest(), false).unwrap();
    }
    let desk = Desk::new(ApprovalRule { on_expiry: OnExpiry::Reject, ..rule(1) }, None);
    desk.later(Span::mins(16));
    assert_eq!(desk.drive(), End::Finished(Outcome::Cancelled));
    assert!(!desk.changed());
}

#[test]
fn who_asked_does_not_approve_unless_alone_and_saying_so() {
    let cause = |by: &Actor| Some(Cause::Person { by: by.clone(), reason: "a test".into() });
    let bo = person("bo");
    let desk = Desk::new(rule(1), cause(&bo));
    let refused = says(desk.yes(&bo, desk.digest(), false));
    assert!(refused.contains("somebody else approves it") && refused.contains("--solo"), "{refused}");
    desk.yes(&bo, desk.digest(), true).unwrap();
    let records = desk.records();
    let alone = records.iter().find(|r| matches!(r.record, Record::Decided { solo: true, .. })).unwrap();
    assert!(crate::engine::tell::tell(&alone.record, None).contains("ALONE"));
    assert_eq!(desk.drive(), End::Finished(Outcome::Succeeded));

    let desk = Desk::new(rule(2), cause(&bo));
    desk.yes(&bo, desk.digest(), true).unwrap();
    desk.drive();
    assert!(!desk.changed(), "alone is one, where two are needed");
    desk.yes(&person("eve"), desk.digest(), true).unwrap();
    let solo = |r: &&Stamped| matches!(r.record, Record::Decided { solo: true, .. });
    assert_eq!(desk.records().iter().filter(solo).count(), 1, "who did not ask is not alone");
}

#[test]
fn handing_on_decides_nothing_and_is_on_record_once() {
    let desk = Desk::new(rule(1), None);
    desk.sim.say(&desk.id, &person("bo"), &Command::Pass).unwrap();
    let now = desk.sim.world.now();
    assert!(desk.run().decide(&Command::Pass, &person("bo"), "", now).is_err(), "once");
    let nobody = Actor::token("x".into(), vec![Role::Viewer], Via::Web);
    assert!(matches!(desk.run().decide(&Command::Pass, &nobody, "", now), Err(Refused::NotAllowed(_))));
    desk.drive();
    assert!(!desk.changed() && matches!(desk.run().consent, Consent::Asked { .. }));
    desk.yes(&person("bo"), desk.digest(), false).unwrap();
}

#[test]
fn a_new_plan_forgets_who_said_yes_to_the_old_one() {
    let desk = Desk::new(rule(2), None);
    desk.yes(&person("bo"), desk.digest(), false).unwrap();
    desk.sim.say(&desk.id, &person("eve"), &Command::Replan).unwrap();
    assert!(
        says(desk.yes(&person("ada"), desk.run().plan.map_or(Digest::ZERO, |p| p.digest), false))
            .contains("no approval is asked for")
    );
    desk.drive();
    desk.yes(&person("ada"), desk.digest(), false).unwrap();
    desk.drive();
    assert!(!desk.changed(), "one of two for this plan");
    desk.yes(&person("bo"), desk.digest(), false).unwrap();
    assert_eq!(desk.drive(), End::Finished(Outcome::Succeeded));
}

#[test]
fn records_of_before_there_were_groups_are_read_as_they_were_meant() {
    let rule: ApprovalRule =
        serde_json::from_value(json!({ "expires": 900_000_000, "role": "approver" })).unwrap();
    assert_eq!(rule, ApprovalRule::simple(Span::mins(15), Role::Approver));
    let old = json!({ "decided": { "digest": Digest::ZERO, "by": { "name": "bo", "roles": ["approver"], "via": "api" },
        "yes": true, "reason": "r", "accept_unfenced": [] } });
    let Record::Decided { by, solo, .. } = serde_json::from_value(old.clone()).unwrap() else { panic!() };
    assert!(!by.person && by.groups.is_empty() && !solo);
    let again = Record::Decided {
        digest: Digest::ZERO,
        by,
        yes: true,
        reason: "r".into(),
        accept_unfenced: vec![],
        solo,
    };
    assert_eq!(serde_json::to_value(&again).unwrap(), old, "what is as before is written as before");
    let asked = json!({ "asked": { "digest": Digest::ZERO, "item": null, "until": 5, "says": "s" } });
    let asked: Record = serde_json::from_value(asked).unwrap();
    assert!(matches!(asked, Record::Asked { level: 0, .. }));
}

/// Whatever is said, by whomever, in whatever order: nothing begins without as many distinct people as are needed, each
/// of whom said yes to the plan in force, after which nobody said no.
#[test]
fn no_order_of_words_begins_a_run_without_its_quorum() {
    let words = |n: u64| -> (Actor, Command, bool) {
        let by = person(SHOP[(n % 3) as usize]);
        let by = if n.is_multiple_of(7) { Actor { roles: vec![Role::Viewer], ..by } } else { by };
        let command = match n / 3 % 6 {
            0..=2 => {
                Command::Approve { digest: Digest::ZERO, accept_unfenced: vec![], solo: n.is_multiple_of(2) }
            }
            3 => Command::Pass,
            4 => Command::Replan,
            _ => Command::Reject,
        };
        (by, command, n.is_multiple_of(11))
    };
    let mut begun = 0;
    for seed in 0..300_u64 {
        let desk = Desk::new(rule(2), None);
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (by, command, wrong) = words(random >> 16);
            let run = desk.run();
            let offered = run.plan.as_ref().map_or(Digest::ZERO, |p| p.digest);
            let command = match command {
                Command::Approve { accept_unfenced, solo, .. } => {
                    let digest = if wrong { Digest::of(b"wrong") } else { offered };
                    Command::Approve { digest, accept_unfenced, solo }
                }
                other => other,
            };
            let _ = desk.sim.say(&desk.id, &by, &command);
            desk.drive();
        }
        let records = desk.records();
        let Some(first) = records.iter().position(|r| matches!(r.record, Record::Intended { .. })) else {
            continue;
        };
        begun += 1;
        let asked = records[..first].iter().rposition(|r| matches!(r.record, Record::Asked { .. })).unwrap();
        let people: std::collections::BTreeSet<Name> = records[asked..first]
            .iter()
            .filter_map(|r| match &r.record {
                Record::Decided { by, yes: true, .. } => Some(by.name.clone()),
                Record::Decided { yes: false, .. } => panic!("seed {seed}: begun after a no"),
                _ => None,
            })
            .collect();
        assert!(people.len() >= 2, "seed {seed}: {people:?}");
    }
    assert!(begun > 50, "only {begun} of 300 stories begin: they say too little");
}
