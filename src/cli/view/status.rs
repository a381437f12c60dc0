//! The state of everything in one screen: one sentence first. Used by `status`.

use super::plan::mode;
use crate::cli::look::{Look, Paint, clean};
use crate::cli::table::{Table, cell};
use crate::cli::wire::{AskDoc, ChangesDoc, FenceWatchDoc, PlaybookDoc, StatusDoc};
use crate::cli::{Fault, client};
use crate::kernel::domain::FenceWatchState;
use crate::kernel::engine::Summary;
use crate::units::counted;
use serde_json::Value;

/// The server's document. What has several lines is taken apart first: reading makes one line of every text, so that
/// no remote can draw lines of its own.
pub fn read(document: &Value) -> Result<StatusDoc, Fault> {
    let mut document = document.clone();
    document.get_mut("frozen").into_iter().for_each(lines);
    let playbooks = document.get_mut("playbooks").and_then(Value::as_array_mut).into_iter().flatten();
    for playbook in playbooks {
        for list in ["problems", "warnings"] {
            let texts = playbook.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            texts.for_each(lines);
        }
    }
    client::read(&document, "status")
}

/// A text of several lines as a list of them.
pub fn lines(text: &mut Value) {
    if let Some(said) = text.as_str() {
        *text = said.lines().collect();
    }
}

pub fn screen(doc: &StatusDoc, look: &Look) -> Vec<String> {
    let mut lines = vec![look.paint(Paint::Strong, &clean(&doc.says))];
    if let Some(frozen) = &doc.frozen {
        lines.push(look.paint(Paint::Bad, "Nothing starts on its own until a person thaws it:"));
        lines.extend(freeze(frozen).iter().map(|line| format!("    {line}")));
    }
    // The one of everything is the first sentence already.
    for freeze in doc.freezes.iter().filter(|freeze| !doc.says.contains(&freeze.says)) {
        lines.push(look.paint(Paint::Bad, &format!("FROZEN: {}", clean(&freeze.says))));
    }
    if let Some(breaker) = &doc.breaker {
        let says = clean(&breaker.says);
        lines.push(
            look.paint(Paint::Bad, &format!("STORM: {says}. `pointsman breaker reset` when you have looked")),
        );
    }
    for lifted in &doc.overrides {
        let says = clean(&lifted.says);
        lines.push(look.paint(Paint::Bad, &format!("OVERRIDE: {says}")));
    }
    lines.extend(doc.changes.as_ref().filter(|c| c.begun > 0).map(|c| changes(c, look)));
    if let Some(clocks) = &doc.clocks {
        lines.push(look.paint(Paint::Bad, &clean(clocks)));
    }
    for held in &doc.held_back {
        let says = format!("{} does not move by itself now:", held.service);
        lines.push(look.paint(Paint::Asks, &says));
        lines.extend(held.why.iter().map(|r| format!("    {}  {}", r.code, clean(&r.says))));
    }
    if !doc.asks.is_empty() {
        lines.push(String::new());
        lines.extend(asks(&doc.asks, look));
    }
    lines.push(String::new());
    lines.extend(match doc.runs.is_empty() {
        true => vec!["No runs.".to_owned()],
        false => runs(&doc.runs, look),
    });
    if !doc.fence_watches.is_empty() {
        lines.push(String::new());
        lines.extend(watches(&doc.fence_watches, look));
    }
    for run in doc.runs.iter().filter(|run| !run.drifted.is_empty()) {
        let says = format!("DRIFTED after run {}: {}", run.run, run.drifted.join("; "));
        lines.push(look.paint(Paint::Bad, &clean(&says)));
    }
    lines.extend(channels(doc, look));
    lines.push(String::new());
    lines.extend(doc.playbooks_trouble.as_ref().map(|t| look.paint(Paint::Bad, &clean(&t.says))));
    lines.extend(match doc.playbooks.is_empty() {
        true => vec!["No playbooks are loaded: nothing can be started.".to_owned()],
        false => playbooks(&doc.playbooks, look),
    });
    lines.push(String::new());
    let site = doc.site.as_ref().map_or("no site is configured: playbooks only observe", |s| s.as_str());
    let hash: String = doc.head.hash.chars().take(12).collect();
    lines.push(look.paint(
        Paint::Quiet,
        &format!("pointsman {}   site: {site}   journal at {} ({hash})", doc.version, doc.head.position),
    ));
    lines
}

