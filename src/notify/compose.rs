//! One record as a notice: a title that can be read on a locked phone, the sentence of the journal, what a decision needs,
//! and what to type. The outbox calls [`compose`] with the run as it stood then.

use super::notice::{Question, key, matter};
use super::plain::plain;
use super::{Notice, Pull, over, words};
use crate::kernel::domain::{
    FenceWatchState, Outcome, PlanLine, Record, Rpo, RunId, Stamped, Stream, Told, Way, WindowState,
};
use crate::kernel::engine::tell::tell;
use crate::kernel::engine::{Consent, Run};

/// Changes named one by one; further ones are counted.
const CHANGES: usize = 12;
const BY_HAND: usize = 20;

/// What the record's run was when it was written.
pub struct Scene<'a> {
    /// The journal's own name: ids of two instances never meet.
    pub journal: &'a str,
    /// Folded up to the record.
    pub run: Option<&'a Run>,
    /// The run's records before it.
    pub before: &'a [Stamped],
    pub link: Option<String>,
    /// Earlier runs of the service whose end raised somebody, if the record says that this is over.
    pub raised: &'a [RunId],
}

/// `None`: not told.
pub fn compose(stamped: &Stamped, scene: &Scene<'_>) -> Option<Notice> {
    let run = scene.run;
    let alert = run.is_some_and(|run| super::notice::by_alert(&run.spec.cause));
    let Stamped { stream, record, position, .. } = stamped;
    let matter = matter(stream, record, alert)?;
    let pull = over::pull(stamped, scene.before, matter.pull);
    let subject = match (run, stream) {
        (Some(run), _) => run.spec.service.to_string(),
        (None, Stream::Service(name)) => name.to_string(),
        _ => "Pointsman".to_owned(),
    };
    let key = key(stream, record, *position);
    let lines = lines(stamped, run).iter().map(|line| plain(line)).filter(|l| !l.is_empty()).collect();
    Some(Notice {
        id: format!("{}-{position}", scene.journal),
        position: *position,
        at: stamped.at,
        topic: matter.topic,
        pull,
        again: pull == Pull::Raise && in_hand(&key, scene.before, alert),
        key: format!("pointsman/{}/{key}", scene.journal),
        also: over::also(stamped, scene.before, scene.raised)
            .into_iter()
            .map(|key| format!("pointsman/{}/{key}", scene.journal))
            .collect(),
        thread: format!("{}-{}", scene.journal, thread(stream)),
        run: run.map(|run| run.id().clone()),
        service: run.map(|run| run.spec.service.clone()).or_else(|| of_service(stream)),
        outcome: run.and_then(|run| run.finished),
        title: plain(&format!("{subject}: {}", title(record, run))),
        lines,
        next: next(record, run).iter().map(|line| plain(line)).collect(),
        question: run.and_then(question),
        asks: matches!(record, Record::Asked { item: None, .. }),
        link: scene.link.clone().filter(|_| matches!(record, Record::Asked { .. } | Record::Parked { .. })),
    })
}

fn question(run: &Run) -> Option<Question> {
    let Consent::Asked { digest, .. } = &run.consent else { return None };
    let spec = &run.spec;
    (run.finished.is_none()).then(|| Question {
        digest: *digest,
        service: spec.service.clone(),
        from: spec.from.clone(),
        to: spec.to.clone(),
        by_slack: spec.approval.allows(Way::Slack),
    })
}

fn of_service(stream: &Stream) -> Option<crate::kernel::domain::Name> {
    match stream {
        Stream::Service(name) => Some(name.clone()),
        _ => None,
    }
}

/// Letters that may stand in a mail's id.
fn thread(stream: &Stream) -> String {
    stream.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect()
}

/// A pager tells nobody of what is raised again while it is in hand: it has to be let go first.
fn in_hand(of: &str, before: &[Stamped], alert: bool) -> bool {
    let pulls = before.iter().filter(|s| key(&s.stream, &s.record, s.position) == of);
    let pulls = pulls.filter_map(|s| matter(&s.stream, &s.record, alert)).map(|matter| matter.pull);
    pulls.rev().find(|pull| *pull != Pull::Tell) == Some(Pull::Take)
}

fn title(record: &Record, run: Option<&Run>) -> String {
    let what = run.map_or_else(
        || "run".to_owned(),
        |run| format!("{} {} -> {}", words::kind(run.spec.kind), run.spec.from, run.spec.to),
    );
    match record {
        Record::Opened(_) => format!("{what} begins"),
        Record::Taken { .. } => format!("{what} goes on after a restart"),
        Record::Undoing { .. } => format!("{what} is taken back"),
        Record::Asked { item: Some(_), .. } => format!("{what} waits for a step by hand"),
        Record::Asked { level: 0, .. } => format!("approve {what}?"),
        Record::Asked { level, .. } => format!("NOBODY DECIDED, asked again ({level}): approve {what}?"),
        Record::Decided { yes: true, by, solo: true, .. } => format!("{by} approved {what} ALONE"),
        Record::Decided { yes: true, by, accept_unfenced, .. } if !accept_unfenced.is_empty() => {
            format!("{by} accepts an UNPROVEN FENCE for {what}")
        }
        Record::Decided { yes: true, by, .. } => format!("{by} approved {what}"),
        Record::Decided { yes: false, by, .. } => format!("{by} rejected {what}"),
        Record::Passed { by, .. } => format!("{by} hands {what} on to others"),
        Record::Told { what: Told::Resolved, .. } => format!("the alert behind {what} is resolved"),
        Record::Told { by, .. } => format!("{by} on {what}"),
        Record::Held { .. } => "held for now".to_owned(),
        Record::Parked { doubt: true, .. } => {
            format!("STOPPED, and not known whether a change took effect: {what}")
        }
        Record::Parked { .. } => format!("STOPPED, a person is needed: {what}"),
        Record::Finished { outcome, .. } => format!("{what}: {}", end(*outcome)),
        Record::FenceWatch { target, state, .. } => match state {
            FenceWatchState::SeenWritable => format!("ALARM: old primary {target} accepts writes again"),
            FenceWatchState::Watching => format!("old primary {target} is watched"),
            FenceWatchState::SeenAsStandby => format!("old primary {target} is a standby now"),
            FenceWatchState::Closed => format!("old primary {target} is no longer watched"),
        },
        Record::CommitWindow { state, .. } => match state {
            WindowState::Drifted => format!("ALARM: what {what} left has drifted"),
            WindowState::Back => format!("what {what} left is back"),
            WindowState::Over => format!("{what} is settled"),
        },
        Record::BreakerTripped { .. } => "STORM: nothing starts by itself until a person looks".to_owned(),
        Record::SignedIn { person, .. } => format!("{person} signed in by a RECOVERY CODE"),
        other => first_words(&tell(other, None)),
    }
}

