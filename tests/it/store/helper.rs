//! The same test binary as a second process, to be killed or to have its system calls fail: it appends, and prints
//! each answer as it comes. Without its variable the "test" below does nothing; the tests in `faults` set it.

use super::{one, run};
use pointsman::config::env;
use pointsman::kernel::journal::{AppendError, Backend};
use pointsman::store::SqliteStore;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const DIR: &str = "POINTSMAN_TEST_STORE";
const WRITERS: &str = "POINTSMAN_TEST_WRITERS";
const APPENDS: &str = "POINTSMAN_TEST_APPENDS";
const NAME: &str = "store::helper::appends_in_a_process_of_its_own";

/// What the process printed.
#[derive(Debug, Default)]
pub struct Told {
    /// Acknowledged, by position: stream and body.
    pub kept: BTreeMap<u64, (String, String)>,
    /// Answered "certainly not kept": bodies.
    pub refused: Vec<String>,
    /// Answered "in doubt": bodies.
    pub doubted: Vec<String>,
}

impl Told {
    pub fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["kept", position, stream, body] => {
                self.kept.insert(position.parse().unwrap(), ((*stream).into(), (*body).into()));
            }
            ["refused", body, ..] => self.refused.push((*body).into()),
            ["doubted", body, ..] => self.doubted.push((*body).into()),
            _ => {}
        }
    }
}

/// `wrapped` goes before the program, as `strace …` does.
pub fn command(wrapped: &[&str], dir: &Path, writers: u32, appends: u32) -> Command {
    let mut command = another_test(wrapped, NAME);
    command.env(DIR, dir).env(WRITERS, writers.to_string()).env(APPENDS, appends.to_string());
    command
}

/// One test of this binary, in a process of its own.
pub fn another_test(wrapped: &[&str], name: &str) -> Command {
    let mut words: Vec<PathBuf> = wrapped.iter().map(PathBuf::from).collect();
    words.push(std::env::current_exe().unwrap());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

pub fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

fn number(name: &str) -> u64 {
    env(name).unwrap().parse().unwrap()
}

#[test]
fn appends_in_a_process_of_its_own() {
    let Some(dir) = env(DIR).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&dir).await.unwrap().store;
        // The test harness leaves its own line unfinished.
        say("\nopen");
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..number(WRITERS) {
            tasks.spawn(write(store.clone(), writer, number(APPENDS)));
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::time::timeout(std::time::Duration::from_secs(60), all).await.unwrap();
        store.close().await;
    });
}

async fn write(store: std::sync::Arc<SqliteStore>, writer: u64, appends: u64) {
    let stream = run(&format!("W{writer}"));
    let mut expect = None;
    for n in 0..appends {
        let body = format!("{writer}-{n}-{}", std::process::id());
        let batch = one(i64::try_from(n).unwrap(), stream.clone(), expect, &body);
        match store.append(batch).await {
            Ok(written) => {
                expect = Some(written[0].seq);
                say(&format!("kept {} {stream} {body}", written[0].position));
            }
            Err(AppendError::Doubt(why)) => {
                expect = None;
                say(&format!("doubted {body} {why}"));
            }
            Err(error) => {
                expect = None;
                say(&format!("refused {body} {error}"));
            }
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
