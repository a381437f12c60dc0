//! Reads the text of `INFO` into what we know of a server. Pure; called by `wire`.

use super::node::{Connected, Link, Node, Progress};
use std::collections::BTreeMap;

/// A history that is none.
const NO_HISTORY: &str = "0000000000000000000000000000000000000000";

struct Info<'a> {
    fields: BTreeMap<&'a str, &'a str>,
    keyspace: bool,
}

impl<'a> Info<'a> {
    fn of(text: &'a str) -> Info<'a> {
        let fields = text.lines().filter_map(|line| line.split_once(':')).collect();
        Info { fields, keyspace: text.lines().any(|line| line.trim() == "# Keyspace") }
    }
    fn text(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
    /// A negative number is Redis' way of saying that there is none.
    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }
    fn yes(&self, key: &str) -> bool {
        self.text(key) == Some("1")
    }
    fn need(&self, key: &str) -> Result<&'a str, String> {
        self.text(key).ok_or_else(|| format!("INFO has no {key}"))
    }

    fn replica(&self) -> Result<bool, String> {
        match self.need("role")? {
            "master" => Ok(false),
            "slave" => Ok(true),
            other => Err(format!("INFO has the role {other:?}, which is not known")),
        }
    }

    /// A replica that has no copy, or whose copy broke off, says 1 for want of an offset. While its link stands it has one.
    fn offset(&self, replica: bool) -> Option<u64> {
        match replica {
            true => self.number("slave_repl_offset").filter(|offset| *offset != 1 || self.link().up),
            false => self.number("master_repl_offset"),
        }
    }

    fn link(&self) -> Link {
        Link {
            host: self.text("master_host").unwrap_or_default().to_owned(),
            port: self.text("master_port").and_then(|port| port.parse().ok()).unwrap_or_default(),
            up: self.text("master_link_status") == Some("up"),
            syncing: self.yes("master_sync_in_progress"),
            heard_s: self.number("master_last_io_seconds_ago"),
        }
    }

    fn replicas(&self) -> Vec<Connected> {
        let numbered = |key: &&str| {
            key.strip_prefix("slave").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        self.fields.iter().filter(|(key, _)| numbered(key)).map(|(_, value)| connected(value)).collect()
    }

    fn keys(&self) -> Option<u64> {
        let count = |value: &str| pairs(value).get("keys").and_then(|keys| keys.parse::<u64>().ok());
        let database = |key: &str| key.strip_prefix("db").is_some_and(|n| n.parse::<u32>().is_ok());
        let all = self.fields.iter().filter(|(key, _)| database(key)).map(|(_, value)| count(value));
        if self.keyspace { all.sum() } else { None }
    }
}

fn pairs(value: &str) -> BTreeMap<&str, &str> {
    value.trim().split(',').filter_map(|pair| pair.split_once('=')).collect()
}

fn connected(value: &str) -> Connected {
    let of = pairs(value);
    Connected {
        host: of.get("ip").copied().unwrap_or_default().to_owned(),
        port: of.get("port").and_then(|port| port.parse().ok()).unwrap_or_default(),
        online: of.get("state") == Some(&"online"),
        offset: of.get("offset").and_then(|offset| offset.parse().ok()),
    }
}

/// All but the settings, which `INFO` does not tell.
pub fn node(text: &str) -> Result<Node, String> {
    let info = Info::of(text);
    let replica = info.replica()?;
    Ok(Node {
        version: info.text("valkey_version").or(info.text("redis_version")).unwrap_or_default().to_owned(),
        run_id: info.text("run_id").unwrap_or_default().to_owned(),
        replica,
        replid: info.need("master_replid")?.to_owned(),
        replid2: info.text("master_replid2").filter(|id| *id != NO_HISTORY).map(str::to_owned),
        second_offset: info.number("second_repl_offset"),
        offset: info.offset(replica),
        link: replica.then(|| info.link()),
        replicas: info.replicas(),
        keys: info.keys(),
        loading: info.yes("loading") || info.yes("async_loading"),
        failover: info.text("master_failover_state").unwrap_or("no-failover").to_owned(),
        cluster: info.text("redis_mode").or(info.text("server_mode")) == Some("cluster"),
        config_file: info.text("config_file").is_some(),
        writable_replica: replica && info.text("slave_read_only") == Some("0"),
        ..Node::default()
    })
}

pub fn progress(text: &str) -> Result<Progress, String> {
    let info = Info::of(text);
    let replica = info.replica()?;
    Ok(Progress { replica, replid: info.need("master_replid")?.to_owned(), offset: info.offset(replica) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:f8\r\nconfig_file:/etc/redis.conf\r\n\
        # Persistence\r\nloading:0\r\nasync_loading:0\r\n# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\
        slave0:ip=127.0.0.1,port=55902,state=online,offset=36,lag=0\r\nmaster_failover_state:no-failover\r\n\
        master_replid:441b\r\nmaster_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:50\r\n\
        second_repl_offset:-1\r\n# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\ndb3:keys=5,expires=1,avg_ttl=7\r\n";
    const FRESH: &str = "# Server\r\nredis_mode:standalone\r\nconfig_file:\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n\
        master_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:1\r\n\
        slave_read_only:1\r\nmaster_replid:7364\r\nmaster_repl_offset:0\r\n# Keyspace\r\n";

    #[test]
    fn a_primary_tells_its_history_its_replicas_and_its_keys() {
        let node = node(PRIMARY).unwrap();
        assert_eq!((node.role(), node.replid.as_str(), node.offset), ("primary", "441b", Some(50)));
        assert_eq!((&node.replid2, node.second_offset), (&None, None), "zeros and -1 are no history");
        assert_eq!((node.keys, node.config_file, node.loading), (Some(7), true, false));
        let replica = Connected { host: "127.0.0.1".into(), port: 55902, online: true, offset: Some(36) };
        assert_eq!(node.replicas, [replica]);
    }

    #[test]
    fn a_replica_that_never_had_a_copy_has_no_offset() {
        let node = node(FRESH).unwrap();
        assert_eq!((node.role(), node.offset, node.keys), ("replica", None, Some(0)));
        let link = node.link.unwrap();
        assert_eq!((link.up, link.heard_s, link.port), (false, None, 6379));
        // One that was just copied from a primary that is idle since.
        let idle = super::node(&FRESH.replace("slave_repl_offset:1", "slave_repl_offset:0")).unwrap();
        assert_eq!(idle.offset, Some(0));
    }

    #[test]
    fn what_is_not_there_is_unknown_and_what_is_not_known_is_an_error() {
        let short = PRIMARY.split("# Keyspace").next().unwrap();
        assert_eq!(node(short).unwrap().keys, None);
        assert!(node("role:sentinel\r\n").unwrap_err().contains("sentinel"));
        assert!(progress("master_replid:1\r\n").unwrap_err().contains("role"));
    }
}
