//! The first walk: what counts still, and where it begins. Memory grows with runs and occurrences, not with records.

use super::{Cut, Held, Kind, LEAST_AGE, RetainError, Terms};
use crate::kernel::domain::{Name, OccurrenceId, Position, Record, RunId, Sealed, Stamped, Stream, Time};
use crate::kernel::engine::{Freeze, Run};
use crate::worker::ahead::own_freeze;
use crate::worker::limits::{Past, Standing, last_change, unseen};
use std::collections::{BTreeMap, HashMap};

/// A run that something may still happen to.
struct Live {
    first: Position,
    run: Run,
}

/// A run to which nothing happens any more.
struct Settled {
    first: Position,
    last: Position,
    past: Past,
}

struct Broken {
    first: Position,
    why: String,
}

/// The journal so far, as a cut sees it.
pub struct Counted {
    terms: Terms,
    first: Option<Position>,
    head: Position,
    aged: Position,
    live: BTreeMap<RunId, Live>,
    settled: BTreeMap<RunId, Settled>,
    broken: BTreeMap<RunId, Broken>,
    /// First record of each open occurrence, its delivery among them.
    open: HashMap<OccurrenceId, Position>,
    /// First and last record of closed ones that began in what is old enough.
    closed: Vec<(Position, Position)>,
    standing: Standing,
    freezes: BTreeMap<Option<Name>, Position>,
    disabled: BTreeMap<Name, Position>,
    /// The instance froze itself, and no person has thawed it since.
    own: Option<(Position, String)>,
    tripped: Option<Position>,
    sealed: Option<Box<Sealed>>,
}

impl Counted {
    pub fn new(terms: Terms) -> Result<Counted, RetainError> {
        if terms.older_than < LEAST_AGE {
            return Err(RetainError::TooYoung(terms.older_than));
        }
        Ok(Counted {
            terms,
            first: None,
            head: 0,
            aged: 0,
            live: BTreeMap::new(),
            settled: BTreeMap::new(),
            broken: BTreeMap::new(),
            open: HashMap::new(),
            closed: vec![],
            standing: Standing::default(),
            freezes: BTreeMap::new(),
            disabled: BTreeMap::new(),
            own: None,
            tripped: None,
            sealed: None,
        })
    }

    /// The next record; the first one may stand anywhere, since a prefix may have gone before.
    pub fn apply(&mut self, stamped: &Stamped) -> Result<(), RetainError> {
        let position = stamped.position;
        if self.first.is_some() && position != self.head + 1 {
            return Err(RetainError::Gap { after: self.head, found: position });
        }
        let first = *self.first.get_or_insert(position);
        // Only while all before it are: a clock that was set back makes nothing old.
        let in_line = position == first || self.aged + 1 == position;
        if in_line && self.terms.now.since(stamped.at) >= self.terms.older_than {
            self.aged = position;
        }
        self.head = position;
        match &stamped.stream {
            Stream::Run(id) => self.of_run(id, stamped),
            Stream::Alerts(_) => self.of_alerts(stamped),
            Stream::Instance => self.of_instance(stamped),
            Stream::Service(_) => self.standing.apply(stamped),
            Stream::Source(_) | Stream::Playbook(_) => {}
        }
        Ok(())
    }

    fn of_run(&mut self, id: &RunId, stamped: &Stamped) {
        if self.broken.contains_key(id) {
            return;
        }
        let position = stamped.position;
        if let Some(settled) = self.settled.remove(id) {
            let why = format!("{} at position {position} comes after its end", stamped.record.kind());
            self.broken.insert(id.clone(), Broken { first: settled.first, why });
            return;
        }
        let (first, folded) = match self.live.remove(id) {
            None => (position, Run::open(stamped)),
            Some(Live { first, mut run }) => (first, run.apply(stamped).map(|()| run)),
        };
        match folded {
            Ok(run) if is_settled(&run) => {
                let past = past(&run);
                self.settled.insert(id.clone(), Settled { first, last: position, past });
            }
            Ok(run) => drop(self.live.insert(id.clone(), Live { first, run })),
            Err(error) => drop(self.broken.insert(id.clone(), Broken { first, why: error.to_string() })),
        }
    }

