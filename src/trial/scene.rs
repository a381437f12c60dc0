//! One case played: the alert comes, the run opens, time goes on, things break, people speak, until it ends or nothing
//! more would happen.

use super::faults::FaultyRegistry;
use super::life::{Burn, NOW};
use super::model::{Case, Deed, FaultKind, Word, WorldDeed};
use super::people;
use super::stage::{Began, Stage};
use crate::kernel::domain::{Actor, Outcome, Reason, Record, Resolved, RunId, Span, Stamped, Stream, Time};
use crate::kernel::engine::{Command, Run};
use crate::kernel::inject::Injector;
use crate::kernel::port::{Samples, World as _};
use crate::kernel::sim::{Schedule, Sim, Went};
use crate::provider::ProviderRegistry;
use crate::simulated::world::{Hand, Standing, TwoSites};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// While nothing but waiting happens, a story is followed that long.
const PATIENCE: Span = Span::mins(20);
/// A run that is held: one look is like the other.
const HOLD: Span = Span::secs(75);
/// Passes of one story.
const MOST_PASSES: u32 = 5_000;

/// How the story ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    NotStarted(Vec<Reason>),
    Finished(Outcome),
    /// `held`, `waits`, `parked` or `observed`, with the run's own words.
    Rests {
        how: &'static str,
        says: String,
    },
}

impl Ending {
    pub fn word(&self) -> &'static str {
        match self {
            Ending::NotStarted(_) => "not started",
            Ending::Finished(outcome) => outcome.as_str(),
            Ending::Rests { how, .. } => how,
        }
    }
}

/// A story as it was told.
pub struct Told {
    pub ending: Ending,
    /// None: nothing was opened.
    pub run: Option<Run>,
    pub spec: Option<Resolved>,
    pub records: Vec<Stamped>,
    pub effects: BTreeMap<String, u32>,
    pub violations: Vec<String>,
    pub standing: Option<Standing>,
    pub lost: Option<u64>,
    /// What the test says and the story did not come to: faults that never struck, words that were refused.
    pub unsaid: Vec<String>,
    /// Virtual time from the alert to the end.
    pub took: Span,
}

struct Play<'a> {
    stage: &'a Stage,
    case: &'a Case,
    sim: Sim,
    sites: Arc<TwoSites>,
    registry: FaultyRegistry,
    samples: Arc<dyn Samples>,
    run: RunId,
    deeds: Vec<Deed>,
    timed: Vec<Word>,
    asked: VecDeque<Word>,
    unsaid: Vec<String>,
    /// Since when nothing but waiting has happened.
    quiet_since: Time,
}

/// `Err`: the test itself cannot be carried out.
pub fn tell(stage: &Stage, case: &Case) -> Result<Told, String> {
    let (spec, confirmed_for) = match stage.begin(case)? {
        Began::Not(why) => return Ok(not_started(why)),
        Began::Run { spec, confirmed_for } => (*spec, confirmed_for),
    };
    let gap = case.faults.iter().any(|fault| fault.kind == FaultKind::Gap);
    let sim = Sim::new(Schedule { gap, ..Schedule::default() }, NOW);
    sim.world.advance_to(NOW + confirmed_for);
    let sites = TwoSites::new(&stage.config, &spec, sim.fuse.clone(), case.start, None, &sim.world)
        .map_err(|why| format!("this playbook cannot be simulated: {}", why.join("; ")))?;
    let real = ProviderRegistry { config: stage.config.clone(), ports: sites.ports() };
    let inner = Injector::new(Arc::new(real), Arc::new(Burn(sim.fuse.clone())));
    let registry = FaultyRegistry::new(inner, &case.faults, &spec, sim.fuse.clone(), sites.clone());
    let samples = sites.samples(&sim.world);
    let run = sim.open(spec.clone())?;
    let (timed, asked): (Vec<Word>, Vec<Word>) = case.people.iter().cloned().partition(|word| word.at_time);
    let quiet_since = sim.world.now();
    let mut play = Play {
        stage,
        case,
        sim,
        sites,
        registry,
        samples,
        run,
        deeds: case.meanwhile.clone(),
        timed,
        asked: asked.into(),
        unsaid: vec![],
        quiet_since,
    };
    let ending = play.go()?;
    play.told(ending, spec)
}

