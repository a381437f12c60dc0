//! An alert that must be confirmed for a while before it may start anything: looked at again and again, and any
//! doubt begins the hold-down anew.

use super::{Looked, Triage, UNCONFIRMED, cause};
use crate::kernel::domain::{OccurrenceId, Reason, Span};
use crate::playbook::Playbook;
use crate::worker::confirm::{Confirmed, confirm};
use crate::worker::occurrence::{Confirming, Open, State, longest_pause, pace, verdict};

impl Triage {
    pub(super) async fn begin_confirming(
        &mut self,
        open: &Open,
        chosen: &Playbook,
        hold: Span,
        again: bool,
    ) -> anyhow::Result<()> {
        self.name_service(&open.id, &chosen.service);
        let now = self.app.world.now();
        let says = match (again, hold) {
            (true, Span::ZERO) => format!("{} was held; its alert is looked at again first", chosen.name),
            (true, hold) => format!("{} was held; its alert must be confirmed again for {hold}", chosen.name),
            (false, hold) => format!("{} must be confirmed for {hold} before it starts", chosen.name),
        };
        let why = vec![Reason::new("PM5403", says)];
        self.hold(open, &chosen.service, &chosen.name, why, now + hold).await?;
        let confirming = Confirming {
            playbook: chosen.name.clone(),
            form: chosen.digest,
            since: now,
            begun: now,
            hold,
            give_up: now + chosen.unconfirmed_after.unwrap_or(UNCONFIRMED).max(hold),
            next_look: now,
            last_yes: now,
            looking: false,
            last: String::new(),
            again,
        };
        self.set(&open.id, State::Confirming(confirming));
        Ok(())
    }

    /// Starts one look in the background; a slow source must not hold up other alerts.
    pub(super) async fn look(&mut self, open: &Open, confirming: &Confirming) -> anyhow::Result<()> {
        let app = self.app.clone();
        let (id, labels, source) = (open.id.clone(), open.labels.clone(), open.source.to_string());
        let playbooks = app.playbooks();
        let found = playbooks.active().find(|(_, p)| p.name == confirming.playbook).map(|(_, p)| p);
        if found.is_some_and(|p| p.digest != confirming.form) {
            return self.anew(open).await;
        }
        let resolved = found.map(|p| app.resolve(p, cause(open), Some(&open.alert)));
        let spec = match resolved {
            Some(Ok(spec)) => spec,
            Some(Err(problems)) => {
                let says = format!("it cannot be resolved for this alert: {}", problems.join("; "));
                let why = vec![verdict(&confirming.playbook, true, "PM5407", says)];
                return self.not_started(&open.id, why, None).await;
            }
            None => {
                let why = vec![verdict(&confirming.playbook, false, "PM5401", "it is not active any more")];
                return self.not_started(&open.id, why, None).await;
            }
        };
        let now = app.world.now();
        self.set(
            &open.id,
            State::Confirming(Confirming { looking: true, next_look: now, ..confirming.clone() }),
        );
        self.looks.spawn(async move {
            let seen = confirm(&app, &spec, &labels, &source, Span::secs(5)).await;
            Looked::Confirmed(id, seen)
        });
        Ok(())
    }

    pub(super) async fn on_confirmed(&mut self, id: &OccurrenceId, seen: Confirmed) -> anyhow::Result<()> {
        let Some(open) = self.open.get(id).cloned() else { return Ok(()) };
        let State::Confirming(mut c) = open.state.clone() else { return Ok(()) };
        let now = self.app.world.now();
        c.looking = false;
        c.next_look = (now + pace(c.hold)).min((c.since + c.hold).max(now + Span::millis(200)));
        if matches!(seen, Confirmed::Yes) {
            if now.since(c.last_yes) > longest_pause(c.hold) {
                c.since = now;
            }
            c.last_yes = now;
        }
        // First: whatever cannot be written down below is looked at, and tried, again.
        self.set(id, State::Confirming(c.clone()));
        match seen {
            Confirmed::Yes if now >= c.since + c.hold => return self.confirmed(&open, &c).await,
            Confirmed::Yes => {}
            // It never had to be confirmed, and nobody says that it is over: the run itself looks at everything again.
            Confirmed::Unknown(_) if c.again && c.hold == Span::ZERO => {
                return self.confirmed(&open, &c).await;
            }
            Confirmed::No(why) => {
                let says = format!("not confirmed for {}: after {} {why}", c.hold, now.since(c.begun));
                return self.not_started(id, vec![verdict(&c.playbook, true, "PM5405", says)], None).await;
            }
            Confirmed::Unknown(why) => {
                c.since = now;
                c.last = why;
            }
        }
        if now > c.give_up {
            let says = format!("it could not be confirmed within {}: {}", now.since(c.begun), c.last);
            return self.not_started(id, vec![verdict(&c.playbook, true, "PM5406", says)], None).await;
        }
        self.set(id, State::Confirming(c));
        Ok(())
    }

    /// The playbook has another form by now. It may not want this alert at all, or want it confirmed for longer.
    async fn anew(&mut self, open: &Open) -> anyhow::Result<()> {
        let open = Open { state: State::New, ..open.clone() };
        self.set(&open.id, State::New);
        // A future of its own: deciding may begin to confirm, and that is how one comes here.
        Box::pin(self.decide(&open)).await
    }

    async fn confirmed(&mut self, open: &Open, c: &Confirming) -> anyhow::Result<()> {
        let app = self.app.clone();
        let playbooks = app.playbooks();
        let found = playbooks.active().find(|(_, p)| p.name == c.playbook).map(|(_, p)| p);
        match found {
            Some(found) if found.digest != c.form => self.anew(open).await,
            Some(found) => self.start(open, found, c.hold).await,
            None => {
                let why = vec![verdict(&c.playbook, false, "PM5401", "it is not active any more")];
                self.not_started(&open.id, why, None).await
            }
        }
    }
}
