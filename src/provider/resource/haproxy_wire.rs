//! HAProxy's runtime API: a line to a socket, an answer until the end. A success answers with an empty line; a closed
//! connection without one is no answer at all. One command for each connection, as the API has it.

use super::haproxy::{Held, State, held};
use super::port::{Fields, Seen, Write};
use crate::config::HaproxySocket;
use crate::provider::dns::NoAnswer;
use crate::provider::hosted::api::in_the_middle;
use crate::provider::hosted::{Rights, Written};
use futures_util::future::{join_all, try_join_all};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A backend of some ten thousand servers fits.
const MAX_ANSWER: u64 = 8 << 20;
const CONNECT: Duration = Duration::from_secs(2);
/// Bits of `srv_admin_state`: set by command, and by somebody or something else.
const FORCED_MAINT: u32 = 0x01;
const FORCED_DRAIN: u32 = 0x08;
const OTHERS: [(u32, &str); 4] = [
    (0x02, "the server that it tracks (maintenance)"),
    (0x10, "the server that it tracks (drain)"),
    (0x20, "its name, which does not resolve"),
    (0x40, "its name, set by command"),
];
/// How its refusals begin. Any other word is not known to be one.
const REFUSALS: [&str; 8] = [
    "No such",
    "Permission denied",
    "Unknown command",
    "Require",
    "Absolute weight",
    "Backend is using",
    "Can't",
    "'set ",
];

enum Said {
    Text(String),
    /// No byte left.
    NotSent(String),
    Doubt(String),
}

async fn say(socket: &HaproxySocket, command: &str, within: Duration) -> Said {
    let connect = CONNECT.min(within * 2 / 3);
    let late = || Said::NotSent(format!("{socket}: no connection within {} ms", connect.as_millis()));
    let talked = match socket {
        HaproxySocket::Unix(path) => match timeout(connect, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => timeout(within, talk(stream, command)).await,
            Ok(Err(e)) => return Said::NotSent(format!("{socket}: {e}")),
            Err(_) => return late(),
        },
        HaproxySocket::Tcp(at) => match timeout(connect, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => timeout(within, talk(stream, command)).await,
            Ok(Err(e)) => return Said::NotSent(format!("{socket}: {e}")),
            Err(_) => return late(),
        },
    };
    match talked {
        Ok(Ok(text)) => Said::Text(text),
        Ok(Err(e)) => Said::Doubt(format!("{socket}: {e}")),
        Err(_) => Said::Doubt(format!("{socket}: no whole answer within {} s", within.as_secs())),
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = vec![];
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    // Every whole answer ends with an empty line.
    if text != "\n" && !text.ends_with("\n\n") {
        return Err(std::io::Error::other("the answer has no end"));
    }
    Ok(text)
}

/// The rows of a table with a heading, as name → value; `separator` between the columns.
fn rows(text: &str, separator: char) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("# "));
    let Some(heading) = lines.next() else { return vec![] };
    let columns: Vec<&str> = heading.trim_start_matches("# ").split(separator).collect();
    let row = |line: &'_ str| line.split(separator).count() >= 4;
    lines
        .filter(|line| row(line))
        .map(|line| columns.iter().copied().zip(line.split(separator)).collect())
        .collect()
}

/// Whether each socket lets us change anything: only those of level admin do.
pub async fn rights(sockets: &[HaproxySocket], within: Duration) -> Vec<Rights> {
    let asked =
        sockets.iter().map(|socket| async move { (socket, say(socket, "show cli level", within).await) });
    let (mut admins, mut told) = (0, vec![]);
    for (socket, said) in join_all(asked).await {
        match said {
            Said::Text(text) => match text.trim() {
                "admin" => admins += 1,
                level @ ("operator" | "user") => told.push(Rights::may_not(
                    format!("{socket} is of level {level}: it takes no change of a server"),
                    "write `level admin` behind its `stats socket` in HAProxy's configuration",
                )),
                other => {
                    told.push(Rights::Untold(format!("{socket} does not tell its level: {}", first(other))))
                }
            },
            Said::NotSent(says) | Said::Doubt(says) => {
                told.push(Rights::Untold(format!("the level of a socket is not told: {says}")));
            }
        }
    }
    if admins == sockets.len() {
        told.push(Rights::May(format!("all {admins} sockets are of level admin")));
    }
    told
}

/// Which server, and whether its sessions are asked for.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    pub backend: &'a str,
    pub server: &'a str,
    pub sessions: bool,
}