fn not_started(why: Vec<Reason>) -> Told {
    Told {
        ending: Ending::NotStarted(why),
        run: None,
        spec: None,
        records: vec![],
        effects: BTreeMap::new(),
        violations: vec![],
        standing: None,
        lost: None,
        unsaid: vec![],
        took: Span::ZERO,
    }
}

impl Play<'_> {
    fn go(&mut self) -> Result<Ending, String> {
        let mut life = 0;
        for _ in 0..MOST_PASSES {
            self.due()?;
            match self.sim.pass(&self.run, &self.registry, self.samples.clone(), life)? {
                Went::Died => life += 1,
                Went::Finished(outcome) => return Ok(Ending::Finished(outcome)),
                Went::Waits { until, says } => {
                    if let Some(end) = self.wait(until, says)? {
                        return Ok(end);
                    }
                }
            }
        }
        Err(format!("the story does not end within {MOST_PASSES} passes"))
    }

    fn records(&self) -> Result<Vec<Stamped>, String> {
        let stream = Stream::Run(self.run.clone());
        let ours = self.sim.backend.inner.entries().into_iter().filter(|entry| entry.stream == stream);
        ours.map(|entry| {
            let record = Record::decode(&entry.kind, entry.version, &entry.body)?;
            Ok(Stamped {
                position: entry.position,
                stream: entry.stream,
                seq: entry.seq,
                at: entry.at,
                record,
            })
        })
        .collect()
    }

    fn folded(&self) -> Result<Run, String> {
        Run::fold(&self.records()?).map_err(|e| e.to_string())
    }

    /// Deeds and words whose time has come.
    fn due(&mut self) -> Result<(), String> {
        let now = self.sim.world.now();
        let come = |after: Span| NOW + after <= now;
        let (deeds, later): (Vec<Deed>, _) =
            std::mem::take(&mut self.deeds).into_iter().partition(|deed| come(deed.after));
        self.deeds = later;
        for deed in deeds {
            match deed.what {
                WorldDeed::PowerOffOld => self.sites.power_off(&[]),
                WorldDeed::Hand(hand) => self.sites.by_hand(hand),
            }
            if deed.what == WorldDeed::Hand(Hand::Resolve) {
                // As triage does when the source says so; a run past its first change may refuse it.
                let _ = self.sim.say(&self.run, &Actor::internal(), &Command::Resolved);
            }
            self.quiet_since = now;
        }
        let (words, later): (Vec<Word>, _) =
            std::mem::take(&mut self.timed).into_iter().partition(|word| come(word.after));
        self.timed = later;
        for word in words {
            self.say(&word)?;
        }
        Ok(())
    }

    fn say(&mut self, word: &Word) -> Result<(), String> {
        self.quiet_since = self.sim.world.now();
        let by = people::actor(&self.stage.config, &word.who, &self.stage.playbook.service)?;
        let run = self.folded()?;
        let said = people::say(word, &by, &self.sim, &self.sites, &run, &self.run);
        let who = &word.who.name.0;
        match (said, &word.refused) {
            (Ok(Ok(())), None) => {}
            (Ok(Ok(())), Some(wanted)) => {
                self.unsaid.push(format!("{who} was to be refused ({wanted}), and was not"));
            }
            (Ok(Err(why)), Some(wanted)) if why.contains(wanted.as_str()) => {}
            (Ok(Err(why)) | Err(why), _) => self.unsaid.push(format!("{who} was refused: {why}")),
        }
        Ok(())
    }

    /// The run waits. Goes on to whatever comes next; or it ends here, since nothing would.
    fn wait(&mut self, until: Option<Time>, says: String) -> Result<Option<Ending>, String> {
        let how = match says.as_str() {
            "observed" => {
                return Ok(Some(Ending::Rests { how: "observed", says: "it only observes".into() }));
            }
            _ => self.folded()?.summary().state,
        };
        let now = self.sim.world.now();
        let timed = self.deeds.iter().map(|deed| deed.after).chain(self.timed.iter().map(|word| word.after));
        let event = timed.min().map(|after| NOW + after);
        let asks = ["waits for approval", "waits for a person", "parked"].contains(&how.as_str());
        let answer = self.asked.front().filter(|_| asks).map(|word| now + word.after);
        if let Some(at) = answer.filter(|at| event.is_none_or(|event| *at <= event)) {
            let word = self.asked.pop_front().ok_or("invariant: somebody has something to say")?;
            self.sim.world.advance_to(at);
            self.say(&word)?;
            return Ok(None);
        }
        let how = match how.as_str() {
            "held" => "held",
            "parked" => "parked",
            _ => "waits",
        };
        let patience = self.case.patience.unwrap_or(if how == "held" { HOLD } else { PATIENCE });
        let next = [until, event].into_iter().flatten().min();
        match next {
            Some(at) if event == Some(at) || at.since(self.quiet_since) <= patience => {
                self.sim.world.advance_to(at);
                Ok(None)
            }
            _ => Ok(Some(Ending::Rests { how, says })),
        }
    }

    /// What somebody changed by hand may have to be changed again.
    fn somebody_meddled(&self) -> bool {
        let by_hand = |fault: &super::model::Fault| matches!(fault.kind, FaultKind::ByHand(_));
        !self.case.meanwhile.is_empty() || self.case.faults.iter().any(by_hand)
    }

    fn told(mut self, ending: Ending, spec: Resolved) -> Result<Told, String> {
        for index in self.registry.unused() {
            let fault = &self.case.faults[index];
            self.unsaid.push(format!("the fault at {:?} never struck as often as it says", fault.step.0));
        }
        for word in self.asked.iter().chain(&self.timed) {
            self.unsaid.push(format!("{} was never asked", word.who.name.0));
        }
        for deed in &self.deeds {
            self.unsaid
                .push(format!("the story was over before {}: {:?} did not happen", deed.after, deed.what));
        }
        let watch = self.sites.watch();
        let mut violations: Vec<String> = watch.violations.iter().map(|(_, what)| what.clone()).collect();
        let records = self.records()?;
        let intended = records.iter().filter(|s| matches!(s.record, Record::Intended { .. })).count();
        let made: u32 = self.sites.effects().values().sum();
        if made as usize > intended {
            violations.push(format!("{made} changes were made, and {intended} are on record"));
        }
        if !self.somebody_meddled() {
            let back =
                records.iter().filter(|s| matches!(&s.record, Record::Intended { call, .. } if call.undo));
            violations.extend(twice(&self.sites.effects(), &spec, back.count()));
        }
        Ok(Told {
            ending,
            run: Some(self.folded()?),
            spec: Some(spec),
            records,
            effects: self.sites.effects(),
            violations,
            standing: Some(self.sites.standing()),
            lost: watch.lost.or(self.sites.lost()),
            unsaid: self.unsaid,
            took: self.sim.world.now().since(NOW),
        })
    }
}

/// Every change is made once; a zone takes one update for each step that writes to it, and one for each that is taken `back`.
fn twice(effects: &BTreeMap<String, u32>, spec: &Resolved, back: usize) -> Vec<String> {
    let rungs = spec.items.iter().flat_map(|item| &item.rungs);
    let zones = rungs.filter_map(|rung| rung.form.spec()).filter(|s| s.sets_records()).count().max(1) + back;
    let most = |what: &str| if what == "zone updated" { u32::try_from(zones).unwrap_or(u32::MAX) } else { 1 };
    let more = effects.iter().filter(|(what, count)| **count > most(what));
    more.map(|(what, count)| format!("{what}: {count} times")).collect()
}