    fn of_alerts(&mut self, stamped: &Stamped) {
        match &stamped.record {
            Record::OccurrenceOpened { occurrence, delivery, .. } => {
                // A delivery that went with an earlier cut keeps nothing.
                let delivery = (*delivery).max(self.first.unwrap_or(stamped.position));
                self.open.insert(occurrence.clone(), delivery.min(stamped.position));
            }
            Record::OccurrenceClosed { occurrence, .. } => {
                if let Some(first) = self.open.remove(occurrence)
                    && first <= self.aged
                {
                    self.closed.push((first, stamped.position));
                }
            }
            _ => {}
        }
    }

    /// What a run was told of a freeze, in its own stream, begins and ends nothing here.
    fn of_instance(&mut self, stamped: &Stamped) {
        self.standing.apply(stamped);
        let position = stamped.position;
        match &stamped.record {
            Record::Frozen { service, .. } => {
                self.freezes.insert(service.clone(), position);
                if let Some(reason) = own_freeze(&stamped.record) {
                    self.own = Some((position, reason.to_owned()));
                }
            }
            Record::Thawed { service, .. } => {
                self.freezes.remove(service);
                self.own = self.own.take().filter(|_| service.is_some());
            }
            Record::Disabled(disabled) => drop(self.disabled.insert(disabled.playbook.clone(), position)),
            Record::Enabled { playbook, .. } => drop(self.disabled.remove(playbook)),
            Record::BreakerTripped { .. } => self.tripped = Some(position),
            Record::BreakerReset { .. } => self.tripped = None,
            Record::Sealed(sealed) => self.sealed = Some(sealed.clone()),
            _ => {}
        }
    }

    /// The longest prefix of what is old enough in which nothing counts and nothing is half.
    pub fn cut(&self) -> Cut {
        let first = self.first.unwrap_or(1);
        let mut held = self.runs();
        held.extend(self.of_services());
        held.extend(self.open.iter().map(|(id, first)| Held {
            first: *first,
            kind: Kind::Occurrence,
            says: format!("alert {id} is open"),
        }));
        held.extend(self.of_people());
        held.extend(self.readers());
        held.retain(|held| held.first <= self.aged);
        let lowest = held.iter().map(|held| held.first.max(first) - 1).min().unwrap_or(self.aged);
        let last = self.without_halves(lowest.min(self.aged), &mut held);
        held.sort_by(|a, b| (a.first, a.kind, &a.says).cmp(&(b.first, b.kind, &b.says)));
        let before = (last + 1).max(first);
        Cut { first, before, aged: self.aged, held, earlier: self.sealed.clone() }
    }

    /// Lowers the cut until it lies inside of no run and of no occurrence. Those that end last come first: what is
    /// lowered for one of them can only cut into one that ends earlier.
    fn without_halves(&self, mut last: Position, held: &mut Vec<Held>) -> Position {
        let runs = self.settled.iter().map(|(id, run)| (run.last, run.first, Some(id)));
        let alerts = self.closed.iter().map(|(first, end)| (*end, *first, None));
        let mut spans: Vec<_> = runs.chain(alerts).collect();
        spans.sort_unstable_by(|a, b| b.cmp(a));
        for (end, first, run) in spans {
            if end <= last {
                break;
            }
            if first <= last {
                let (kind, what) = match run {
                    Some(id) => (Kind::RunGoesOn, format!("run {id}")),
                    None => (Kind::OccurrenceGoesOn, "an alert".to_owned()),
                };
                let says = format!("the records of {what} reach from position {first} to {end}");
                held.push(Held { first, kind, says });
                last = first - 1;
            }
        }
        last
    }

