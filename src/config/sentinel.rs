//! Targets of kind `sentinel`: the Sentinels that run a primary of Redis or Valkey and its replicas. Read by `target`;
//! asked by `provider/redis/sentinel`. The servers themselves are targets of kind redis.

use super::parse::secret;
use super::redis::{self, RedisTarget};
use crate::document::{Table, code};

/// With fewer no majority could lose one of them.
const LEAST: usize = 3;
/// Every one is asked at each look.
const MOST: usize = 9;
const PORT: u16 = 26_379;

#[derive(Clone, Debug)]
pub struct SentinelTarget {
    /// The name under which they watch the primary.
    pub master: String,
    /// Each of them, as a server to connect to; user, password and TLS are common.
    pub servers: Vec<RedisTarget>,
}

pub(super) fn read(table: &Table<'_>) -> Option<SentinelTarget> {
    let bare = RedisTarget {
        user: table.text("user").map(str::to_owned),
        password: secret(table, "password"),
        tls: redis::tls(table),
        ca: table.text("ca").map(std::path::PathBuf::from),
        ..RedisTarget::at("", PORT)
    };
    let master = table.need_text("master").map(str::to_owned);
    if master.as_ref().is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        let says = "\"master\" must be the one word under which the Sentinels watch the primary";
        table.sink.error(code::BAD_VALUE, table.key_at("master"), says);
    }
    table.need("sentinels");
    let servers = servers(table, &bare);
    Some(SentinelTarget { master: master?, servers })
}

fn servers(table: &Table<'_>, bare: &RedisTarget) -> Vec<RedisTarget> {
    let mut all: Vec<RedisTarget> = vec![];
    let Some(list) = table.list("sentinels") else { return all };
    for node in list {
        let Some(text) = table.sink.text(node, "each of \"sentinels\"") else { continue };
        let Some((address, port)) = place(text) else {
            let says = format!("{text:?} is no place of a Sentinel");
            let hint = "write host:port, or a host alone for port 26379, like \"10.0.0.1:26379\"";
            table.sink.error_hint(code::BAD_VALUE, node.at.clone(), says, hint);
            continue;
        };
        if all.iter().any(|one| one.address == address && one.port == port) {
            let says = format!("{text:?} stands here twice: one Sentinel would count for two");
            table.sink.error(code::BAD_VALUE, node.at.clone(), says);
            continue;
        }
        all.push(RedisTarget { address, port, ..bare.clone() });
    }
    if !(LEAST..=MOST).contains(&list.len()) {
        let says = format!("\"sentinels\" must name every Sentinel, {LEAST} to {MOST} of them");
        table.sink.error(code::BAD_VALUE, table.key_at("sentinels"), says);
    }
    all
}

/// `host`, `host:port`, `[address]:port`.
fn place(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => (host, port.parse().ok()?),
        Some(_) => (text, PORT),
        None => (text, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fine = !host.is_empty() && !host.contains(char::is_whitespace) && !host.contains('/') && port != 0;
    fine.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        let of = |text: &str| place(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(of("10.0.0.1:26380").as_deref(), Some("10.0.0.1 26380"));
        assert_eq!(of("s1.example.com").as_deref(), Some("s1.example.com 26379"));
        assert_eq!(of("[fd00::1]:26380").as_deref(), Some("fd00::1 26380"));
        assert_eq!(of("fd00::1").as_deref(), Some("fd00::1 26379"));
        for wrong in ["", ":26379", "a b:1", "redis://a:1", "a:99999", "a:0"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
