//! Planned moves of Redis by a running Pointsman that is killed in the middle, with an application that writes to both
//! servers all the time: through Sentinels, and by the primary's own hand-over.

use super::rig::{sentinels, targets};
use super::sentinel::orders;
use crate::failover::crashes::{is_call, kill_at};
use crate::failover::gate::Gate;
use anyhow::{Result, ensure};
use lab::net::wait_until;
use lab::pointsman::Record;
use lab::{Pointsman, RedisOptions, RedisPair, Sentinels, Site};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PLAYBOOK: &str = r#"
playbook: sessions-move
service: sessions
kind: switchover
mode: auto
sites:
  gra: { redis: redis-gra }
  sbg: { redis: redis-sbg }
from: gra
to: sbg
guards:
  - name: destination is healthy
    quorum: { probes: [sbg-redis], vantages: [local], up: majority }
steps:
  - name: move the primary
    MOVE
    commit_point: true
verify:
  - action: redis.write_probe
    with: { target: "${to.redis}", as: app }
  - action: http.expect
    with: { url: "GATE", status: 200 }
"#;

const BY_SENTINELS: &str =
    "action: sentinel.failover\n    with: { target: watch, old: \"${from.redis}\", new: \"${to.redis}\" }";
const BY_ITSELF: &str =
    "action: redis.failover\n    with: { target: \"${to.redis}\", old: \"${from.redis}\" }";

struct Stage {
    pointsman: Pointsman,
    gate: Gate,
    pair: Arc<RedisPair>,
    trio: Option<Sentinels>,
}

impl Stage {
    async fn set(by_sentinels: bool) -> Result<Stage> {
        let options = RedisOptions { straight: true, persistent: true, ..RedisOptions::default() };
        let pair = Arc::new(RedisPair::start(options).await?);
        ensure!(pair.ask(Site::Gra, "SET first 1").await? == "OK", "the primary takes no write");
        let trio = match by_sentinels {
            true => Some(Sentinels::start(&pair, Duration::from_secs(60)).await?),
            false => None,
        };
        let places = [("redis-gra", Site::Gra), ("redis-sbg", Site::Sbg)];
        let places = places.map(|(name, site)| (name, site, pair.address(site)));
        let watch = trio.as_ref().map_or(String::new(), |trio| sentinels("watch", &trio.all));
        let secrets = pair.dir().join("secrets");
        std::fs::create_dir(&secrets)?;
        let text = format!(
            "site = \"par\"\n{}{watch}[probes.sbg-redis]\ntcp = \"{}\"\n[vantages.local]\ndomain = \"par\"\n",
            targets(&places, &secrets, true),
            pair.address(Site::Sbg)
        );
        let book = PLAYBOOK.replace("MOVE", if by_sentinels { BY_SENTINELS } else { BY_ITSELF });
        let gate = Gate::start().await?;
        let books = vec![("sessions.yaml", gate.named_in(&book))];
        let pointsman = Pointsman::beside(pair.dir(), pair.spare_port(0), text, books).await?;
        Ok(Stage { pointsman, gate, pair, trio })
    }

    /// A person asks for it; nobody is killed where `at` is none.
    async fn moved(&mut self, at: Option<fn(&Record) -> bool>) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let writers =
            [Site::Gra, Site::Sbg].map(|site| tokio::spawn(orders(self.pair.clone(), site, stop.clone())));
        if at.is_some() {
            self.gate.close();
        }
        let words = json!({ "playbook": "sessions-move", "reason": "the roof of gra is mended tomorrow" });
        let known = || async { Ok(self.pointsman.post("/api/v1/runs", &words).await.is_ok()) };
        wait_until("the run to be opened", Duration::from_secs(20), known).await?;
        if let Some(at) = at {
            kill_at(&mut self.pointsman, at).await?;
            self.gate.open();
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.pointsman.start_again().await?;
        }
        let over = |records: &[Record]| records.iter().any(|record| record.kind == "finished");
        self.pointsman.wait_for("the run to finish", Duration::from_secs(90), over).await?;
        let ends = self.pointsman.records("finished").await?;
        ensure!(ends.len() == 1 && ends[0].body["outcome"] == "succeeded", "{:?}", ends[0].body);
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.store(true, Ordering::SeqCst);
        let mut taken = vec![];
        for writer in writers {
            let of_one = writer.await?;
            ensure!(!of_one.is_empty(), "nothing was taken at one of the sites");
            taken.extend(of_one);
        }
        let kept = self.pair.ask(Site::Sbg, "KEYS order:*").await?;
        let kept: BTreeSet<&str> = kept.lines().collect();
        let lost: Vec<_> = taken.iter().filter(|key| !kept.contains(key.as_str())).collect();
        ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        self.stands().await
    }

    /// One primary, the other follows, and nothing of the move is left anywhere.
    async fn stands(&self) -> Result<()> {
        ensure!(self.pair.is_primary(Site::Sbg).await?, "sbg is no primary");
        self.pair.wait_streaming(Site::Gra).await?;
        for site in [Site::Gra, Site::Sbg] {
            let told = self.pair.ask(site, "CONFIG GET min-replicas-to-write").await?;
            ensure!(told.lines().last() == Some("0"), "{site} is still held: {told}");
            let file = std::fs::read_to_string(self.pair.file(site))?;
            ensure!(!file.contains("min-replicas-to-write 15"), "{site} would be held after a restart");
        }
        if let Some(trio) = &self.trio {
            ensure!(trio.settled(&self.pair).await? == Site::Sbg, "the Sentinels have another primary");
            let epoch = trio.epoch(1).await?;
            ensure!(epoch == 1, "moved more than once: epoch {epoch}");
        }
        ensure!(self.pointsman.verify().await?.contains("verified"), "the journal does not verify");
        Ok(())
    }
}

async fn play(by_sentinels: bool, at: Option<fn(&Record) -> bool>) {
    let mut stage = match Stage::set(by_sentinels).await {
        Ok(stage) => stage,
        Err(error) => panic!("the scene cannot be set: {error:#}"),
    };
    if let Err(error) = stage.moved(at).await {
        panic!("{error:#}\n\n{}", stage.pointsman.story().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_by_sentinels_outlives_a_death_after_its_intent() {
    play(true, Some(|record| is_call(record, "intended", "move the primary"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_by_sentinels_outlives_a_death_after_its_call() {
    play(true, Some(|record| is_call(record, "ended", "move the primary"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_loses_no_write() {
    play(false, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_outlives_a_death_after_its_intent() {
    play(false, Some(|record| is_call(record, "intended", "move the primary"))).await;
}
