//! What one Sentinel says, read from its lists of words. Pure; called by `wire`. `None` is unknown, never zero.

use super::super::node::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// As the server sends it: one word after the other, name and value in turn.
pub type Words = BTreeMap<String, String>;

/// Sentinels ping everybody each second; who has not answered for five of them is passed over.
const SILENT_MS: u64 = 5_000;
/// They ask for INFO each ten seconds, and each second once the primary is down; what is older is not believed.
const OLD_MS: u64 = 30_000;
const OLD_WHEN_DOWN_MS: u64 = 5_000;

/// A server that it watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    pub place: Place,
    pub run_id: String,
    pub flags: Vec<String>,
    /// Since it last answered a ping, and since it told its INFO.
    pub heard_ms: Option<u64>,
    pub info_ms: Option<u64>,
    /// How long it has been down, by this Sentinel's own sight.
    pub down_ms: Option<u64>,
    /// Of a replica: its link to the primary, what it has, and in which order it would be promoted.
    pub link_down_ms: Option<u64>,
    pub offset: Option<u64>,
    pub priority: Option<u64>,
}

impl Row {
    pub fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub id: String,
    pub master: Row,
    /// Raised by every failover that came to its end.
    pub epoch: u64,
    /// By enough of them: then they elect by themselves.
    pub agreed_down_ms: Option<u64>,
    pub down_after_ms: u64,
    pub failover_timeout_ms: u64,
    pub replicas: Vec<Row>,
    /// Ids of the other Sentinels that it knows.
    pub others: Vec<String>,
    /// Why it could not get a failover through: CKQUORUM said no.
    pub no_quorum: Option<String>,
    /// It does not trust its own clock, and decides nothing.
    pub tilt: bool,
}

impl Answer {
    pub fn under_way(&self) -> bool {
        self.master.is("failover_in_progress")
    }

    pub fn sees_down(&self) -> bool {
        self.master.is("s_down") || self.master.is("o_down")
    }

    /// Why it would pass this replica over, by the rules of its own that are the same in every version since 2.8.
    pub fn passes_over(&self, row: &Row) -> Option<String> {
        if row.priority == Some(0) {
            return Some("its replica-priority is 0".into());
        }
        if row.is("s_down") || row.is("o_down") {
            return Some("it is down by the Sentinel's sight".into());
        }
        if row.is("disconnected") || row.heard_ms.is_none_or(|ms| ms > SILENT_MS) {
            return Some("the Sentinel does not hear it".into());
        }
        let old = if self.sees_down() { OLD_WHEN_DOWN_MS } else { OLD_MS };
        if row.info_ms.is_none_or(|ms| ms > old) || row.run_id.is_empty() {
            return Some("what the Sentinel knows of it is too old".into());
        }
        let most = self.down_after_ms.saturating_mul(10).saturating_add(self.master.down_ms.unwrap_or(0));
        match row.link_down_ms {
            None => Some("how long it has been without its primary is not known".into()),
            Some(ms) if ms > most => {
                Some(format!("it has been without its primary for {ms} ms, more than {most}"))
            }
            Some(_) => None,
        }
    }
}

fn word<'a>(words: &'a Words, key: &str) -> Result<&'a str, String> {
    words.get(key).map(String::as_str).ok_or_else(|| format!("it tells no {key}"))
}

fn number(words: &Words, key: &str) -> Option<u64> {
    words.get(key)?.parse().ok()
}

fn needed(words: &Words, key: &str) -> Result<u64, String> {
    word(words, key)?.parse().map_err(|_| format!("it tells a {key} that is no number"))
}

/// One entry of `SENTINEL MASTER` or `SENTINEL REPLICAS`.
pub fn row(words: &Words) -> Result<Row, String> {
    let port =
        u16::try_from(needed(words, "port")?).map_err(|_| "it tells a port that is none".to_owned())?;
    Ok(Row {
        place: Place { host: word(words, "ip")?.to_owned(), port },
        run_id: word(words, "runid")?.to_owned(),
        flags: word(words, "flags")?.split(',').map(str::to_owned).collect(),
        heard_ms: number(words, "last-ok-ping-reply"),
        info_ms: number(words, "info-refresh"),
        down_ms: number(words, "s-down-time"),
        link_down_ms: number(words, "master-link-down-time"),
        offset: number(words, "slave-repl-offset"),
        priority: number(words, "slave-priority"),
    })
}

