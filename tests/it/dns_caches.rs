//! What users are given: a real Unbound before Knot and BIND keeps the old answer for as long as its TTL says. It is told,
//! and a run waits for it, whoever drives it meanwhile.

use crate::remote::{Remote, now};
use lab::dns::ZONE;
use lab::{DnsOptions, Lab};
use pointsman::kernel::domain::*;
use pointsman::kernel::drive::{Pass, opening};
use pointsman::kernel::journal::{Journal, MemoryBackend};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of the zone, in seconds: as long as anything here waits.
const TTL: u32 = 4;

struct Scene {
    lab: Lab,
    secrets: tempfile::TempDir,
}

impl Scene {
    /// The resolver has been asked by somebody, and keeps what it was told.
    async fn new() -> Scene {
        let options = DnsOptions { ttl: TTL, ..DnsOptions::default() };
        let lab =
            Lab::builder().dns_with(options).resolver(3600).start().await.expect("a zone and a resolver");
        Scene { lab, secrets: tempfile::tempdir().unwrap() }
    }

    fn remote(&self, servers: &[SocketAddr], resolvers: &[SocketAddr]) -> Remote {
        let file = self.secrets.path().join("key");
        std::fs::write(&file, &self.lab.dns().update_key.secret).unwrap();
        let list =
            |all: &[SocketAddr]| format!("{:?}", all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let remote = Remote::new(&format!(
            "[targets.zone]\nkind = \"rfc2136\"\nzone = \"{ZONE}\"\nservers = {}\nresolvers = {}\n\
             tsig = {{ name = \"pointsman\", algorithm = \"hmac-sha256\", secret = {{ file = {file:?} }} }}\n",
            list(servers),
            list(resolvers)
        ));
        remote.registry.ports.owner.set("one");
        remote
    }

    fn usual(&self) -> Remote {
        let dns = self.lab.dns();
        self.remote(&[dns.primary, dns.secondary], &[self.lab.resolver().addr()])
    }

    /// A user asks: from now on the resolver keeps the answer.
    async fn ask(&self) -> Vec<String> {
        self.lab.resolver().lookup(ZONE, "A").await.unwrap()
    }

    /// Whatever was kept is gone, its last second included, and the old answer is kept for its whole TTL.
    async fn asked_anew(&self) {
        tokio::time::sleep(Duration::from_secs(u64::from(TTL) + 1)).await;
        assert_eq!(self.ask().await, ["127.0.1.80"]);
    }
}

fn swap(wait: bool) -> Value {
    json!({ "ttl": TTL, "wait_ttl": wait, "records": [{ "name": ZONE, "type": "A", "values": ["127.0.2.80"] }] })
}

/// As it is seen once every authoritative server has it.
async fn settled(remote: &Remote, bound: &pointsman::kernel::port::Bound) -> (String, Option<Lingers>) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match remote.plan(bound).await {
            StepPlan::Nothing { says, lingers, .. } => return (says, lingers),
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_answer_is_told_with_what_is_left_of_it_and_then_the_new_one() {
    let scene = Scene::new().await;
    let remote = scene.usual();
    let action = remote.bind("dns.record", "zone", swap(true));
    let change = remote.change(&action).await;
    assert_eq!(change.lasts, Some(Span::secs(TTL.into())));
    let warned =
        |w: &String| w.starts_with("waits up to 4.0 s for caches") && w.contains("until the resolver");
    assert!(change.warnings.iter().any(warned), "{:?}", change.warnings);
    scene.asked_anew().await;
    let asked = Instant::now();
    assert_eq!(remote.apply(&action, change, 10).await.result, CallResult::Applied);
    let (says, lingers) = settled(&remote, &action).await;
    let resolver = scene.lab.resolver().addr();
    assert!(
        says.contains(&format!("resolver {resolver} still gives {ZONE}. A 127.0.1.80, for up to ")),
        "{says}"
    );
    let lingers = lingers.expect("somebody has the old answer");
    assert!(lingers.waits && lingers.seen && lingers.at_most <= Span::secs(TTL.into()), "{lingers:?}");
    // The same is told to a step that does not wait, and does not hold it up.
    let (_, told) = settled(&remote, &remote.bind("dns.record", "zone", swap(false))).await;
    assert!(told.is_some_and(|told| told.seen && !told.waits), "{told:?}");
    loop {
        let (says, lingers) = settled(&remote, &action).await;
        if lingers.is_none() {
            assert!(says.ends_with("the resolver answers with the same"), "{says}");
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(u64::from(TTL) + 2), "{says}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.ask().await, ["127.0.2.80"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_is_silent_or_none_is_unknown_by_name_and_soon() {
    let mut scene = Scene::new().await;
    scene.lab.resolver_mut().hang().unwrap();
    let (remote, resolver) = (scene.usual(), scene.lab.resolver().addr());
    let action = remote.bind("dns.record", "zone", swap(true));
    let change = remote.change(&action).await;
    assert_eq!(remote.apply(&action, change, 10).await.result, CallResult::Applied);
    let (says, lingers) = settled(&remote, &action).await;
    assert!(says.contains(&format!("resolver {resolver} could not be asked (udp: no answer")), "{says}");
    assert!(lingers.is_some_and(|lingers| !lingers.seen), "silence is no old answer");
    let started = Instant::now();
    settled(&remote, &action).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    scene.lab.resolver_mut().wake().unwrap();
    // An authoritative server knows the records, and nothing of what users are given.
    let dns = scene.lab.dns();
    let remote = scene.remote(&[dns.primary], &[dns.secondary]);
    let (says, lingers) = settled(&remote, &remote.bind("dns.record", "zone", swap(true))).await;
    assert!(says.contains("it is no resolver: it offers no recursion") && lingers.is_some(), "{says}");
}

fn step(name: &str, after: Vec<ItemId>, with: Value) -> Item {
    let spec = Spec { kind: "dns.record".into(), target: "zone".into(), with };
    Item {
        name: name.into(),
        role: ItemRole::Step,
        rungs: vec![Rung { form: Form::Act(spec), proves: vec![] }],
        after,
        commit_point: false,
        optional: false,
        planned_ahead: true,
        accept_unfenced: None,
        continues: None,
        on_failure: OnFailure::Pause,
        retry: Retry::default(),
        timeout: Span::secs(20),
    }
}

/// The name moves, caches are waited for, and only then the next record is written.
fn two_steps() -> Resolved {
    let next = json!({ "ttl": TTL, "records": [
        { "name": format!("next.{ZONE}"), "type": "TXT", "values": ["the old site may rest"] } ] });
    Resolved {
        run: "R4N0M1".into(),
        playbook: "caches".into(),
        playbook_digest: Digest::of(b"caches"),
        text: "caches".into(),
        service: "shop".into(),
        kind: RunKind::Other,
        mode: Mode::Auto,
        from: "gra".into(),
        to: "sbg".into(),
        items: vec![step("move the name", vec![], swap(true)), step("next", vec![0], next)],
        locks: vec![],
        approval: ApprovalRule::simple(Span::mins(15), Role::Approver),
        limits: Limits::default(),
        objective: Objective::default(),
        afterwards: Afterwards { fence_watch: vec![], commit_window: Span::ZERO },
        cause: Cause::Alert { occurrences: vec![], started: now(), delivered: now(), labels: json!({}) },
        epoch: 1,
        owner: "first".into(),
        fold: 1,
    }
}

/// What the run did, and when.
struct Told {
    records: Vec<Stamped>,
    waits: Vec<String>,
    passes: usize,
}

impl Told {
    /// When the first look found it as wanted everywhere it was written.
    fn right(&self) -> Time {
        let right = |s: &&Stamped| {
            matches!(&s.record, Record::Observed { item: 0, plan: StepPlan::Nothing { .. }, .. })
        };
        self.records.iter().find(right).expect("it was seen in effect").at
    }

    fn next_began(&self) -> Time {
        let next = |s: &&Stamped| matches!(&s.record, Record::Intended { call, .. } if call.item == 1);
        self.records.iter().find(next).expect("the next step began").at
    }

    fn last_said(&self) -> String {
        let said = |s: &Stamped| match &s.record {
            Record::Observed { item: 0, plan: StepPlan::Nothing { says, .. }, .. } => Some(says.clone()),
            _ => None,
        };
        self.records.iter().rev().find_map(said).expect("it was looked at")
    }
}

/// The process is killed while it waits, and another one goes on.
async fn driven(remote: &Remote) -> Told {
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let spec = two_steps();
    journal.append(opening(&spec, now()).unwrap()).await.unwrap();
    let (mut waits, until) = (vec![], Instant::now() + Duration::from_secs(40));
    for passes in 1.. {
        let owner = if waits.is_empty() { "first" } else { "second" };
        match remote.pass(&journal, owner, &spec.run).await {
            Pass::Finished(outcome) => {
                assert_eq!(outcome, Outcome::Succeeded);
                let records = journal.read(&Stream::Run(spec.run.clone()), 1).await.unwrap();
                return Told { records, waits, passes };
            }
            Pass::Waiting { wake, says } => {
                assert!(Instant::now() < until, "{says}");
                let wake = wake.unwrap_or_else(|| panic!("nothing would wake it: {says}"));
                waits.push(says);
                tokio::time::sleep(wake.since(now()).as_duration()).await;
            }
            Pass::Observed(_) => panic!("it acts"),
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_until_the_resolver_gives_the_new_answer_whoever_drives_it() {
    let scene = Scene::new().await;
    scene.asked_anew().await;
    let told = driven(&scene.usual()).await;
    assert!(
        told.waits
            .iter()
            .any(|says| says.contains("waiting until nobody sees what was there before: move the name")),
        "{:?}",
        told.waits
    );
    assert!(told.passes > 1, "nothing was held while it waited");
    assert!(told.last_said().ends_with("the resolver answers with the same"), "{}", told.last_said());
    assert!(told.next_began() > told.right() + Span::secs(1), "the step after it did not wait");
    assert_eq!(scene.ask().await, ["127.0.2.80"], "nobody is led to the old site any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_the_whole_old_ttl_goes_by() {
    let mut scene = Scene::new().await;
    scene.lab.resolver_mut().hang().unwrap();
    let told = driven(&scene.usual()).await;
    scene.lab.resolver_mut().wake().unwrap();
    let waited = told.next_began().since(told.right());
    assert!(waited >= Span::secs(TTL.into()), "{waited}");
    assert!(told.last_said().contains("could not be asked"), "{}", told.last_said());
}
