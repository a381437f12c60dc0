//! A run of the shipped playbook over the real store on a disk that is full, or whose write lock another process holds, at
//! each append in turn: nothing is called without its record, and the run goes on by itself when the trouble is over.

use super::faults::Mount;
use super::helper::another_test;
use crate::sim::judge::{Verdict, judge};
use crate::sim::plot::{Plot, Stage, Staged as _, Story, intents, shipped};
use crate::sim::schedules::Life;
use crate::sim::{KILLED, calm};
use futures_util::future::{BoxFuture, ready};
use pointsman::config::env;
use pointsman::kernel::domain::{Digest, Epoch, Name, Outcome, Position, Seq, Span, Stream};
use pointsman::kernel::drive::{DriveError, Driver, Mistake, Pass, opening};
use pointsman::kernel::journal::{
    AppendError, Backend, Entry, Head, Journal, RawBatch, ReadError, Summarised, Written,
};
use pointsman::kernel::port::World as _;
use pointsman::kernel::sim::End;
use pointsman::store::{SqliteStore, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::{Handle, Runtime};

/// The name of the folder, for the process that takes the lock.
const LOCK: &str = "POINTSMAN_TEST_LOCK";
/// Passes that are tried while the disk is full, as the worker tries them.
const TRIES: u32 = 3;
/// Passes of one story at most.
const PASSES: u32 = 200;

/// The real store for the simulator's executor: every answer is waited for on the runtime that the store lives on.
struct Troubled {
    store: Arc<SqliteStore>,
    runtime: Handle,
    appends: AtomicU32,
    at: u32,
    /// Called once, right before append number `at`.
    begin: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Troubled {
    fn wait<T: Send + 'static>(&self, future: BoxFuture<'_, T>) -> BoxFuture<'_, T> {
        Box::pin(ready(self.runtime.block_on(future)))
    }
}

impl Backend for Troubled {
    fn append(&self, batch: RawBatch) -> BoxFuture<'_, Result<Vec<Written>, AppendError>> {
        if self.appends.fetch_add(1, Ordering::SeqCst) == self.at
            && let Some(begin) = self.begin.lock().unwrap().take()
        {
            begin();
        }
        self.wait(self.store.append(batch))
    }
    fn read<'a>(&'a self, stream: &'a Stream, from: Seq) -> BoxFuture<'a, Result<Vec<Entry>, ReadError>> {
        self.wait(self.store.read(stream, from))
    }
    fn scan(&self, from: Position, max: u32) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.wait(self.store.scan(from, max))
    }
    fn epoch<'a>(&'a self, service: &'a Name) -> BoxFuture<'a, Result<Epoch, ReadError>> {
        self.wait(self.store.epoch(service))
    }
    fn cursor<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Position, ReadError>> {
        self.wait(self.store.cursor(name))
    }
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, ReadError>> {
        self.wait(self.store.content(digest))
    }
    fn summaries<'a>(
        &'a self,
        prefix: &'a str,
        max: u32,
    ) -> BoxFuture<'a, Result<Vec<Summarised>, ReadError>> {
        self.wait(self.store.summaries(prefix, max))
    }
    fn head(&self) -> BoxFuture<'_, Result<Head, ReadError>> {
        self.wait(self.store.head())
    }
}

/// What a story came to, and how the refused appends were refused.
struct Told {
    story: Story,
    refused: Vec<AppendError>,
    appends: u32,
}

