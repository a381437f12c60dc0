//! A run as it goes: one screen that is drawn again, or lines as things happen, and how it ended.
//! Used by `watch` and `run`.

use super::status::state;
use crate::cli::look::{Look, Paint, clean, harmless};
use crate::cli::table::{Cell, Table, cell};
use crate::cli::wire::{ItemDoc, ItemPhase, RunDoc};
use crate::kernel::domain::{ItemRole, Span, Time};

/// The whole screen. Finished steps fold into one line when `rows` is too few for all of them.
pub fn screen(doc: &RunDoc, now: Time, look: &Look, rows: usize) -> Vec<String> {
    let mut lines = vec![head(doc, look), clean(&doc.summary.says), String::new()];
    let mut foot = vec![String::new()];
    foot.extend(outage(doc, now, look));
    foot.extend(what_next(doc, look));
    let room = rows.saturating_sub(lines.len() + foot.len()).max(3);
    lines.extend(steps(doc, now, look, room));
    lines.extend(foot);
    lines
}

pub fn head(doc: &RunDoc, look: &Look) -> String {
    let summary = &doc.summary;
    let (word, paint) = state(summary);
    let title = format!("{}   {}  {} -> {}", summary.run, summary.service, summary.from, summary.to);
    let plan = summary.plan.map(|p| format!("   plan {}", p.short())).unwrap_or_default();
    format!(
        "{}   {}   opened {}{plan}",
        look.paint(Paint::Strong, &clean(&title)),
        look.paint(paint, &clean(&word).to_uppercase()),
        look.time(summary.opened)
    )
}

fn steps(doc: &RunDoc, now: Time, look: &Look, room: usize) -> Vec<String> {
    let mut table = Table::new(2).widest(60);
    let troubled = |i: &&ItemDoc| matches!(i.phase, ItemPhase::Parked | ItemPhase::Doubt | ItemPhase::Newer);
    for guard in doc.items.iter().filter(|i| i.role == ItemRole::Guard).filter(troubled) {
        table.row(row(None, guard, now));
    }
    let all: Vec<_> = doc.steps().collect();
    let over = |item: &ItemDoc| matches!(item.phase, ItemPhase::Done | ItemPhase::Skipped);
    let finished = all.iter().take_while(|(_, item)| over(item)).count();
    let hidden = if all.len() > room { finished.min(all.len() + 1 - room) } else { 0 };
    if hidden > 0 {
        table.row([cell("ok").paint(Paint::Good), cell(""), cell(format!("{hidden} finished steps"))]);
    }
    for (number, item) in all.into_iter().skip(hidden) {
        table.row(row(Some(number), item, now));
    }
    table.lines(look)
}

fn row(number: Option<usize>, item: &ItemDoc, now: Time) -> Vec<Cell> {
    let (mark, paint) = if item.undo { mark_back(item.phase) } else { mark(item.phase) };
    let took = match (item.began, item.ended) {
        (Some(began), Some(ended)) => ended.since(began).to_string(),
        (Some(began), None) => now.since(began).to_string(),
        (None, _) => String::new(),
    };
    let attempts = if item.attempts > 1 { format!("attempt {}", item.attempts) } else { String::new() };
    vec![
        cell(mark).paint(paint),
        cell(number.map(|n| n.to_string()).unwrap_or_else(|| "guard".into())).right(),
        cell(&item.name),
        cell(&item.target),
        cell(took).right(),
        cell(change(item)),
        cell([attempts, said(item)].join(" ")).paint(Paint::Quiet),
    ]
}

fn change(item: &ItemDoc) -> String {
    match (item.now.is_empty(), item.after.is_empty()) {
        (false, false) => format!("{} -> {}", item.now, item.after),
        (false, true) => item.now.clone(),
        (true, _) => item.after.clone(),
    }
}

/// What the server says of the item, unless it stands elsewhere on the screen.
fn said(item: &ItemDoc) -> String {
    let asks =
        item.role != ItemRole::Guard && matches!(item.phase, ItemPhase::Parked | ItemPhase::AwaitingPerson);
    let repeated = asks || item.says == item.now || item.says == item.after;
    if repeated { String::new() } else { item.says.clone() }
}

