//! How long a playbook took before: from the records of its runs that succeeded. Plans show it; what was never run has no
//! history, and nothing is guessed.

use super::{App, CommandError};
use crate::kernel::domain::{ItemRole, Name, Outcome, RunId, Span, Time};
use crate::kernel::engine::Run;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The newest runs that count.
const RUNS: usize = 5;
/// Summaries among which they are looked for.
const AMONG: u32 = 500;

/// `{runs, median, longest, steps: [{name, median}]}`, lengths from the first step's begin to the end; null: no history.
pub async fn past(app: &App, playbook: &Name) -> Result<Value, CommandError> {
    let summaries = app.summaries(AMONG).await?;
    let ended = summaries.iter().filter(|s| s.playbook == *playbook && s.outcome == Some(Outcome::Succeeded));
    let names: Vec<RunId> = ended.map(|s| s.run.clone()).take(RUNS).collect();
    let (mut whole, mut steps) = (vec![], BTreeMap::<Name, Vec<Span>>::new());
    for name in &names {
        let run = match app.run(name).await {
            Ok(Some(run)) => run,
            Ok(None) => continue,
            // A plan in the night does not fail for a run of the past that cannot be read.
            Err(error) => {
                tracing::warn!(run = %name, %error, "it is left out of the history");
                continue;
            }
        };
        let times = times(&run);
        let (Some(first), Some(last)) = (times.iter().map(|t| t.1).min(), times.iter().map(|t| t.2).max())
        else {
            continue;
        };
        whole.push(last.since(first));
        for (step, began, ended) in times {
            steps.entry(step).or_default().push(ended.since(began));
        }
    }
    let Some(longest) = whole.iter().max().copied() else { return Ok(Value::Null) };
    let steps: Vec<Value> =
        steps.into_iter().map(|(name, spans)| json!({ "name": name, "median": median(spans) })).collect();
    Ok(json!({ "runs": whole.len(), "median": median(whole), "longest": longest, "steps": steps }))
}

/// What really took place: already right took no time and is no measure of a change.
fn times(run: &Run) -> Vec<(Name, Time, Time)> {
    let of = |id| {
        let (item, state) = (run.item(id), run.state(id));
        (item.role != ItemRole::Guard).then_some(())?;
        Some((item.name.clone(), state.began?, state.ended?))
    };
    run.ids().filter_map(of).collect()
}

/// Of an even number the longer of the two in the middle: rather too much than too little.
fn median(mut spans: Vec<Span>) -> Span {
    spans.sort();
    spans.get(spans.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_never_the_shorter_of_two() {
        let of = |list: &[u64]| median(list.iter().map(|s| Span::secs(*s)).collect());
        assert_eq!(of(&[9, 1, 5]), Span::secs(5));
        assert_eq!(of(&[9, 1]), Span::secs(9));
    }
}
