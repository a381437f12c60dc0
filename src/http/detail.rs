//! What belongs to one record: every call of its step with what came back, or the guards of its plan with what they saw.
//! For `GET /api/v1/audit/POSITION`.

use super::Problem;
use crate::audit::{changes, guards};
use crate::kernel::domain::{Record, Stamped, Stream};
use crate::worker::App;
use serde_json::{Value, json};

/// Adds `attempts` or `guards` where the record has such.
pub async fn add(app: &App, stamped: &Stamped, document: &mut Value) -> Result<(), Problem> {
    let Stream::Run(_) = &stamped.stream else { return Ok(()) };
    let wanted = matches!(
        stamped.record,
        Record::Intended { .. } | Record::Ended { .. } | Record::Planned(_) | Record::Decided { .. }
    );
    if !wanted {
        return Ok(());
    }
    let records = app.journal.read(&stamped.stream, 1).await.map_err(Problem::store)?;
    match &stamped.record {
        Record::Intended { call, .. } | Record::Ended { call, .. } => {
            if let Some(Record::Opened(spec)) = records.first().map(|r| &r.record) {
                let mut calls = changes(&records, spec);
                calls.retain(|made| made.item == call.item);
                document["attempts"] = json!(calls);
            }
        }
        Record::Planned(sheet) => document["guards"] = json!(guards(&records, stamped, sheet)),
        Record::Decided { digest, .. } => {
            // The newest plan of that digest before the decision: what the person saw.
            let plan = records.iter().rev().filter(|r| r.seq < stamped.seq).find_map(|r| match &r.record {
                Record::Planned(sheet) if sheet.digest == *digest => Some((r, sheet)),
                _ => None,
            });
            if let Some((at, sheet)) = plan {
                document["guards"] = json!(guards(&records, at, sheet));
            }
        }
        _ => {}
    }
    Ok(())
}
