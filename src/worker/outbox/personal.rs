//! Links that decide, to each person who may, where the playbook takes a word by link. One reader for all of them: each message
//! is tried until the approval is over, and none waits for another. At least once: a crash sends a further link, and all
//! links of one person for one plan are good for one word together.

use super::load::{Stood, stood};
use super::{App, PATIENCE};
use crate::config::Reach;
use crate::kernel::domain::{Actor, Digest, Name, Position, Record, Span, Stamped, Stream, Time, Via, Way};
use crate::kernel::engine::{Consent, Run};
use crate::notify::{Delivery, Notice, open_personal};
use crate::store::PersonalLink;
use crate::worker::Caller;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// What `status`, metrics and the cursor call it.
pub const LINKS: &str = "links to people";
const PAGE: u32 = 200;
/// Messages on their way at the same time; further questions wait in the journal.
const AT_ONCE: usize = 256;
const FIRST_PAUSE: Span = Span::millis(500);
const LONGEST_PAUSE: Span = Span::secs(30);
const LOOK: Span = Span::secs(1);
/// Records without a question, until the position is kept all the same.
const STRIDE: Position = 1_000;

/// `serve` runs it until `stop`.
pub async fn send_links(app: Arc<App>, from: Position, stop: CancellationToken) {
    let mut bell = app.store.follow();
    let mut post = Post {
        app: app.clone(),
        tasks: JoinSet::new(),
        open: BTreeMap::new(),
        trouble: Arc::default(),
        read_to: from,
        kept: from,
    };
    while !stop.is_cancelled() {
        bell.mark_unchanged();
        if let Err(error) = post.fill().await {
            tracing::warn!(%error, "the journal cannot be read for links to people now");
        }
        post.keep();
        let wake = app.world.now() + LOOK;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = post.tasks.join_next_with_id(), if !post.tasks.is_empty() => post.ended(&ended),
            _ = bell.changed() => {}
            () = app.world.sleep_until(wake) => {}
        }
    }
}

/// Who is not reached by which way, since when, and why.
#[derive(Default)]
struct Trouble(Mutex<BTreeMap<String, (Time, String)>>);

impl Trouble {
    /// What of it stands, after this try.
    fn note(&self, whom: String, failed: Option<(Time, String)>) -> Option<(Time, String)> {
        let mut all = self.0.lock().expect("invariant: no panic while holding the lock");
        match failed {
            Some((at, says)) => {
                let since = all.get(&whom).map_or(at, |(since, _)| *since);
                all.insert(whom, (since, says));
            }
            None => drop(all.remove(&whom)),
        }
        let (whom, (since, says)) = all.iter().min_by_key(|(_, (since, _))| *since)?;
        Some((*since, format!("{whom}: {says}")))
    }
}

struct Post {
    app: Arc<App>,
    tasks: JoinSet<()>,
    /// The record behind each message on its way.
    open: BTreeMap<Id, Position>,
    trouble: Arc<Trouble>,
    read_to: Position,
    kept: Position,
}

impl Post {
    async fn fill(&mut self) -> Result<(), String> {
        while self.tasks.len() < AT_ONCE {
            let records = self.app.journal.scan(self.read_to + 1, PAGE).await.map_err(|e| e.to_string())?;
            if records.is_empty() {
                break;
            }
            for stamped in records {
                self.look_at(&stamped).await?;
                self.read_to = stamped.position;
            }
        }
        let waiting = self.tasks.len();
        self.app.channels.set(&LINKS.into(), |state| state.waiting = waiting);
        Ok(())
    }

    async fn look_at(&mut self, stamped: &Stamped) -> Result<(), String> {
        let Record::Asked { digest, item: None, until: Some(until), .. } = &stamped.record else {
            return Ok(());
        };
        if self.app.world.now() >= *until {
            return Ok(());
        }
        let Some(stood) = stood(&self.app, &stamped.stream, stamped.position).await? else { return Ok(()) };
        let Some(run) = stood.run.as_ref().filter(|run| run.spec.approval.allows(Way::Link)) else {
            return Ok(());
        };
        let all = self.app.config.people.keys();
        let asked: Vec<Name> = all.filter(|name| is_asked(&self.app, run, name)).cloned().collect();
        let stood = Arc::new(stood);
        for person in asked {
            let found = self.app.config.people.get(&person).map(|found| self.app.config.reach(found));
            for reach in found.unwrap_or_default() {
                let letter = Letter {
                    app: self.app.clone(),
                    trouble: self.trouble.clone(),
                    stood: stood.clone(),
                    stream: stamped.stream.clone(),
                    person: person.clone(),
                    digest: *digest,
                    until: *until,
                    reach,
                };
                let task = self.tasks.spawn(letter.send());
                self.open.insert(task.id(), stamped.position);
            }
        }
        Ok(())
    }

