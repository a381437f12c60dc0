//! The scorecard of a playbook that only observes. Used by `playbook scorecard`.

use crate::cli::look::{Look, Paint, clean};
use crate::cli::table::{Table, cell};
use crate::cli::wire::ScorecardDoc;
use crate::units::counted;

pub fn screen(doc: &ScorecardDoc, look: &Look) -> Vec<String> {
    let decided = doc.agrees + doc.needless + doc.missed;
    let head = format!(
        "{}: {} within {} days; it agreed with people in {} of {decided}, would have acted needlessly in {}, and missed {}",
        doc.playbook,
        counted(doc.alerts.len(), "alert"),
        doc.days,
        doc.agrees,
        doc.needless,
        doc.missed,
    );
    let mut lines = vec![look.paint(Paint::Strong, &head)];
    if doc.alerts.is_empty() {
        lines.push("No alert came that it only observed: nothing is proven by that.".to_owned());
        return lines;
    }
    let mut table = Table::new(0);
    table.head(&["DECIDED", "ALERT", "IT WOULD HAVE", "PEOPLE", "OVER", "SCORE"]);
    for alert in &doc.alerts {
        let (score, paint) = match alert.score.as_str() {
            "agrees" => ("agrees", Paint::Good),
            "needless" => ("NEEDLESS", Paint::Bad),
            "missed" => ("MISSED", Paint::Bad),
            _ => ("open", Paint::Quiet),
        };
        let would = match alert.would {
            Some(true) => "acted",
            Some(false) => "held back",
            None => "(no plan)",
        };
        let people = match (&alert.run, &alert.outcome) {
            (Some(run), Some(outcome)) => format!("run {run}: {outcome}"),
            (Some(run), None) => format!("run {run}"),
            (None, _) => "nothing".to_owned(),
        };
        table.row([
            cell(look.date_time(alert.at)),
            cell(&alert.occurrence),
            cell(would),
            cell(people),
            cell(alert.over.map_or_else(|| "-".to_owned(), |at| look.date_time(at))),
            cell(score).paint(paint),
        ]);
        for why in alert.why.iter().take(2) {
            table.note(&clean(why), Paint::Quiet);
        }
    }
    lines.extend(table.lines(look));
    lines
}
