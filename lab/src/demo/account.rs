//! The reckoning after the story: how long, how much was lost by two independent counts, whether the journal
//! verifies, and whether there was ever a second writer.

use serde_json::Value;

use super::event::Kill;
use super::goals::Goals;
use super::screen::Screen;
use super::stage::{MACHINE, Stage};
use crate::{Checker, Site, orders};

const PHASES: [(&str, &str); 7] = [
    ("detect", "from the alert's start to its delivery"),
    ("decide", "to the first change: confirming, guards, plan"),
    ("fence", "the old primary is stopped and masked"),
    ("promote", "the standby is the primary"),
    ("config", "the shop is pointed at it and restarted"),
    ("verify", "writes and pages are proven"),
    ("dns", "the name moved at every authoritative server"),
];

/// Prints the reckoning; gives each claim that it checked.
pub async fn settle(
    stage: &Stage,
    screen: &Screen,
    kill: &Kill,
    goals: &Goals,
    checker: &Checker,
) -> anyhow::Result<Vec<(String, bool)>> {
    let body = goals.finished.as_ref().map_or(Value::Null, |(_, body)| body.clone());
    let mut claims = vec![recovery(screen, kill, goals, &body, stage.patience())];
    claims.push(loss(stage, screen, kill, &body).await?);
    claims.push(machine(stage, screen).await?);
    claims.push(writers(screen, checker));
    claims.push(journal(stage, screen).await);
    Ok(claims)
}

fn recovery(screen: &Screen, kill: &Kill, goals: &Goals, body: &Value, patience: &str) -> (String, bool) {
    screen.heading("Recovery time");
    let before =
        goals.alert.map_or_else(|| "    not known".into(), |at| format!("{:>9.3} s", kill.seconds(at)));
    screen.row("before", &format!("{before}   from the kill to the alert: {patience}"));
    let measured = body["rto"].as_array().cloned().unwrap_or_default();
    let of = |phase: &str| measured.iter().find(|pair| pair[0] == phase).and_then(|pair| pair[1].as_u64());
    for (phase, words) in PHASES {
        let time =
            of(phase).map_or_else(|| "    not known".to_owned(), |us| format!("{:>9.3} s", us as f64 / 1e6));
        screen.row(phase, &format!("{time}   {words}"));
    }
    let served = goals.served.map(|at| kill.seconds(at));
    let words = served.map_or_else(
        || "the application never wrote again".to_owned(),
        |s| format!("{s:>9.3} s   from the kill to the first served write, as the application saw it"),
    );
    screen.row("served", &words);
    let whole = PHASES.iter().all(|(phase, _)| of(phase).is_some());
    ("the recovery time is known in all 7 phases".to_owned(), whole && served.is_some())
}

/// Pointsman's bound against the application's own count. An order that was lost must have been acknowledged after
/// the time up to which Pointsman says that nothing is.
async fn loss(stage: &Stage, screen: &Screen, kill: &Kill, body: &Value) -> anyhow::Result<(String, bool)> {
    screen.heading("Data");
    let rpo = &body["rpo"];
    let bytes = rpo["bytes"].as_u64();
    let known = bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes"));
    screen.row("Pointsman", &format!("{known}: {}", rpo["says"].as_str().unwrap_or("it says nothing")));
    let lost = stage.lab.lost_orders(Site::Sbg).await?;
    let before = orders::acknowledged(stage.lab.apps())?;
    let before = before.iter().filter(|order| order.acked_at_micros <= kill.gone).count();
    let words =
        format!("{before} orders were acknowledged before the outage; {} of them are lost", lost.len());
    screen.row("the shop", &words);
    let safe = rpo["last_safe"].as_i64();
    if let (Some(first), Some(safe)) = (lost.first(), safe) {
        let after = (first.acked_at_micros - safe) as f64 / 1e6;
        screen.row(
            "",
            &format!("the earliest of those was acknowledged {after:.3} s after the last safe time"),
        );
    }
    let early = lost.iter().filter(|order| safe.is_none_or(|safe| order.acked_at_micros <= safe)).count();
    if early > 0 {
        screen.row("", &format!("{early} of those were promised to be safe"));
    }
    let holds = bytes.is_some() && safe.is_some() && before > 0 && early == 0;
    Ok(("the loss is known in bytes and in orders, and the counts agree".to_owned(), holds))
}

/// The machine's own word, not Pointsman's.
async fn machine(stage: &Stage, screen: &Screen) -> anyhow::Result<(String, bool)> {
    let answer = stage.lab.hosts().ssh(MACHINE, "status").await?;
    let says = answer.stdout.trim().to_owned();
    screen.row("old primary", &says);
    let fenced = says.contains("stopped, masked");
    Ok(("the old primary is stopped and masked at the end".to_owned(), fenced))
}

/// A client of its own tried to write to both servers all the time.
fn writers(screen: &Screen, checker: &Checker) -> (String, bool) {
    let [gra, sbg] = checker.attempts();
    let verdict = checker.assert_never_two_writers();
    let words = match &verdict {
        Ok(accepted) => {
            format!("never two at a time: {accepted} writes accepted of {gra} tried in gra, {sbg} in sbg")
        }
        Err(error) => format!("{error:#}"),
    };
    screen.row("writers", &words);
    let good = verdict.is_ok_and(|accepted| accepted > 0) && gra > 0 && sbg > 0;
    ("there were never two writable primaries".to_owned(), good)
}

async fn journal(stage: &Stage, screen: &Screen) -> (String, bool) {
    screen.heading("Journal");
    let verified = stage.pointsman.verify().await;
    let good = verified.is_ok();
    let words = verified.unwrap_or_else(|error| format!("DOES NOT VERIFY: {error:#}"));
    screen.row("verify", words.trim());
    ("the journal verifies".to_owned(), good)
}
