//! What belongs to one record: every call of its step with what came back, or the guards of its plan with what they saw.
//! For `GET /api/v1/audit/POSITION`.

use super::Problem;
use crate::kernel::domain::{ItemRole, PlanSheet, Record, Stamped, Stream};
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
            document["attempts"] = attempts(&records, call.item);
        }
        Record::Planned(sheet) => document["guards"] = guards(&records, stamped, sheet),
        Record::Decided { digest, .. } => {
            // The newest plan of that digest before the decision: what the person saw.
            let plan = records.iter().rev().filter(|r| r.seq < stamped.seq).find_map(|r| match &r.record {
                Record::Planned(sheet) if sheet.digest == *digest => Some((r, sheet)),
                _ => None,
            });
            if let Some((at, sheet)) = plan {
                document["guards"] = guards(&records, at, sheet);
            }
        }
        _ => {}
    }
    Ok(())
}

fn attempts(records: &[Stamped], of: u16) -> Value {
    let ends = |wanted: &crate::kernel::domain::Call| {
        records.iter().find_map(|r| match &r.record {
            Record::Ended { call, end } if call == wanted => Some((r.position, end)),
            _ => None,
        })
    };
    let all = records.iter().filter_map(|r| match &r.record {
        Record::Intended { call, change, .. } if call.item == of => {
            let end = ends(call);
            Some(json!({
                "attempt": call.attempt, "undo": call.undo, "intended": r.position, "before": change.now,
                "after": change.after, "ended": end.map(|(at, _)| at), "reply": end.map(|(_, end)| &end.detail),
                "result": end.map(|(_, end)| crate::audit::call_result(end.result)),
            }))
        }
        _ => None,
    });
    Value::Array(all.collect())
}

fn guards(records: &[Stamped], plan: &Stamped, sheet: &PlanSheet) -> Value {
    let lines = sheet.lines.iter().filter(|line| line.role == ItemRole::Guard);
    let all = lines.map(|line| {
        let seen = records.iter().rev().filter(|r| r.seq < plan.seq).find_map(|r| match &r.record {
            Record::Observed { item, seen, .. } if *item == line.item => Some((r.position, seen)),
            _ => None,
        });
        let evidence = seen.map(|(_, seen)| match seen {
            Ok(seen) => seen.evidence.clone(),
            Err(why) => json!(why),
        });
        json!({
            "name": line.name, "verdict": line.verdict, "says": line.now, "seen": seen.map(|(at, _)| at),
            "evidence": evidence,
        })
    });
    Value::Array(all.collect())
}