fn mark(phase: ItemPhase) -> (&'static str, Paint) {
    match phase {
        ItemPhase::Idle => ("..", Paint::Quiet),
        ItemPhase::InFlight => (">> acting", Paint::Strong),
        ItemPhase::Applied => (">> verifying", Paint::Strong),
        ItemPhase::Doubt => ("?? in doubt", Paint::Asks),
        ItemPhase::AwaitingPerson => ("!! a person", Paint::Asks),
        ItemPhase::Done => ("ok", Paint::Good),
        ItemPhase::Skipped => ("-- skipped", Paint::Asks),
        ItemPhase::GaveUp => ("no gave up", Paint::Asks),
        ItemPhase::Parked => ("no stopped", Paint::Bad),
        ItemPhase::Newer => ("?? see says", Paint::Asks),
    }
}

/// The same, of a change that is taken back.
fn mark_back(phase: ItemPhase) -> (&'static str, Paint) {
    match phase {
        ItemPhase::Idle => ("<< to undo", Paint::Asks),
        ItemPhase::InFlight | ItemPhase::Applied => ("<< undoing", Paint::Strong),
        ItemPhase::Done => ("<< taken back", Paint::Good),
        ItemPhase::Skipped => ("-- stands", Paint::Bad),
        ItemPhase::Parked => ("no stands", Paint::Bad),
        ItemPhase::Doubt | ItemPhase::AwaitingPerson | ItemPhase::GaveUp | ItemPhase::Newer => mark(phase),
    }
}

/// When the last thing of the run was over.
fn ended(doc: &RunDoc) -> Time {
    doc.items.iter().filter_map(|i| i.ended).max().unwrap_or(doc.summary.updated)
}

fn outage(doc: &RunDoc, now: Time, look: &Look) -> Vec<String> {
    let Some(began) = doc.alert_started else { return vec![] };
    let since = look.time(began);
    vec![match doc.outcome.as_deref() {
        Some("succeeded") => format!("outage {} (alert began {since})", ended(doc).since(began)),
        Some(_) => format!("alert began {since}; this run did not end the outage"),
        None => format!("outage so far {} (alert began {since})", now.since(began)),
    }]
}

/// What waits for a person, with the command that answers it.
pub fn what_next(doc: &RunDoc, look: &Look) -> Vec<String> {
    let run = &doc.summary.run;
    let mut lines = vec![];
    if doc.outcome.is_some() {
        return lines;
    }
    let mut ask = |words: String| lines.push(look.paint(Paint::Asks, &harmless(&words)));
    if let Some(asked) = &doc.asked {
        ask(format!("waits for approval of plan {} until {}", asked.digest.short(), look.time(asked.until)));
        ask(format!(
            "  pointsman approve {run} --reason \"...\"    or    pointsman reject {run} --reason \"...\""
        ));
    }
    for (number, item) in doc.steps() {
        match item.phase {
            ItemPhase::AwaitingPerson => {
                ask(format!("step {number} waits for a person: {}", item.says));
                ask(format!("  pointsman confirm {run} --step {number}"));
            }
            ItemPhase::Parked => {
                ask(format!("step {number} stopped: {}", item.says));
                ask(format!(
                    "  pointsman retry {run} --step {number} --reason \"...\"    looks again and goes on"
                ));
                if item.undo {
                    ask(format!(
                        "  pointsman skip {run} --step {number} --reason \"...\"    lets it stand, and goes back further"
                    ));
                }
            }
            _ => {}
        }
    }
    for target in &doc.unfenced_offer {
        ask(format!("{target} is NOT proven fenced: it may still accept writes. To go on all the same:"));
        ask(format!("  pointsman approve {run} --accept-unfenced={target} --reason \"...\""));
    }
    if doc.parked && doc.may_abort {
        ask(format!("  pointsman abort {run} --reason \"...\"    takes back what this run changed"));
    }
    if doc.parked {
        ask(format!("  pointsman close {run} --reason \"...\"    ends it as it stands"));
    }
    if doc.parked && !doc.by_hand.is_empty() {
        lines.push("Where it stands, and how it is done by hand:".to_owned());
        lines.extend(by_hand(doc));
    }
    lines
}