/// One story in `dir`. `begin` makes the trouble right before append `at`; `end` takes it away, after `tries` passes.
fn tell(
    runtime: &Runtime,
    dir: &Path,
    at: u32,
    begin: impl FnOnce() + Send + 'static,
    tries: u32,
    end: impl FnOnce(),
) -> Told {
    let plot = Plot::shipped(&shipped()[0].0, KILLED);
    let stage = plot.stage(&Life::default(), Mistake::None);
    let store = runtime.block_on(SqliteStore::open(dir)).unwrap().store;
    let begin: Box<dyn FnOnce() + Send> = Box::new(begin);
    let (runtime_handle, appends) = (runtime.handle().clone(), AtomicU32::new(0));
    let troubled =
        Arc::new(Troubled { store, runtime: runtime_handle, appends, at, begin: Mutex::new(Some(begin)) });
    let mut trouble = Trouble { stage: &stage, end: Some(end), tries, refused: vec![], changes: 0 };
    let journal = Journal::new(troubled.clone());
    let ended = trouble.drive(&plot, &journal);
    let (refused, missing) = (std::mem::take(&mut trouble.refused), trouble.end.is_some());
    assert!(!missing || refused.is_empty(), "append {at}: the trouble was never taken away");
    drop(trouble);
    let mut story = stage.story(ended);
    story.intents = intents(&runtime.block_on(troubled.store.scan(1, u32::MAX)).unwrap());
    runtime.block_on(troubled.store.close());
    let report = runtime.block_on(verify(dir, 1..=u64::MAX, |_| {})).unwrap();
    assert!(report.chain_ok(), "append {at}: {report:?}");
    Told { story, refused, appends: troubled.appends.load(Ordering::SeqCst) }
}

struct Trouble<'a, E> {
    stage: &'a Stage,
    end: Option<E>,
    tries: u32,
    refused: Vec<AppendError>,
    /// Calls that can change something, until the first append was refused.
    changes: usize,
}

impl<E: FnOnce()> Trouble<'_, E> {
    /// Tries again and again, as triage and the worker do.
    fn drive(&mut self, plot: &Plot, journal: &Journal) -> Result<End, String> {
        let sim = &self.stage.sim;
        let run = plot.spec.run.clone();
        let world = Arc::new(sim.world.clone());
        let driver =
            Driver::new(journal, &self.stage.registry, world, self.stage.samples.clone(), &*plot.spec.owner);
        let mut opened = false;
        for _ in 0..PASSES {
            if !opened {
                let batch = opening(&plot.spec, sim.world.now()).unwrap();
                match sim.block_on(journal.append(batch)).expect("nobody dies here") {
                    Ok(_) => opened = true,
                    Err(error) => self.refused(error),
                }
                continue;
            }
            match sim.block_on(driver.drive(&run)).expect("nobody dies here") {
                Ok(Pass::Finished(outcome)) => return Ok(End::Finished(outcome)),
                Ok(Pass::Waiting { wake: Some(at), .. }) => sim.world.advance_to(at),
                Ok(other) => return Err(format!("{other:?}")),
                Err(DriveError::Append(error)) => self.refused(error),
                Err(other) => return Err(other.to_string()),
            }
        }
        Err("it does not come to an end".into())
    }

    fn refused(&mut self, error: AppendError) {
        let changes = self.stage.sites.watch().calls.iter().filter(|(_, mutates)| *mutates).count();
        if self.refused.is_empty() {
            self.changes = changes;
        }
        assert_eq!(changes, self.changes, "something was called while nothing could be written: {error}");
        self.refused.push(error);
        let sim = &self.stage.sim;
        sim.world.advance_to(sim.world.now() + Span::secs(2));
        if self.refused.len() as u32 == self.tries
            && let Some(end) = self.end.take()
        {
            end();
        }
    }
}

fn well(at: u32, told: &Told, calm: &Story) {
    if let Verdict::Bad(why) = judge(&told.story, calm, &Life::default()) {
        panic!("append {at}: {why}");
    }
    assert_eq!(told.story.end, Ok(End::Finished(Outcome::Succeeded)), "append {at}");
}

fn appends_of(calm: &Story) -> u32 {
    calm.counted.2
}

/// Takes all that is left, to the last page.
fn fill(dir: &Path) {
    let mut ballast = std::fs::File::create(dir.join("ballast")).unwrap();
    for size in [1 << 20, 4096, 512] {
        let bytes = vec![0; size];
        while ballast.write_all(&bytes).is_ok() {}
    }
}