    fn runs(&self) -> Vec<Held> {
        let mut held = vec![];
        for (id, Live { first, run }) in &self.live {
            let mut hold = |kind, says| held.push(Held { first: *first, kind, says });
            if run.finished.is_none() {
                hold(Kind::OpenRun, format!("run {id} is open"));
            }
            for line in run.watch_lines() {
                hold(Kind::FenceWatch, format!("run {id} still watches {}", line.target));
            }
            if run.window_until().is_some() {
                hold(Kind::CommitWindow, format!("the commit window of run {id} is open"));
            }
        }
        held.extend(self.broken.iter().map(|(id, Broken { first, why })| Held {
            first: *first,
            kind: Kind::BrokenRun,
            says: format!("nobody knows whether run {id} is over: {why}"),
        }));
        held
    }

    /// What limits of automation look back at, by service.
    fn of_services(&self) -> Vec<Held> {
        let mut of: BTreeMap<Name, Vec<(Position, Past)>> = BTreeMap::new();
        let settled = self.settled.values().map(|run| (run.first, run.past.clone()));
        for (first, past) in settled.chain(self.live.values().map(|live| (live.first, past(&live.run)))) {
            of.entry(past.service.clone()).or_default().push((first, past));
        }
        let mut held = vec![];
        for (service, runs) in &of {
            let pasts: Vec<&Past> = runs.iter().map(|(_, past)| past).collect();
            let mut hold = |run: &RunId, kind, says| {
                let first = runs.iter().find(|(_, past)| past.run == *run).map_or(1, |(first, _)| *first);
                held.push(Held { first, kind, says });
            };
            if let Some(run) = unseen(&pasts, self.standing.seen.get(service).copied().flatten()) {
                hold(&run, Kind::Unseen, format!("nobody has acknowledged run {run} of {service}"));
            }
            if let Some((last, ended)) = last_change(&pasts)
                && let Some(says) = self.cooldown(service, ended)
            {
                hold(&last.run, Kind::Cooldown, format!("run {} of {service}: {says}", last.run));
            }
        }
        held
    }

    /// Why the cooldown after this end is not over.
    fn cooldown(&self, service: &Name, ended: Time) -> Option<String> {
        match self.terms.cooldowns.get(service) {
            None => Some("no active playbook says how long its cooldown lasts".to_owned()),
            Some(cooldown) if self.terms.now < ended + *cooldown => {
                Some(format!("its cooldown lasts until {}", ended + *cooldown))
            }
            Some(_) => None,
        }
    }

    /// What only a person ends.
    fn of_people(&self) -> Vec<Held> {
        let mut held = vec![];
        let lasts = |freeze: &&Freeze| freeze.until > self.terms.now;
        for freeze in self.standing.freezes.iter().filter(lasts) {
            let first = self.freezes.get(&freeze.service).copied().unwrap_or(1);
            held.push(Held { first, kind: Kind::Freeze, says: freeze.says() });
        }
        for disabled in self.standing.disabled.iter().filter(|disabled| disabled.until > self.terms.now) {
            let first = self.disabled.get(&disabled.playbook).copied().unwrap_or(1);
            held.push(Held { first, kind: Kind::Disabled, says: disabled.says() });
        }
        if let Some((first, why)) = &self.own {
            held.push(Held { first: *first, kind: Kind::Freeze, says: format!("frozen: {why}") });
        }
        if let Some(why) = &self.terms.frozen {
            held.push(Held {
                first: self.first.unwrap_or(1),
                kind: Kind::Freeze,
                says: format!("frozen: {why}"),
            });
        }
        if let (Some(first), Some(tripped)) = (self.tripped, &self.standing.tripped) {
            held.push(Held { first, kind: Kind::Breaker, says: tripped.reason().says });
        }
        held
    }

    fn readers(&self) -> impl Iterator<Item = Held> {
        self.terms.readers.iter().map(|(name, passed)| Held {
            first: passed.saturating_add(1),
            kind: Kind::Reader,
            says: format!("{name} has read up to position {passed}"),
        })
    }
}

/// Nothing is looked at, and nothing follows.
fn is_settled(run: &Run) -> bool {
    run.finished.is_some() && run.watch_lines().is_empty() && run.window_until().is_none()
}

fn past(run: &Run) -> Past {
    Past {
        run: run.id().clone(),
        service: run.spec.service.clone(),
        automatic: run.spec.is_automatic(),
        changed: run.first_change.is_some(),
        opened: run.opened,
        ended: run.ended,
    }
}