/// Only channels that do not work as they should.
fn channels(doc: &StatusDoc, look: &Look) -> Vec<String> {
    let bad = doc.channels.iter().filter(|(_, c)| c.failing_since.is_some() || c.skipped > 0);
    bad.map(|(name, channel)| {
        let says = clean(channel.says.as_deref().unwrap_or("it works again"));
        let since = channel.failing_since.map(|at| format!(" since {}", look.date_time(at)));
        let given_up = match channel.skipped {
            0 => String::new(),
            n => format!(", {} given up", counted(usize::try_from(n).unwrap_or(usize::MAX), "notice")),
        };
        let what = if name.ends_with(" by socket") { "clicks" } else { "notices" };
        let words = if since.is_some() { format!("{what} do not arrive") } else { what.to_owned() };
        let since = since.unwrap_or_default();
        let line = format!("CHANNEL {name}: {words}{since}, {} waiting{given_up}: {says}", channel.waiting);
        look.paint(Paint::Bad, &line)
    })
    .collect()
}

/// What people are asked for, and by which command; what waits for this one is first.
fn asks(asks: &[AskDoc], look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    table.head(&["WAITS FOR", "RUN", "SERVICE", "FROM", "TO", "UNTIL", "SAYS"]);
    let (mine, others): (Vec<_>, Vec<_>) = asks.iter().partition(|ask| ask.mine);
    for ask in mine.into_iter().chain(others) {
        let whose = if ask.mine { cell("YOU").paint(Paint::Asks) } else { cell("others") };
        table.row([
            whose,
            cell(&ask.run).paint(Paint::Strong),
            cell(&ask.service),
            cell(&ask.from),
            cell(&ask.to),
            cell(ask.until.map_or_else(|| "-".to_owned(), |at| look.date_time(at))),
            cell(&ask.says),
        ]);
        if !ask.passed.is_empty() {
            let names: Vec<&str> = ask.passed.iter().map(|name| name.as_str()).collect();
            table.note(&format!("handed on by {}", names.join(", ")), Paint::Quiet);
        }
        if ask.mine && ask.wanted == "approval" {
            let page =
                if ask.link.starts_with("http") { format!("   or {}", ask.link) } else { String::new() };
            table.note(&format!("pointsman approve {} --reason \"...\"{page}", ask.run), Paint::Quiet);
        }
    }
    table.lines(look)
}

/// How much of `changes_per_hour` is used.
fn changes(changes: &ChangesDoc, look: &Look) -> String {
    let under_way = match changes.reserved {
        0 => String::new(),
        n => format!(", {n} more in plans under way"),
    };
    let begun = counted(changes.begun as usize, "change");
    let says = format!("{begun} begun within the hour{under_way}; the limit is {}", changes.most);
    let full = u64::from(changes.begun) + u64::from(changes.reserved) >= u64::from(changes.most);
    look.paint(if full { Paint::Bad } else { Paint::Quiet }, &says)
}

