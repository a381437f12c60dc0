//! `haproxy.server` on two real HAProxy processes: one is told by TCP, through a gate that goes bad, the other by its
//! unix socket.

use super::fixture::{Fixture, LOCAL, Nature, Trouble};
use crate::remote::{Remote, is_nothing, is_unknown, why};
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Haproxy, LineGate, Mishap, Which};
use pointsman::kernel::domain::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Says its name to whoever comes, and then repeats what it hears.
async fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    at
}

/// A client that was let through, and the name of the server it came to.
async fn client(front: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(front).await.unwrap();
    let mut name = [0; 2];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut name)).await.unwrap().unwrap();
    (stream, String::from_utf8_lossy(&name).into_owned())
}

async fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    let talk = async {
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut back).await
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), talk).await, Ok(Ok(_)))
}

pub struct Pair {
    both: [Haproxy; 2],
    gate: LineGate,
}

pub async fn start() -> Pair {
    let servers = [server("eu").await, server("us").await];
    let both = [Haproxy::start(servers).await.unwrap(), Haproxy::start(servers).await.unwrap()];
    let gate = LineGate::start(both[0].unix.clone()).await.unwrap();
    Pair { both, gate }
}

impl Pair {
    fn remote_of(&self, sockets: &str) -> Remote {
        Remote::new(&format!("[targets.target]\nkind = \"haproxy\"\nsockets = [{sockets}]\n"))
    }
}

impl Fixture for Pair {
    fn kind(&self) -> &'static str {
        "haproxy.server"
    }
    fn nature(&self) -> Nature {
        // One call for each process.
        Nature { whole: false, compares: false, ..LOCAL }
    }
    fn remote(&self) -> Remote {
        self.remote_of(&format!("\"{}\", {:?}", self.gate.listen, self.both[1].unix))
    }
    fn with(&self) -> Value {
        json!({ "server": "app/eu", "state": "maint" })
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async {
            for haproxy in &self.both {
                haproxy.reset().await.unwrap();
            }
        }
        .boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!([self.both[0].servers().await.unwrap(), self.both[1].servers().await.unwrap()]) }
            .boxed()
    }
    fn by_hand(&self) -> Option<BoxFuture<'_, ()>> {
        let work = async {
            self.both[1].say("set server app/eu state drain").await.unwrap();
        };
        Some(work.boxed())
    }
    fn plant(&self, trouble: Trouble) -> bool {
        let answer = |body: &str| Mishap::Answer { status: 0, headers: vec![], body: body.to_owned() };
        let (which, mishap) = match trouble {
            Trouble::Denied => (Which::Writes, answer("Permission denied\n\n")),
            Trouble::Missing => (Which::Writes, answer("No such server.\n\n")),
            Trouble::Closed => {
                self.gate.close();
                return true;
            }
            Trouble::Swallowed => (Which::Writes, Mishap::Swallow),
            Trouble::LostReply => (Which::Writes, Mishap::LoseReply),
            Trouble::Garbage => (Which::Writes, Mishap::Garbage),
            Trouble::Late(seconds) => (Which::Writes, Mishap::Late(Duration::from_secs(seconds))),
            Trouble::Lie => (Which::Writes, answer("\n")),
            Trouble::ReadFails => (Which::Reads, Mishap::Swallow),
            Trouble::ReadDenied => (Which::Reads, answer("Permission denied\n\n")),
            Trouble::ReadGarbage => (Which::Reads, Mishap::Garbage),
            Trouble::Refused
            | Trouble::Broken
            | Trouble::Limited(_)
            | Trouble::ReadLimited(_)
            | Trouble::StaleRead => return false,
        };
        self.gate.plant(which, mishap);
        true
    }
    fn calm(&self) -> BoxFuture<'_, ()> {
        async {
            self.gate.calm();
            self.gate.close();
            for _ in 0..100 {
                if self.gate.open().await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("the gate does not open again");
        }
        .boxed()
    }
}

