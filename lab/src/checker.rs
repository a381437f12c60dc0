//! Writes to both databases all the time and says whether there were ever two writers. It goes straight to
//! the servers, as a stray client would, and keeps going while old hosts come back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::task::AbortHandle;
use tokio_postgres::{Client, NoTls};

use crate::net;
use crate::postgres::{DATABASE, Postgres, Role};
use crate::site::{REGIONS, Site};

const EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(500);

/// One accepted write: it was committed somewhere between the two times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Write {
    pub node: Site,
    /// Since the checker's start.
    pub sent: Duration,
    pub acked: Duration,
}

/// A stretch of time in which a node took every write: it was surely writable from the first acknowledgement
/// to the moment the last write was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub node: Site,
    pub first: Write,
    pub last: Write,
    pub writes: usize,
}

#[derive(Debug, Default)]
struct Seen {
    stretches: Vec<Stretch>,
    /// Accepted writes, all of them.
    writes: Vec<Write>,
    attempts: [u64; 2],
}

/// A running checker; stops when dropped.
#[derive(Debug)]
pub struct Checker {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<AbortHandle>,
}

impl Checker {
    pub fn start(postgres: &Postgres) -> Checker {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let started = Instant::now();
        let spawn = |node: Site| {
            let mut config = tokio_postgres::Config::new();
            config.host(node.postgres().to_string()).port(postgres.port()).dbname(DATABASE);
            config.user(Role::Shop.user()).password(Role::Shop.password()).application_name("checker");
            net::runtime().spawn(write_forever(node, config, started, seen.clone())).abort_handle()
        };
        let tasks = REGIONS.map(spawn).to_vec();
        Checker { seen, tasks }
    }

    /// The stretches of accepted writes so far, in the order in which they began.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches = self.lock().stretches.clone();
        stretches.sort_by_key(|stretch| stretch.first.sent);
        stretches
    }

    /// Attempts so far at each region, origin first: a checker that tried nothing has proven nothing.
    pub fn attempts(&self) -> [u64; 2] {
        self.lock().attempts
    }

    /// Fails if both nodes were writable at one time, or if a node took writes again after the other one had:
    /// either is a second writer. Returns the number of writes that prove it.
    pub fn assert_never_two_writers(&self) -> anyhow::Result<usize> {
        let seen = self.lock();
        let (stretches, writes) = (seen.stretches.clone(), seen.writes.clone());
        drop(seen);
        if let Some((write, stretch)) = overlap(&writes, &stretches) {
            bail!("two writers at one time: {write:?} was accepted within {stretch:?}");
        }
        if let Some((before, between, after)) = return_of(&writes) {
            bail!("a second writer: {before:?}, then {between:?}, then the first node again: {after:?}");
        }
        Ok(writes.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("invariant: nobody panics while holding this lock")
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A write that surely happened while the other node was surely writable.
fn overlap(writes: &[Write], stretches: &[Stretch]) -> Option<(Write, Stretch)> {
    let within = |write: &Write, stretch: &Stretch| {
        write.node != stretch.node && write.sent > stretch.first.acked && write.acked < stretch.last.sent
    };
    let pairs = writes.iter().flat_map(|write| stretches.iter().map(move |stretch| (*write, *stretch)));
    pairs.into_iter().find(|(write, stretch)| within(write, stretch))
}

/// Three writes in certain order: a node, the other node, the first node again.
fn return_of(writes: &[Write]) -> Option<(Write, Write, Write)> {
    REGIONS.into_iter().find_map(|node| {
        let first = writes.iter().filter(|write| write.node == node).min_by_key(|write| write.acked)?;
        let last = writes.iter().filter(|write| write.node == node).max_by_key(|write| write.sent)?;
        let between =
            |write: &&Write| write.node != node && write.sent > first.acked && write.acked < last.sent;
        writes.iter().find(between).map(|write| (*first, *write, *last))
    })
}

async fn write_forever(node: Site, config: tokio_postgres::Config, started: Instant, seen: Arc<Mutex<Seen>>) {
    let mut client = None;
    let mut open = false;
    for n in 0_u64.. {
        let id = format!("{node}-{}-{:?}-{n}", std::process::id(), started);
        let sent = started.elapsed();
        let written = tokio::time::timeout(PATIENCE, write(&mut client, &config, node, &id)).await;
        let accepted = matches!(written, Ok(Ok(())));
        let write = Write { node, sent, acked: started.elapsed() };
        seen.lock().expect("invariant: nobody panics while holding this lock").note(write, accepted, open);
        if !accepted {
            client = None;
        }
        open = accepted;
        tokio::time::sleep(EVERY).await;
    }
}

impl Seen {
    fn note(&mut self, write: Write, accepted: bool, goes_on: bool) {
        self.attempts[usize::from(write.node != REGIONS[0])] += 1;
        if !accepted {
            return;
        }
        self.writes.push(write);
        let last = self.stretches.iter_mut().rfind(|stretch| stretch.node == write.node);
        match last.filter(|_| goes_on) {
            Some(stretch) => {
                stretch.last = write;
                stretch.writes += 1;
            }
            None => self.stretches.push(Stretch { node: write.node, first: write, last: write, writes: 1 }),
        }
    }
}

async fn write(
    client: &mut Option<Client>,
    config: &tokio_postgres::Config,
    node: Site,
    id: &str,
) -> anyhow::Result<()> {
    let client = match client {
        Some(client) => client,
        None => {
            let (fresh, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            client.insert(fresh)
        }
    };
    client.execute("insert into checker (id, node) values ($1, $2)", &[&id, &node.name()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(history: &[(Site, u64, u64, bool)]) -> Seen {
        let mut seen = Seen::default();
        let mut open = [false; 2];
        for (node, sent, acked, accepted) in history {
            let [sent, acked] = [*sent, *acked].map(Duration::from_millis);
            let open = &mut open[usize::from(*node != REGIONS[0])];
            seen.note(Write { node: *node, sent, acked }, *accepted, *open);
            *open = *accepted;
        }
        seen
    }

    #[test]
    fn one_after_the_other_is_fine_and_touching_is_not_proof() {
        use Site::{Gra, Sbg};
        let seen = seen(&[(Gra, 0, 5, true), (Sbg, 0, 5, false), (Gra, 50, 55, true), (Sbg, 52, 60, true)]);
        assert_eq!(overlap(&seen.writes, &seen.stretches), None);
        assert_eq!(return_of(&seen.writes), None);
        assert_eq!(seen.stretches.len(), 2);
    }

    #[test]
    fn a_write_within_the_others_stretch_is_found() {
        use Site::{Gra, Sbg};
        let seen = seen(&[(Gra, 0, 5, true), (Sbg, 20, 25, true), (Gra, 50, 55, true)]);
        assert!(overlap(&seen.writes, &seen.stretches).is_some());
    }

    #[test]
    fn a_node_that_writes_again_after_the_other_is_found_even_without_overlap() {
        use Site::{Gra, Sbg};
        let history = [(Gra, 0, 5, true), (Gra, 50, 55, false), (Sbg, 60, 65, true), (Sbg, 100, 105, false)];
        let mut seen_first = seen(&history);
        assert!(return_of(&seen_first.writes).is_none());
        let again = Write { node: Gra, sent: Duration::from_millis(150), acked: Duration::from_millis(155) };
        seen_first.note(again, true, false);
        assert_eq!(overlap(&seen_first.writes, &seen_first.stretches), None);
        assert!(return_of(&seen_first.writes).is_some());
    }
}