/// Text of several lines, or who froze it and why.
fn freeze(frozen: &Value) -> Vec<String> {
    if let Some(lines) = frozen.as_array() {
        return lines.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let text = |name: &str| frozen[name].as_str().map(clean);
    let by = frozen["by"]["name"].as_str().map(clean).or_else(|| text("by"));
    let by = by.map(|by| format!("by {by}"));
    vec![[by, text("reason")].into_iter().flatten().collect::<Vec<_>>().join(": ")]
}

fn runs(runs: &[Summary], look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    table.head(&["RUN", "SERVICE", "FROM", "TO", "STATE", "OPENED", "SAYS"]);
    for run in runs {
        let (state, paint) = state(run);
        table.row([
            cell(run.run.as_str()).paint(Paint::Strong),
            cell(&run.service),
            cell(&run.from),
            cell(&run.to),
            cell(state).paint(paint),
            cell(look.date_time(run.opened)),
            cell(&run.says),
        ]);
    }
    table.lines(look)
}

/// Old primaries that must not come back as a second one.
fn watches(watches: &[FenceWatchDoc], look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    table.head(&["WATCHED", "BESIDE", "FENCE", "STATE", "SINCE", "SEEN", "RUN"]);
    for watch in watches {
        let (word, paint) = match watch.state {
            FenceWatchState::SeenWritable => ("ACCEPTS WRITES", Paint::Bad),
            FenceWatchState::Watching => ("watching", Paint::Plain),
            FenceWatchState::SeenAsStandby => ("standby", Paint::Good),
            FenceWatchState::Closed => ("closed", Paint::Quiet),
        };
        table.row([
            cell(&watch.target).paint(Paint::Strong),
            cell(&watch.promoted),
            cell(watch.rung),
            cell(word).paint(paint),
            cell(watch.since.map_or_else(|| "-".to_owned(), |at| look.date_time(at))),
            cell(clean(watch.seen.as_deref().unwrap_or("not looked yet"))),
            cell(&watch.run),
        ]);
        if watch.state == FenceWatchState::SeenWritable {
            table.note(&watch.says, Paint::Bad);
        }
    }
    table.lines(look)
}

/// The word for a run's state: its outcome once it is finished.
pub fn state(run: &Summary) -> (String, Paint) {
    use crate::kernel::domain::Outcome;
    match run.outcome {
        Some(outcome @ (Outcome::Succeeded | Outcome::Unchanged)) => (outcome.to_string(), Paint::Good),
        Some(outcome @ (Outcome::Cancelled | Outcome::Refused)) => (outcome.to_string(), Paint::Plain),
        Some(outcome) => (outcome.to_string(), Paint::Bad),
        None => match run.state.as_str() {
            "parked" => (run.state.clone(), Paint::Bad),
            "running" | "planning" => (run.state.clone(), Paint::Plain),
            _ => (run.state.clone(), Paint::Asks),
        },
    }
}

fn playbooks(playbooks: &[PlaybookDoc], look: &Look) -> Vec<String> {
    let mut table = Table::new(0);
    table.head(&["PLAYBOOK", "SERVICE", "MODE", "ACTIVE", "DIGEST"]);
    for playbook in playbooks {
        let digest: String = playbook.digest.as_deref().unwrap_or("-").chars().take(7).collect();
        table.row([
            cell(&playbook.name),
            cell(playbook.service.as_ref().map_or("-", |s| s.as_str())),
            cell(playbook.mode.map_or("-", mode)),
            super::playbook::state(playbook),
            cell(&digest),
        ]);
        if let Some(disabled) = &playbook.disabled {
            table.note(&disabled.says, Paint::Asks);
        }
        if let Some(refused) = &playbook.refused {
            let now: String = refused.chars().take(7).collect();
            table.note(&format!("the file is {now} now and is refused; {digest} stays active"), Paint::Bad);
        }
        notes(&mut table, &playbook.problems, "error", Paint::Bad);
        notes(&mut table, &playbook.warnings, "warning", Paint::Asks);
    }
    table.lines(look)
}

/// Most problems shown of one playbook.
const NOTES: usize = 5;

/// One line each, and where: the picture of the line is for `check`.
fn notes(table: &mut Table, problems: &[Vec<String>], word: &str, paint: Paint) {
    for problem in problems.iter().take(NOTES) {
        let mut lines = problem.iter();
        let says = lines.next().map_or("", String::as_str);
        let says = if says.starts_with(word) { says.to_owned() } else { format!("{word}: {says}") };
        table.note(&says, paint);
        if let Some(place) = lines.find_map(|line| line.trim().strip_prefix("--> ")) {
            table.note(&format!("  {place}"), Paint::Quiet);
        }
    }
    if let more @ 1.. = problems.len().saturating_sub(NOTES) {
        table.note(
            &format!("and {}; `pointsman check` shows all", counted(more, &format!("more {word}"))),
            paint,
        );
    }
}