/// `SENTINEL MASTER`, `REPLICAS`, `SENTINELS`, `MYID`, `CKQUORUM` and `INFO sentinel`.
pub fn answer(
    id: String,
    (master, replicas, others): (&Words, &[Words], &[Words]),
    no_quorum: Option<String>,
    info: &str,
) -> Result<Answer, String> {
    let tilt = info.lines().find_map(|line| line.trim().strip_prefix("sentinel_tilt:"));
    Ok(Answer {
        id,
        master: row(master)?,
        epoch: needed(master, "config-epoch")?,
        agreed_down_ms: number(master, "o-down-time"),
        down_after_ms: needed(master, "down-after-milliseconds")?,
        failover_timeout_ms: needed(master, "failover-timeout")?,
        replicas: replicas.iter().map(row).collect::<Result<_, _>>()?,
        others: others.iter().map(|one| word(one, "runid").map(str::to_owned)).collect::<Result<_, _>>()?,
        no_quorum,
        tilt: tilt.ok_or("INFO has no sentinel_tilt")? != "0",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split(' ')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn replica(more: &str) -> Row {
        let text = "ip=10.0.0.2 port=6379 runid=c9 flags=slave last-ok-ping-reply=900 info-refresh=6637 \
                    master-link-down-time=0 slave-priority=100 slave-repl-offset=3561";
        let mut all = words(text);
        all.extend(words(more));
        row(&all).unwrap()
    }

    fn told(more: &str) -> Answer {
        let text = "ip=10.0.0.1 port=6379 runid=13 flags=master config-epoch=4 down-after-milliseconds=1000 \
                    failover-timeout=4000";
        let mut all = words(text);
        all.extend(words(more));
        answer("90".into(), (&all, &[], &[words("runid=40")]), None, "# Sentinel\r\nsentinel_tilt:0\r\n")
            .unwrap()
    }

    #[test]
    fn what_is_not_told_is_unknown_or_an_error() {
        let one = told("");
        assert_eq!((one.epoch, one.others.as_slice(), one.agreed_down_ms), (4, &["40".to_owned()][..], None));
        assert!(!one.under_way() && !one.tilt && one.replicas.is_empty());
        assert!(told("flags=master,failover_in_progress,force_failover").under_way());
        assert_eq!(replica("slave-repl-offset=?").offset, None);
        let no_epoch = words("ip=a port=1 runid=r flags=master down-after-milliseconds=1 failover-timeout=1");
        let says = answer("9".into(), (&no_epoch, &[], &[]), None, "sentinel_tilt:0").unwrap_err();
        assert!(says.contains("config-epoch"), "{says}");
        assert!(answer("9".into(), (&words("ip=a"), &[], &[]), None, "").is_err());
    }

    #[test]
    fn a_replica_is_passed_over_by_the_rules_of_sentinel() {
        assert_eq!(told("").passes_over(&replica("")), None);
        for (more, part) in [
            ("slave-priority=0", "replica-priority"),
            ("flags=slave,s_down", "is down"),
            ("flags=slave,disconnected", "does not hear"),
            ("last-ok-ping-reply=5001", "does not hear"),
            ("info-refresh=30001", "too old"),
            ("runid=", "too old"),
            ("master-link-down-time=10001", "without its primary for 10001 ms, more than 10000"),
            ("master-link-down-time=?", "not known"),
        ] {
            let says = told("").passes_over(&replica(more)).unwrap_or_default();
            assert!(says.contains(part), "{more}: {says}");
        }
        let down = told("flags=master,s_down s-down-time=2000");
        assert!(down.passes_over(&replica("")).is_some(), "asked each second by now");
        assert_eq!(down.passes_over(&replica("info-refresh=900 master-link-down-time=11999")), None);
    }
}