fn only(pair: &Pair) -> Remote {
    pair.remote_of(&format!("\"{}\"", pair.both[0].tcp))
}

/// Sessions outlive drain and maint; told to, they are cut, and the step is done when none is left.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_stay_until_they_are_shut_down() {
    let pair = start().await;
    let (remote, front) = (only(&pair), pair.both[0].front);
    let mut held = client(front).await;
    while held.1 != "eu" {
        held = client(front).await;
    }
    let mut old = held.0;
    for state in ["drain", "maint"] {
        let action = remote.bind("haproxy.server", "target", json!({ "server": "app/eu", "state": state }));
        let change = remote.change(&action).await;
        assert!(change.warnings.iter().any(|text| text.contains("reload")), "{:?}", change.warnings);
        assert!(
            change.warnings.iter().any(|text| text.contains("sessions that stay with it")),
            "{:?}",
            change.warnings
        );
        assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
        remote.settled(&action).await;
        assert!(echoes(&mut old).await, "{state} cut a session");
        for _ in 0..4 {
            assert_eq!(client(front).await.1, "us", "a new session came to a server in {state}");
        }
    }
    let with = json!({ "server": "app/eu", "state": "maint", "shutdown_sessions": true });
    let action = remote.bind("haproxy.server", "target", with);
    let change = remote.change(&action).await;
    assert!(change.now.contains("with sessions"), "{}", change.now);
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    assert!(remote.settled(&action).await.contains("no session left"));
    assert!(!echoes(&mut old).await, "the session goes on");
    // From traffic to maintenance without sessions in one step.
    pair.both[0].reset().await.unwrap();
    let change = remote.change(&action).await;
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
}

/// What was set is gone after a reload, and seen to be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_forgets() {
    let pair = start().await;
    let remote = only(&pair);
    let with = json!({ "server": "app/eu", "weight": 5 });
    let action = remote.bind("haproxy.server", "target", with);
    let change = remote.change(&action).await;
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    assert!(is_nothing(&remote.plan(&action).await));
    pair.both[0].reload().await.unwrap();
    let change = remote.change(&action).await;
    assert!(change.now.contains("weight 100"), "{}", change.now);
}

/// The last server that takes traffic is not taken away, unless the playbook says that none may be left.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_server_stays() {
    let pair = start().await;
    let remote = only(&pair);
    pair.both[0].say("set server app/us state maint").await.unwrap();
    for with in [json!({ "server": "app/eu", "state": "drain" }), json!({ "server": "app/eu", "weight": 0 })]
    {
        let plan = remote.plan(&remote.bind("haproxy.server", "target", with)).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4403"), "{plan:?}");
    }
    let with = json!({ "server": "app/eu", "state": "maint", "min_servers": 0 });
    remote.change(&remote.bind("haproxy.server", "target", with)).await;
}

/// Two processes that do not have the same: both are brought to what is wanted, and a silent one is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn every_process_counts() {
    let pair = start().await;
    let remote = pair.remote();
    pair.both[1].say("set server app/eu state maint").await.unwrap();
    let action = remote.bind("haproxy.server", "target", pair.with());
    let change = remote.change(&action).await;
    assert!(matches!(change.undo, Undo::ByHand(_)), "{:?}", change.undo);
    assert!(change.now.contains("ready") && change.now.contains("maint"), "{}", change.now);
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
    pair.gate.close();
    let plan = remote.plan(&action).await;
    assert!(is_unknown(&plan) && why(&plan).contains(&pair.gate.listen.to_string()), "{plan:?}");
    let unknown = json!({ "server": "app/nosuch", "state": "maint" });
    let plan = only(&pair).plan(&only(&pair).bind("haproxy.server", "target", unknown)).await;
    assert!(is_unknown(&plan) && why(&plan).contains("no server app/nosuch"), "{plan:?}");
}
