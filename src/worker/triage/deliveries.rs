//! Deliveries become occurrences: read from the cursor, decided one by one, in one batch with the cursor.

use super::{CURSOR, PAGE, Triage, view};
use crate::intake::Format;
use crate::intake::occurrence::Arrival;
use crate::kernel::domain::{
    Delivered, Name, OccurrenceId, PlaybookVerdict, Position, Record, RunId, Stream, Time,
};
use crate::kernel::engine::alerts_cached;
use crate::kernel::journal::{Batch, Row};
use crate::playbook;
use crate::worker::occurrence::{Open, State, verdict};
use std::collections::BTreeSet;

impl Triage {
    pub(super) async fn take_deliveries(&mut self) -> anyhow::Result<()> {
        loop {
            let page = self.app.journal.scan(self.cursor + 1, PAGE).await?;
            let Some(last) = page.last().map(|r| r.position) else { return Ok(()) };
            for stamped in page {
                if let Record::Delivered(delivered) = &stamped.record {
                    self.take(delivered, stamped.position, stamped.at).await?;
                }
                self.cursor = stamped.position;
            }
            self.cursor = last;
            self.occurrences.forget(self.app.world.now());
            self.keep_cursor().await?;
        }
    }

    /// What means nothing new moves no cursor; a start must not read all of it again before the next outage.
    pub(super) async fn keep_cursor(&mut self) -> anyhow::Result<()> {
        if self.cursor < self.kept + Position::from(PAGE) {
            return Ok(());
        }
        let row = Row::Cursor { name: CURSOR.into(), position: self.cursor };
        self.app.journal.append(Batch::new(self.app.world.now()).row(row)).await?;
        self.kept = self.cursor;
        Ok(())
    }

    /// Reads what memory may have let go of. Rare: an alert of which nothing is known, older than the last thing forgotten.
    async fn recall(&mut self, source: &Name, fingerprints: &BTreeSet<String>) -> anyhow::Result<()> {
        if fingerprints.is_empty() {
            return Ok(());
        }
        for stamped in self.app.journal.read(&Stream::Alerts(source.clone()), 1).await? {
            match &stamped.record {
                Record::OccurrenceOpened { fingerprint, .. } if !fingerprints.contains(fingerprint) => {}
                record => self.occurrences.apply(source, record),
            }
        }
        Ok(())
    }

    /// An alert that may be a late copy of one whose records are sealed away starts nothing by itself: a person decides.
    fn held_back(
        &self,
        source: &Name,
        record: &Record,
        gone: &BTreeSet<String>,
        ended: Option<Time>,
    ) -> Option<Record> {
        let Record::OccurrenceOpened {
            occurrence,
            kind,
            fingerprint,
            labels,
            annotations,
            delivery,
            started,
        } = record
        else {
            return None;
        };
        let ended = ended.filter(|_| gone.contains(fingerprint))?;
        let alert = view(source, *kind, labels, annotations);
        let says = format!(
            "it began at {started}, and records of {source} up to {ended} are sealed away: nobody can tell whether it was \
             dealt with then"
        );
        let playbooks = self.app.playbooks();
        let verdicts = playbooks.active().map(|(loaded, p)| match playbook::match_alert(p, &alert) {
            Ok(_) => verdict(&loaded.name, true, "PM5419", says.clone()),
            Err(why) => PlaybookVerdict { playbook: loaded.name.clone(), matched: false, why },
        });
        let why: Vec<PlaybookVerdict> = verdicts.collect();
        // What no playbook waits for is told in the ordinary way.
        why.iter().any(|verdict| verdict.matched).then(|| Record::NotStarted {
            occurrence: occurrence.clone(),
            delivery: *delivery,
            labels: labels.clone(),
            why,
            plan: None,
        })
    }

    /// One delivery: occurrences open and close, in one batch with the cursor.
    pub(super) async fn take(
        &mut self,
        delivered: &Delivered,
        position: Position,
        at: Time,
    ) -> anyhow::Result<()> {
        let read = self.app.bodies.read(&self.app.journal, &delivered.format, delivered.digest);
        let delivery = match read.await? {
            Ok(delivery) => delivery,
            Err(error) => {
                // Intake took it, so an older or newer parser did. One such body must not hold up all alerts after it.
                tracing::error!(position, %error, "a kept delivery cannot be read; its alerts start nothing");
                return Ok(());
            }
        };
        let source = delivered.source.clone();
        let others = self.app.without_heartbeats(&source, &delivery.alerts, at);
        let alerts = others.as_deref().unwrap_or(&delivery.alerts);
        // What was read has a format that is known.
        let kind = Format::of(delivered.format.as_str()).map(Format::kind).unwrap_or_default();
        let arrival = Arrival { source: &source, kind, delivery: position, at };
        let forgotten = self.occurrences.perhaps_forgotten(&source, alerts);
        self.recall(&source, &forgotten).await?;
        // After reading: what was there to be read went only once this was said.
        let ended = self.app.sealed_end(&source);
        if let Some(ended) = ended {
            self.occurrences.sealed_away(&source, ended);
        }
        let gone = self.occurrences.perhaps_gone(&source, alerts);
        let mut records = self.occurrences.decide(arrival, alerts).records;
        if records.is_empty() {
            return Ok(());
        }
        let closed: Vec<(OccurrenceId, Time)> = records
            .iter()
            .filter_map(|r| match r {
                Record::OccurrenceClosed { occurrence, ended, .. } => Some((occurrence.clone(), *ended)),
                _ => None,
            })
            .collect();
        for (occurrence, _) in &closed {
            records.extend(self.open.get(occurrence).and_then(|o| told_off(o, at)));
        }
        let open = |record: &&Record| match record {
            Record::OccurrenceOpened { occurrence, .. } => !closed.iter().any(|(id, _)| id == occurrence),
            _ => false,
        };
        let opened = records.iter().filter(open);
        let held: Vec<Record> = opened.filter_map(|r| self.held_back(&source, r, &gone, ended)).collect();
        records.extend(held);
        let seq = self.seq(&source).await?;
        let summary = records.last().and_then(alerts_cached).unwrap_or_default();
        let batch = Batch::new(self.app.world.now())
            .part(Stream::Alerts(source.clone()), Some(seq), records)
            .summary(summary)
            .row(Row::Cursor { name: CURSOR.into(), position });
        let receipt = self.app.journal.append(batch).await?;
        self.kept = position;
        self.seqs.insert(source.clone(), receipt.stamped.last().map_or(seq, |s| s.seq));
        let attached: Vec<RunId> = closed.iter().filter_map(|(id, _)| self.run_of(id)).collect();
        for stamped in &receipt.stamped {
            self.remember(&source, stamped);
        }
        for run in attached {
            self.tell_resolved(&run).await?;
        }
        Ok(())
    }
}

/// The reason on record for an alert that was over before anything could start.
fn told_off(open: &Open, now: Time) -> Option<Record> {
    let State::Confirming(c) = &open.state else { return None };
    let says = format!("resolved after {}; it had to be confirmed for {}", now.since(c.begun), c.hold);
    Some(Record::NotStarted {
        occurrence: open.id.clone(),
        delivery: open.delivery,
        labels: open.labels.clone(),
        why: vec![verdict(&c.playbook, true, "PM5405", says)],
        plan: None,
    })
}
