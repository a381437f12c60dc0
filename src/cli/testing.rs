//! For the tests of this room: documents as a server sends them, a peer that sends them over real HTTP, and
//! a process whose three ends can be read. The fixtures lie in `testdata`.

use super::options::Cli;
use super::{Look, Talk};
use crate::kernel::domain::Time;
use axum::Router;
use serde_json::Value;
use std::io::{Cursor, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// 03:14:40 +01:00 on the night of the fixtures.
pub const NIGHT: Time = Time(1_795_140_880_000_000);

pub fn fixture(name: &str) -> Value {
    let path = format!("{}/src/cli/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap()
}

pub fn look() -> Look {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
    Look { color: false, ascii: true, aligned: true, zone }
}

#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a command left behind.
pub struct Left {
    pub code: ExitCode,
    pub out: String,
    pub err: String,
}

/// Runs a whole command line against `server`; `answers` is what a person types, if there is one.
pub async fn command(server: &str, line: &str, answers: Option<&str>) -> Left {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let words = ["pointsman", "--server", server].into_iter().map(str::to_owned);
    let cli = Cli::read(words.chain(line.split(' ').map(str::to_owned))).unwrap();
    let (out, err) = (Heard::default(), Heard::default());
    let typed = answers.map(|text| Box::new(Cursor::new(text.to_owned())) as _);
    let mut talk = Talk::of_parts(Box::new(out.clone()), Box::new(err.clone()), typed, look());
    talk.output = cli.global.output;
    let code = super::execute(cli, &mut talk).await;
    Left { code, out: out.text(), err: err.text() }
}

/// Serves `router` on a port of its own for as long as `with` takes.
pub async fn peer<T, F: Future<Output = T>>(router: Router, with: impl FnOnce(String) -> F) -> T {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::select! {
        ended = async { axum::serve(listener, router).await } => panic!("the peer ended: {ended:?}"),
        done = tokio::time::timeout(std::time::Duration::from_secs(30), with(url)) => {
            done.expect("the command took longer than 30 s")
        }
    }
}