/// Commands to paste stay indented below the sentence that they belong to.
fn by_hand(doc: &RunDoc) -> impl Iterator<Item = String> + '_ {
    doc.by_hand.iter().map(|deed| format!("  {}", harmless(deed).trim_end()))
}

/// What changed since `before`, one line each, for places that cannot be drawn over.
pub fn changes(before: Option<&RunDoc>, doc: &RunDoc, now: Time, look: &Look) -> Vec<String> {
    let mut happened: Vec<(Time, String)> = vec![];
    let numbered = doc.steps().map(|(n, item)| (Some(n), item));
    let guards = doc.items.iter().filter(|i| i.role == ItemRole::Guard).map(|item| (None, item));
    for (number, item) in guards.chain(numbered) {
        let old = before.and_then(|b| b.items.iter().find(|o| o.item == item.item));
        let same = match old {
            Some(old) => (old.phase, old.attempts) == (item.phase, item.attempts),
            None => item.phase == ItemPhase::Idle,
        };
        let began = item.began.filter(|_| item.phase == ItemPhase::InFlight);
        let at = item.ended.or(began).unwrap_or(doc.summary.updated);
        if !same {
            happened.push((at, one_line(number, item, now, look)));
        }
    }
    let standing = |d: &RunDoc| (d.summary.state.clone(), d.summary.says.clone(), d.summary.outcome);
    if before.map(standing) != Some(standing(doc)) {
        let (word, paint) = state(&doc.summary);
        let word = look.paint(paint, &clean(&word).to_uppercase());
        happened.push((doc.summary.updated, format!("{word}  {}", clean(&doc.summary.says))));
    }
    happened.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> =
        happened.into_iter().map(|(at, line)| format!("{}  {line}", look.exact_time(at))).collect();
    let asks = what_next(doc, look);
    if before.map(|b| what_next(b, look)).unwrap_or_default() != asks {
        lines.extend(asks);
    }
    lines
}

fn one_line(number: Option<usize>, item: &ItemDoc, now: Time, look: &Look) -> String {
    let mut table = Table::new(0);
    let cells: Vec<Cell> = row(number, item, now).into_iter().filter(|cell| !cell.is_empty()).collect();
    table.row(cells);
    table.lines(&Look { aligned: true, ..look.clone() }).join("")
}

/// How it ended: recovery time by phase, what may be lost, and what is left to people.
pub fn ending(doc: &RunDoc, look: &Look) -> Vec<String> {
    let mut lines = vec![];
    let Some(outcome) = &doc.outcome else { return lines };
    let (_, paint) = state(&doc.summary);
    let says = doc.end.as_ref().unwrap_or(&doc.summary.says);
    let words = format!("{}   {says}", outcome.to_uppercase());
    lines.push(look.paint(paint, &clean(&words)));
    let mut table = Table::new(0);
    if !doc.rto.is_empty() {
        let phases: Vec<String> =
            doc.rto.iter().map(|(phase, micros)| format!("{phase} {}", Span(*micros))).collect();
        let total = match (outcome.as_str(), doc.alert_started) {
            ("succeeded", Some(began)) => ended(doc).since(began).to_string(),
            ("succeeded", None) => ended(doc).since(doc.summary.opened).to_string(),
            ("unchanged", _) => "nothing had to be done".to_owned(),
            _ => "not recovered by this run".to_owned(),
        };
        table.row([cell("RTO").paint(Paint::Strong), cell(total), cell(phases.join(", "))]);
    }
    if let Some(rpo) = &doc.rpo {
        let bytes = rpo.bytes.map_or_else(|| "not known".to_owned(), crate::units::show_bytes);
        let safe =
            rpo.last_safe.map(|at| format!("safe up to {}; ", look.record_time(at))).unwrap_or_default();
        table.row([cell("RPO").paint(Paint::Strong), cell(bytes), cell(format!("{safe}{}", rpo.says))]);
    } else if outcome == "succeeded" {
        table.row([cell("RPO").paint(Paint::Strong), cell("not measured")]);
    }
    lines.extend(table.lines(look));
    if !doc.by_hand.is_empty() {
        lines.push("Left to do by hand:".to_owned());
        lines.extend(by_hand(doc));
    }
    lines
}
