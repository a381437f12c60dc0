//! The harness's own few words of Redis' protocol: inline commands, and whatever comes back. Used by the pair and the
//! Sentinels.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Text(String),
    Error(String),
    Nothing,
    List(Vec<Reply>),
}

impl Reply {
    /// A list is its texts, one on each line.
    pub fn text(self) -> anyhow::Result<String> {
        Ok(match self {
            Reply::Text(text) => text,
            Reply::Nothing => String::new(),
            Reply::Error(error) => bail!("{error}"),
            Reply::List(list) => {
                let texts: anyhow::Result<Vec<String>> = list.into_iter().map(Reply::text).collect();
                texts?.join("\n")
            }
        })
    }

    pub fn is_error(&self, code: &str) -> bool {
        matches!(self, Reply::Error(error) if error.split(' ').next() == Some(code))
    }
}

pub(super) async fn say(
    address: SocketAddr,
    login: Option<(&str, &str)>,
    command: &str,
) -> anyhow::Result<Reply> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    if let Some((user, password)) = login {
        stream.write_all(format!("AUTH {user} {password}\r\n").as_bytes()).await?;
        if let Reply::Error(error) = reply(&mut stream, 0).await? {
            bail!("{user} is not let in: {error}");
        }
    }
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    reply(&mut stream, 0).await
}

/// Deeper than any answer that the lab asks for.
const DEEPEST: u8 = 6;

async fn reply(stream: &mut BufReader<TcpStream>, depth: u8) -> anyhow::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).context("the server closed the connection")?;
    Ok(match kind {
        "+" | ":" => Reply::Text(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        "$" => match usize::try_from(rest.parse::<i64>()?) {
            Err(_) => Reply::Nothing,
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes).await?;
                bytes.truncate(length);
                Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
        },
        "*" if depth < DEEPEST => {
            let mut list = vec![];
            for _ in 0..rest.parse::<i64>()?.max(0) {
                list.push(Box::pin(reply(stream, depth + 1)).await?);
            }
            Reply::List(list)
        }
        other => bail!("an answer of the kind {other:?} is not expected: {line}"),
    })
}
