//! A run in one row, for lists. A cache, written in the same transaction as the records it sums up; `audit verify`
//! folds the records again and compares. So a row is a function of its records alone: times are not in it (the store
//! stamps them, and readers take them from the records), and whoever words `says` anew has old rows written anew.

use super::{Consent, Illegal, ItemPhase, Run};
use crate::domain::{
    Digest, Epoch, FenceRung, FenceWatchState, Mode, Name, Outcome, Record, RunId, Stamped, Stream, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: RunId,
    pub service: Name,
    pub playbook: Name,
    pub mode: Mode,
    pub from: Name,
    pub to: Name,
    /// `planning`, `held`, `waits for approval`, `running`, `waits for a person`, `parked`,
    /// `undoing`, `finished`.
    pub state: String,
    pub says: String,
    pub outcome: Option<Outcome>,
    pub opened: Time,
    pub updated: Time,
    pub plan: Option<Digest>,
    pub epoch: Epoch,
    /// Old primaries that are still watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<WatchLine>,
    /// The commit window is open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub window: bool,
    /// What the commit window found and is not back yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<String>,
    /// Opened by an alert, and nobody is asked.
    #[serde(default)]
    pub automatic: bool,
    /// Its first change was begun.
    #[serde(default)]
    pub changed: bool,
}

/// One fence watch, as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchLine {
    pub target: Name,
    pub promoted: Name,
    pub rung: FenceRung,
    pub state: FenceWatchState,
    pub says: String,
}

impl Summary {
    /// What the store keeps.
    pub fn cached(&self) -> Value {
        let mut value = serde_json::to_value(self).expect("invariant: a summary is plain data");
        if let Some(fields) = value.as_object_mut() {
            TIMES.iter().for_each(|name| drop(fields.remove(*name)));
        }
        value
    }

    /// A kept row, with the times of its stream's first and last record.
    pub fn of_cached(mut value: Value, opened: Time, updated: Time) -> Result<Summary, String> {
        let fields = value.as_object_mut().ok_or("it is no object")?;
        for (name, at) in TIMES.into_iter().zip([opened, updated]) {
            fields.insert(name.into(), json!(at));
        }
        serde_json::from_value(value).map_err(|e| e.to_string())
    }
}

const TIMES: [&str; 2] = ["opened", "updated"];

/// What the store keeps of a source's alerts, by the stream's last record: the delivery that it speaks of.
pub fn alerts_cached(last: &Record) -> Option<Value> {
    let delivery = match last {
        Record::OccurrenceOpened { delivery, .. } | Record::NotStarted { delivery, .. } => Some(*delivery),
        Record::OccurrenceClosed { delivery, .. } => *delivery,
        _ => return None,
    };
    Some(json!({ "delivery": delivery }))
}

impl Run {
    /// The run as it stands once `record` is written; for the row that is written with it.
    pub fn with(&self, record: &Record, at: Time) -> Result<Run, Illegal> {
        let mut run = self.clone();
        run.apply(&Stamped {
            position: 0,
            stream: Stream::Run(self.id().clone()),
            seq: self.seq + 1,
            at: at.max(self.at),
            record: record.clone(),
        })?;
        Ok(run)
    }

    pub fn summary(&self) -> Summary {
        let state = match (&self.finished, &self.hold, &self.consent) {
            (Some(_), _, _) => "finished",
            _ if self.is_parked() => "parked",
            _ if self.undoing.is_some() => "undoing",
            (_, Some(_), _) => "held",
            _ if self.items.iter().any(|i| i.phase == ItemPhase::AwaitingPerson) => "waits for a person",
            (_, _, Consent::Asked { .. }) => "waits for approval",
            _ if self.plan.is_none() => "planning",
            _ => "running",
        };
        Summary {
            run: self.id().clone(),
            service: self.spec.service.clone(),
            playbook: self.spec.playbook.clone(),
            mode: self.spec.mode,
            from: self.spec.from.clone(),
            to: self.spec.to.clone(),
            state: state.to_owned(),
            // Not as of its last record, whose time the store decides: the words must be the same in every fold.
            // Of the records alone: what a ledger says right now is not in them.
            says: Run { spent: None, ..self.clone() }.next(self.opened).says,
            outcome: self.finished,
            opened: self.opened,
            updated: self.at,
            plan: self.plan.as_ref().map(|p| p.digest),
            epoch: self.epoch,
            watches: self.watch_lines(),
            window: self.window_until().is_some(),
            drifted: self
                .window
                .drifted
                .iter()
                .map(|(id, says)| format!("{}: {says}", self.item(*id).name))
                .collect(),
            automatic: self.spec.is_automatic(),
            changed: self.first_change.is_some(),
        }
    }
}