impl Server<'_> {
    async fn ask(&self, socket: &HaproxySocket, command: &str, within: Duration) -> Result<String, NoAnswer> {
        match say(socket, command, within).await {
            Said::Text(text) if text.contains("\n# ") || text.starts_with("# ") => Ok(text),
            Said::Text(text) => Err(NoAnswer { layer: "api", says: format!("{socket}: {}", first(&text)) }),
            Said::NotSent(says) => Err(NoAnswer { layer: "connection", says }),
            Said::Doubt(says) => Err(NoAnswer { layer: "haproxy", says }),
        }
    }

    /// What one HAProxy has, and what its statistics say of the whole backend.
    async fn look(&self, socket: &HaproxySocket, within: Duration) -> Result<(Held, Value), NoAnswer> {
        let states = self.ask(socket, &format!("show servers state {}", self.backend), within).await?;
        let stats = self.ask(socket, &format!("show stat {} 4 -1", self.backend), within).await?;
        let odd = |says: String| NoAnswer { layer: "api", says: format!("{socket}: {says}") };
        let (states, stats) = (rows(&states, ' '), rows(&stats, ','));
        let ours = states.iter().find(|row| row.get("srv_name") == Some(&self.server));
        let stat = stats.iter().find(|row| row.get("svname") == Some(&self.server));
        let (Some(ours), Some(stat)) = (ours, stat) else {
            return Err(odd(format!("it has no server {}/{}", self.backend, self.server)));
        };
        let number = |row: &BTreeMap<&str, &str>, column: &str| -> Result<u32, NoAnswer> {
            let text = row.get(column).copied().unwrap_or_default();
            text.parse().map_err(|_| odd(format!("{column} is {text:?}")))
        };
        let (admin, sessions) = (number(ours, "srv_admin_state")?, number(stat, "scur")?);
        let state = match admin {
            bits if bits & FORCED_MAINT != 0 => State::Maint,
            bits if bits & FORCED_DRAIN != 0 => State::Drain,
            _ => State::Ready,
        };
        let by = OTHERS.iter().find(|(bit, _)| admin & bit != 0).map(|(_, by)| (*by).to_owned());
        let weight = u16::try_from(number(ours, "srv_uweight")?).map_err(|e| odd(e.to_string()))?;
        let idle = (self.sessions && state == State::Maint).then_some(sessions == 0);
        let takes = |row: &&BTreeMap<&str, &str>| {
            let status = row.get("status").copied().unwrap_or_default();
            let weight = row.get("weight").and_then(|weight| weight.parse::<u32>().ok());
            (status.starts_with("UP") || status == "no check") && weight.is_some_and(|weight| weight > 0)
        };
        let other = |row: &&BTreeMap<&str, &str>| row.get("svname") != Some(&self.server);
        let others = stats.iter().filter(other).filter(takes).count();
        let evidence = json!({ "others": others, "sessions": sessions, "status": stat.get("status"),
                               "address": stat.get("addr") });
        Ok((Held { state, weight, held: by, idle }, evidence))
    }

    /// All of them, side by side; each must answer.
    pub async fn read(&self, sockets: &[HaproxySocket], within: Duration) -> Result<Seen, NoAnswer> {
        let one = |socket| async move { Ok::<_, NoAnswer>((socket, self.look(socket, within).await?)) };
        let all = try_join_all(sockets.iter().map(one)).await?;
        let (mut fields, mut evidence) = (Fields::new(), Map::new());
        for (socket, (held, seen)) in all {
            fields.insert(socket.to_string(), json!(held));
            evidence.insert(socket.to_string(), seen);
        }
        Ok(Seen { fields, pending: None, evidence: Value::Object(evidence), handle: Value::Null })
    }

    /// One HAProxy after the other, so that what fails leaves the rest as it was.
    pub async fn write(&self, sockets: &[HaproxySocket], write: Write<'_>, within: Duration) -> Written {
        let mut done = 0;
        for socket in sockets {
            let name = socket.to_string();
            let (Some(before), Some(after)) = (held(write.before, &name), held(write.after, &name)) else {
                let says = format!("{name} is not in the change on record");
                return in_the_middle(done, Written::NotSent { retry: false, says });
            };
            for command in self.commands(&before, &after) {
                match self.tell(socket, &command, within).await {
                    Ok(()) => done += 1,
                    Err(end) => return in_the_middle(done, end),
                }
            }
        }
        Written::Done(json!({ "calls": done }))
    }

    async fn tell(&self, socket: &HaproxySocket, command: &str, within: Duration) -> Result<(), Written> {
        match say(socket, command, within).await {
            Said::Text(text) if text.trim().is_empty() => Ok(()),
            Said::Text(text) if REFUSALS.iter().any(|refusal| text.starts_with(refusal)) => {
                Err(Written::Refused { says: format!("{socket}: {}", first(&text)) })
            }
            Said::Text(text) => Err(Written::Doubt(format!("{socket}: {}", first(&text)))),
            Said::NotSent(says) => Err(Written::NotSent { retry: true, says }),
            Said::Doubt(says) => Err(Written::Doubt(says)),
        }
    }

    /// What leaves traffic is cut off first; what comes back has its weight before it comes.
    fn commands(&self, before: &Held, after: &Held) -> Vec<String> {
        let name = format!("{}/{}", self.backend, self.server);
        let state = (after.state != before.state)
            .then(|| format!("set server {name} state {}", after.state.as_str()));
        let weight =
            (after.weight != before.weight).then(|| format!("set server {name} weight {}", after.weight));
        let cut = (after.idle == Some(true) && before.idle != Some(true))
            .then(|| format!("shutdown sessions server {name}"));
        let all = match after.state {
            State::Ready => [weight, state, cut],
            State::Drain | State::Maint => [state, weight, cut],
        };
        all.into_iter().flatten().collect()
    }
}

fn first(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("without a word").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_their_headings() {
        let text = "1\n# be_id be_name srv_id srv_name x\n3 app 1 eu a\n3 app 2 us b\n\n";
        let rows = rows(text, ' ');
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[1]["srv_name"], rows[1]["x"]), ("us", "b"));
    }

    #[test]
    fn a_server_leaves_before_its_weight_is_set_and_comes_back_after() {
        let at = |state, weight| Held { state, weight, held: None, idle: None };
        let server = Server { backend: "app", server: "eu", sessions: true };
        let out = server.commands(&at(State::Ready, 100), &Held { idle: Some(true), ..at(State::Maint, 0) });
        assert_eq!(
            out,
            [
                "set server app/eu state maint",
                "set server app/eu weight 0",
                "shutdown sessions server app/eu"
            ]
        );
        let back = server.commands(&at(State::Maint, 0), &at(State::Ready, 100));
        assert_eq!(back, ["set server app/eu weight 100", "set server app/eu state ready"]);
        assert!(server.commands(&at(State::Ready, 1), &at(State::Ready, 1)).is_empty());
    }
}
