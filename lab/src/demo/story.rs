//! The story itself: all eyes open at once, lines in the order of what happened, until its end or its deadline.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::event::{Kill, Line, Waiting};
use super::goals::Goals;
use super::journal::Teller;
use super::screen::Screen;
use super::stage::Stage;
use super::watch::{self, Sight};

/// Longer than any part of it takes: the supervisor alone waits 20 s.
const DEADLINE: Duration = Duration::from_secs(120);
/// A run that asks a person will not go on by itself.
const AFTER_ASKED: Duration = Duration::from_secs(3);

/// What ends the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that a failover shows.
    Failover,
    /// A person is asked.
    Asked,
}

pub async fn follow(stage: &Stage, screen: &Screen, kill: &Kill, ending: Ending) -> anyhow::Result<Goals> {
    let from = stage.pointsman.journal().await?.last().map_or(1, |record| record.position + 1);
    let (to, sights) = unbounded_channel();
    tokio::select! {
        goals = listen(sights, screen, kill, ending) => Ok(goals),
        () = watch::journal(stage, from, to.clone()) => unreachable!("an eye that never closes"),
        () = watch::orders(stage, kill, to.clone()) => unreachable!("an eye that never closes"),
        () = watch::supervisor(stage, kill, to.clone()) => unreachable!("an eye that never closes"),
        () = watch::names(stage, to) => unreachable!("an eye that never closes"),
    }
}

async fn listen(mut sights: UnboundedReceiver<Sight>, screen: &Screen, kill: &Kill, ending: Ending) -> Goals {
    let started = Instant::now();
    let (mut goals, mut teller, mut waiting) = (Goals::default(), Teller::default(), Waiting::default());
    let mut asked: Option<Instant> = None;
    loop {
        let sight = tokio::time::timeout(Duration::from_millis(100), sights.recv()).await;
        if let Ok(Some(sight)) = sight {
            for line in note(sight, &mut goals, &mut teller) {
                waiting.add(line);
            }
        }
        waiting.print(screen, kill, false);
        if goals.asked.is_some() {
            asked.get_or_insert_with(Instant::now);
        }
        let stuck = asked.is_some_and(|since| since.elapsed() > AFTER_ASKED);
        let over = ending == Ending::Failover && goals.story_is_over();
        if over || stuck || started.elapsed() > DEADLINE {
            waiting.print(screen, kill, true);
            return goals;
        }
    }
}

fn note(sight: Sight, goals: &mut Goals, teller: &mut Teller) -> Vec<Line> {
    match sight {
        Sight::Record(record) => teller.tell(&record, goals),
        Sight::Served(at, line) => {
            goals.served = Some(at);
            vec![line]
        }
        Sight::Refused(at, line) => match goals.refused.replace(at) {
            None => vec![line],
            // It tries every 20 s; once is enough for the story.
            Some(_) => Vec::new(),
        },
        Sight::Name(place, at, line) => {
            goals.names[place] = Some(at);
            vec![line]
        }
        Sight::Else(line) => vec![line],
    }
}