/// The part before the reasons.
fn first_words(says: &str) -> String {
    says.split_once(": ").map_or(says, |(first, _)| first).to_owned()
}

fn end(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "done and verified",
        Outcome::Unchanged => "nothing was to be done",
        Outcome::Refused => "REFUSED, nothing was changed",
        Outcome::Cancelled => "cancelled, nothing was changed",
        Outcome::Failed => "FAILED, nothing was changed",
        Outcome::Partial => "PARTLY DONE, a person is needed",
        Outcome::Undone => "FAILED, changes are taken back and verified",
        Outcome::Unknown => "END NOT KNOWN, a person is needed",
    }
}

fn lines(stamped: &Stamped, run: Option<&Run>) -> Vec<String> {
    let mut lines = vec![tell(&stamped.record, run.map(|run| &*run.spec))];
    let Some(run) = run else { return lines };
    match &stamped.record {
        Record::Asked { item: None, until, .. } => lines.extend(asked(run, *until)),
        Record::Opened(spec) => lines.push(words::cause_of(&spec.cause)),
        Record::Finished { rto, rpo, why, by_hand, .. } => {
            lines.extend(why.iter().map(|reason| format!("{} ({})", reason.says, reason.code)));
            let took = rto.iter().map(|(phase, span)| format!("{} {span}", phase.as_str()));
            let took: Vec<String> = took.collect();
            if !took.is_empty() {
                lines.push(format!("Time: {}", took.join(", ")));
            }
            lines.extend(rpo.iter().map(|Rpo { says, .. }| format!("Data: {says}")));
            lines.extend(by_hand.iter().take(BY_HAND).map(|deed| format!("Left to a person: {deed}")));
        }
        _ => {}
    }
    lines.push(format!("Run {} of playbook {}.", run.id(), run.spec.playbook));
    lines
}

/// Why, what it does, what may be lost, and what happens if nobody does anything.
fn asked(run: &Run, until: Option<crate::kernel::domain::Time>) -> Vec<String> {
    let plan = words::lines(run);
    let mut lines: Vec<String> =
        words::why(&run.spec.cause, plan).into_iter().map(|why| format!("Why: {why}")).collect();
    let changes: Vec<&PlanLine> = plan.iter().filter(|line| words::changes(line)).collect();
    for line in changes.iter().take(CHANGES) {
        let no_undo = if line.no_undo { "  NO UNDO" } else { "" };
        lines.push(format!("Does: {} [{}]: {} -> {}{no_undo}", line.name, line.target, line.now, line.after));
    }
    if changes.len() > CHANGES {
        lines.push(format!("Does: and {} more", changes.len() - CHANGES));
    }
    lines.extend(words::lose(run).into_iter().map(|lose| format!("May be lost: {lose}")));
    let need = run.spec.approval.need;
    if need > 1 {
        lines.push(format!("It takes {need} people."));
    }
    if let Some(until) = until {
        lines.push(format!(
            "Until: {}. {}",
            words::of_day(until),
            words::nothing(run, &words::of_day(until))
        ));
    }
    lines
}

fn next(record: &Record, run: Option<&Run>) -> Vec<String> {
    if let Record::Readiness { playbook, ready: false, .. } = record {
        return vec![format!("pointsman ready {playbook}")];
    }
    if let Record::Heartbeat { silent: true, .. } = record {
        return vec!["pointsman ready".to_owned()];
    }
    let Some(run) = run else { return vec![] };
    let id = run.id();
    match record {
        Record::Asked { item: None, .. } => vec![
            format!("pointsman approve {id} --reason TEXT"),
            format!("pointsman reject {id} --reason TEXT"),
            format!("pointsman pass {id}"),
        ],
        Record::Asked { .. } => vec![format!("pointsman watch {id}"), format!("pointsman confirm {id}")],
        Record::Parked { .. } => {
            vec![format!("pointsman watch {id}"), format!("pointsman retry {id} --reason TEXT")]
        }
        Record::Finished { outcome: Outcome::Succeeded | Outcome::Unchanged, .. } => vec![],
        Record::Finished { .. } => vec![format!("pointsman why {id}")],
        Record::FenceWatch { state: FenceWatchState::SeenWritable, .. } => {
            vec!["pointsman status".to_owned()]
        }
        _ => vec![],
    }
}
