//! What happens while a generated playbook runs: how the world stands, what goes wrong where, what people say in between
//! and what they do when the run waits for them.

use super::book::Book;
use crate::sim::plot::{NOW, Plot, Staged as _};
use crate::sim::schedules::Life;
use crate::sim::{APP_DEAD, CUT_OFF, KILLED};
use pointsman::kernel::domain::{Actor, Digest, Role, Span, Stamped, Stream, Via};
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::engine::{Command, Consent, Run};
use pointsman::kernel::journal::Journal;
use pointsman::kernel::sim::{End, Leap, Schedule, Strike};
use pointsman::simulated::world::{Hand, Start, Watch};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// What a person does when the run waits for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Approve,
    /// Pulls the plug, and confirms.
    PowerOff,
    /// Says that it is done, and it is not.
    Lie,
    Accept,
    Retry,
    Skip,
    Abort,
    Close,
}

#[derive(Clone, Debug)]
pub struct History {
    pub start: Start,
    pub schedule: Schedule,
    pub hand: Option<Hand>,
    pub deeds: Vec<Deed>,
}

/// Beyond the longest generated run nothing is struck.
const PLACES: u32 = 240;
const CALLS: u32 = 110;
const APPENDS: u32 = 30;

fn starts() -> impl Strategy<Value = Start> {
    let starts = vec![KILLED, APP_DEAD, CUT_OFF, Start { ssh_cut: true, ..APP_DEAD }];
    (select(starts), any::<bool>(), prop_oneof![3 => Just(2_u64), 1 => Just(700)]).prop_map(
        |(start, cut, latency)| Start {
            cut_replication: cut && !start.primary_killed,
            latency: Span::millis(latency),
            ..start
        },
    )
}

fn words() -> impl Strategy<Value = Command> {
    let accept =
        Command::Approve { digest: Digest::ZERO, accept_unfenced: vec!["pg-gra".into()], solo: false };
    let freeze = Command::Freeze { service: Some("shop".into()), until: NOW + Span::secs(40) };
    select(vec![
        Command::Abort,
        Command::Resolved,
        Command::Close,
        accept,
        freeze,
        Command::Confirm { item: None },
        Command::Retry { item: None },
        Command::Skip { item: None },
        Command::Thaw { service: Some("shop".into()) },
    ])
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let strike = select(vec![Strike::Reject, Strike::LoseReply, Strike::Stale, Strike::ByHand]);
    let ten = Span::mins(10);
    let leap = select(vec![Leap::Ahead(ten), Leap::Back(ten)]);
    (
        vec(0..PLACES, 0..3),
        vec((0..CALLS, strike), 0..4),
        vec(0..APPENDS, 0..2),
        vec((0..APPENDS, words()), 0..3),
        vec((0..PLACES, leap), 0..2),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(deaths, strikes, doubtful_appends, said, leaps, gap)| Schedule {
            deaths,
            strikes,
            doubtful_appends,
            said,
            leaps,
            gap,
            ..Schedule::default()
        })
}

pub fn histories() -> impl Strategy<Value = History> {
    let deed = select(vec![
        Deed::Approve,
        Deed::PowerOff,
        Deed::Lie,
        Deed::Accept,
        Deed::Retry,
        Deed::Skip,
        Deed::Abort,
        Deed::Close,
    ]);
    let hand = option::weighted(0.5, select(Hand::ALL.to_vec()));
    (starts(), schedules(), hand, vec(deed, 0..4)).prop_map(|(start, schedule, hand, deeds)| History {
        start,
        schedule,
        hand,
        deeds,
    })
}

/// Everything that came of it.
pub struct Told {
    pub end: Result<End, String>,
    pub records: Vec<Stamped>,
    pub watch: Watch,
    pub effects: BTreeMap<String, u32>,
}

/// `None`: the playbook is not legal.
pub fn tell(book: &Book, history: &History, mistake: Mistake) -> Result<Told, String> {
    let mut plot = Plot::written(&book.text(), "generated.yaml", history.start)?;
    plot.hold = Span::mins(2);
    plot.patience = Span::mins(6);
    if book.disordered {
        plot.spec.items.iter_mut().filter(|item| item.commit_point).for_each(|item| item.after.clear());
    }
    let life = Life { schedule: history.schedule.clone(), hand: history.hand };
    let stage = plot.stage(&life, mistake);
    let run = plot.spec.run.clone();
    let read = || {
        let journal = Journal::new(stage.sim.backend.clone());
        let records = stage.sim.block_on(journal.read(&Stream::Run(run.clone()), 1));
        records.expect("reading passes no boundary").unwrap()
    };
    let mut end = stage.sim.open(plot.spec.clone()).and_then(|run| stage.finish(&run));
    for deed in &history.deeds {
        if !matches!(end, Ok(End::Waits(_))) {
            break;
        }
        if *deed == Deed::PowerOff {
            stage.sites.power_off(&[]);
        }
        let Some(command) = command(*deed, &read()) else { continue };
        // What cannot be said now is refused, and nothing comes of it.
        if stage.sim.say(&run, &person(), &command).is_ok() {
            end = stage.finish(&run);
        }
    }
    let records = read();
    Ok(Told { end, records, watch: stage.sites.watch(), effects: stage.sites.effects() })
}

fn person() -> Actor {
    Actor::token("bo".into(), Role::ALL.to_vec(), Via::Cli)
}

fn command(deed: Deed, records: &[Stamped]) -> Option<Command> {
    let run = Run::fold(records).unwrap();
    Some(match deed {
        Deed::Approve => match run.consent {
            Consent::Asked { digest, .. } => {
                Command::Approve { digest, accept_unfenced: vec![], solo: false }
            }
            _ => return None,
        },
        Deed::Accept => {
            Command::Approve { digest: Digest::ZERO, accept_unfenced: vec!["pg-gra".into()], solo: false }
        }
        Deed::PowerOff | Deed::Lie => Command::Confirm { item: None },
        Deed::Retry => Command::Retry { item: None },
        Deed::Skip => Command::Skip { item: None },
        Deed::Abort => Command::Abort,
        Deed::Close => Command::Close,
    })
}