#[test]
fn a_disk_that_is_full_at_each_append_of_a_run() {
    let runtime = Runtime::new().unwrap();
    let calm = calm(&Plot::shipped(&shipped()[0].0, KILLED));
    let mut refused = 0;
    for at in 0..appends_of(&calm) {
        let dir = tempfile::tempdir().unwrap();
        let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=16m", "tmpfs"], dir.path()) else {
            return;
        };
        let (full, empty) = (dir.path().to_owned(), dir.path().join("ballast"));
        let told = tell(
            &runtime,
            dir.path(),
            at,
            move || fill(&full),
            TRIES,
            || std::fs::remove_file(empty).unwrap(),
        );
        let kinds = |error: &AppendError| matches!(error, AppendError::Full(_));
        assert!(told.refused.iter().all(kinds), "append {at}: {:?}", told.refused);
        assert_eq!(told.refused.len() as u32, TRIES, "append {at} was written to a full disk");
        well(at, &told, &calm);
        refused += told.refused.len();
    }
    println!("a full disk at each of {} appends: {refused} refused, every run succeeded", appends_of(&calm));
}

/// Another process that holds the write lock of the database until it is let go.
struct Holder(Child);

impl Holder {
    fn of(dir: &Path) -> Holder {
        let name = "store::trouble::holds_the_write_lock_in_a_process_of_its_own";
        let mut child = another_test(&[], name).env(LOCK, dir).stdin(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        assert!(lines.into_iter().any(|line| line == "held"), "the other process got no lock");
        Holder(child)
    }

    fn let_go(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn holds_the_write_lock_in_a_process_of_its_own() {
    let Some(dir) = env(LOCK).map(PathBuf::from) else { return };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let file = dir.join("pointsman.db");
        let mut conn = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await.unwrap();
        println!("\nheld");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        sqlx::query("ROLLBACK").execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    });
}

/// Held for `lasts`, or until the append was refused.
fn locked_at(runtime: &Runtime, at: u32, lasts: Option<std::time::Duration>) -> Told {
    let dir = tempfile::tempdir().unwrap();
    let holder: Arc<Mutex<Option<Holder>>> = Arc::default();
    let (taken, file) = (holder.clone(), dir.path().to_owned());
    let begin = move || {
        let held = Holder::of(&file);
        match lasts {
            Some(lasts) => drop(std::thread::spawn(move || {
                std::thread::sleep(lasts);
                held.let_go();
            })),
            None => *taken.lock().unwrap() = Some(held),
        }
    };
    let let_go = || {
        if let Some(held) = holder.lock().unwrap().take() {
            held.let_go();
        }
    };
    tell(runtime, dir.path(), at, begin, 1, let_go)
}

#[test]
fn a_write_lock_that_another_process_holds_at_each_append_of_a_run() {
    let runtime = Runtime::new().unwrap();
    let calm = calm(&Plot::shipped(&shipped()[0].0, KILLED));
    // SQLite waits five seconds for the lock: all places wait side by side.
    let each = |lasts: Option<std::time::Duration>| -> Vec<Told> {
        std::thread::scope(|scope| {
            let runtime = &runtime;
            let places: Vec<_> =
                (0..appends_of(&calm)).map(|at| scope.spawn(move || locked_at(runtime, at, lasts))).collect();
            places.into_iter().map(|place| place.join().unwrap()).collect()
        })
    };
    for (at, told) in (0..).zip(each(Some(std::time::Duration::from_millis(400)))) {
        assert!(told.refused.is_empty(), "append {at}: a short wait is no refusal: {:?}", told.refused);
        well(at, &told, &calm);
        assert_eq!(told.appends, appends_of(&calm), "append {at}");
    }
    for (at, told) in (0..).zip(each(None)) {
        assert!(matches!(told.refused.as_slice(), [AppendError::Busy(_)]), "append {at}: {:?}", told.refused);
        well(at, &told, &calm);
    }
    println!("a held write lock at each of {} appends: waited for, or refused as busy", appends_of(&calm));
}