    fn ended(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(%error, "a link to a person could not be put into words");
                error.id()
            }
        };
        if let Some(position) = self.open.remove(&id) {
            let oldest = self.open.values().min().copied();
            self.keep_to(oldest.map_or(self.read_to.max(position), |oldest| oldest - 1));
        }
    }

    /// Long stretches without a question are not read again after a start.
    fn keep(&mut self) {
        if self.open.is_empty() && self.read_to >= self.kept + STRIDE {
            self.keep_to(self.read_to);
        }
    }

    fn keep_to(&mut self, position: Position) {
        if position > self.kept {
            self.kept = position;
            self.app.store.put_notice_cursor(&LINKS.into(), position);
        }
    }
}

/// Those who may say yes by link; not who asked for the run, unless the playbook lets them.
fn is_asked(app: &App, run: &Run, name: &Name) -> bool {
    let by = Caller::of_person(name, &app.config, Via::Link).map(|caller| caller.on(&run.spec.service));
    let own = |by: &Actor| run.is_requester(by) && run.spec.approval.not_requester;
    by.is_some_and(|by| run.may_approve(&by).is_ok() && !own(&by))
}

/// One question to one person by one way.
struct Letter {
    app: Arc<App>,
    trouble: Arc<Trouble>,
    stood: Arc<Stood>,
    stream: Stream,
    person: Name,
    digest: Digest,
    until: Time,
    reach: Reach,
}

impl Letter {
    /// Until it arrived, or nobody can use it any more.
    async fn send(self) {
        let notice = match self.notice().await {
            Ok(Some(notice)) => notice,
            Ok(None) => return,
            Err(error) => {
                return tracing::error!(person = %self.person, %error, "no link could be made for a person");
            }
        };
        let channel = open_personal(&self.reach, &self.app.tools());
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = tokio::time::timeout(PATIENCE, channel.deliver(&notice)).await;
            let delivery = tried.unwrap_or_else(|_| Delivery::unreachable("it did not answer in time"));
            self.tell(&delivery);
            let Delivery::Failed { after, .. } = delivery else { return };
            let again = self.app.world.now() + after.unwrap_or(pause);
            if again >= self.until || !self.still_asked().await {
                return;
            }
            pause = Span(pause.0 * 2).min(LONGEST_PAUSE);
            self.app.world.sleep_until(again).await;
        }
    }

    async fn notice(&self) -> Result<Option<Notice>, String> {
        let Stream::Run(run) = &self.stream else { return Ok(None) };
        let link = PersonalLink {
            hash: Digest::ZERO,
            person: self.person.clone(),
            run: run.clone(),
            digest: self.digest,
            created: self.app.world.now(),
            expires: self.until,
        };
        let secret = self.app.store.make_link(link).await.map_err(|e| e.to_string())?;
        let base = self.app.config.web.url.as_deref().unwrap_or_default();
        let notice = self.stood.notice(&self.app, Some(format!("{base}/links/{}", secret.expose())));
        Ok(notice.map(|notice| {
            // Another mail than that to everybody: else a mailbox that gets both shows one of them.
            let whom = Digest::of(format!("{}\n{}", self.person, self.reach.carrier().as_str()).as_bytes());
            let id = format!("{}-{}", notice.id, whom.to_string().get(..12).unwrap_or_default());
            let mut lines = notice.lines;
            let only = "The link is yours alone, for one word about this plan. Whoever has it can decide in your name.";
            lines.push(only.to_owned());
            Notice { id, lines, ..notice }
        }))
    }

    /// Nobody wants to be woken for what is decided.
    async fn still_asked(&self) -> bool {
        let Stream::Run(run) = &self.stream else { return false };
        match self.app.run(run).await {
            Ok(Some(run)) => matches!(&run.consent, Consent::Asked { digest, .. } if *digest == self.digest),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn tell(&self, delivery: &Delivery) {
        let (name, now) = (Name::from(LINKS), self.app.world.now());
        let way = self.reach.carrier().as_str();
        let (end, failed) = match delivery {
            Delivery::Done => ("told", None),
            Delivery::Refused(says) => {
                tracing::error!(person = %self.person, way, %says, "a link to a person was GIVEN UP; they can still sign in");
                ("given_up", Some((now, says.clone())))
            }
            Delivery::Failed { says, .. } => {
                tracing::warn!(person = %self.person, way, %says, "a link to a person is not delivered, and is tried again");
                ("failed", Some((now, says.clone())))
            }
        };
        let stands = self.trouble.note(format!("{} by {way}", self.person), failed);
        self.app.metrics.notice(&name, end);
        self.app.channels.set(&name, |state| {
            if *delivery == Delivery::Done {
                (state.told, state.last) = (state.told + 1, Some(now));
            }
            state.skipped += u64::from(end == "given_up");
            (state.failing_since, state.says) =
                stands.map_or((None, None), |(at, says)| (Some(at), Some(says)));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_is_reached_hides_nobody_who_is_not() {
        let trouble = Trouble::default();
        let eve = || "eve by email".to_owned();
        let first = trouble.note(eve(), Some((Time(1), "away".into())));
        assert_eq!(first, Some((Time(1), "eve by email: away".to_owned())));
        assert_eq!(trouble.note("bo by slack".into(), None), first);
        let still = trouble.note(eve(), Some((Time(9), "refused".into())));
        assert_eq!(still, Some((Time(1), "eve by email: refused".to_owned())), "since the first time");
        assert_eq!(trouble.note(eve(), None), None);
    }
}
