//! Signed checkpoints for channels that ask for them (`notices = ["checkpoint"]`): where the journal ends, signed, in a place
//! that whoever holds this machine cannot reach. Not a notice of a record: a record of each checkpoint would need a checkpoint
//! of its own. So nothing is queued; the newest covers all before it, and one that could not be told is made anew.

use super::{Errand, Outbox, PATIENCE, ToPeople};
use crate::config::Topic;
use crate::kernel::domain::{Position, Span, Time};
use crate::notify::{Delivery, Notice};
use crate::store::{Checkpoint, StoreError};
use crate::worker::{App, sign_head};

/// Each line in the log is a minute apart; people's mail is not.
const EVERY: Span = Span::mins(60);
const AGAIN: Span = Span::mins(1);

/// When the next one is due, and what the last one covered.
#[derive(Debug)]
pub struct Due {
    at: Time,
    told: Position,
}

impl Default for Due {
    /// With the start: the end that this process found is told first.
    fn default() -> Self {
        Due { at: Time(i64::MIN), told: 0 }
    }
}

impl Due {
    fn is_now(&self, now: Time, head: Position) -> bool {
        now >= self.at && head > self.told
    }
    fn told(&mut self, now: Time, position: Position) {
        (self.at, self.told) = (now + EVERY, position);
    }
    fn failed(&mut self, now: Time) {
        self.at = now + AGAIN;
    }
}

impl Outbox {
    /// While nothing else is to be told. Never from a journal that may not be the one that was signed before.
    pub(super) async fn checkpoint(&mut self) {
        let Errand::People(people) = &mut self.errand else { return };
        let now = self.app.world.now();
        let asked = people.configured.topics.contains(&Topic::Checkpoint);
        if !asked || self.app.frozen().is_some() || !people.signed.is_now(now, self.read_to) {
            return;
        }
        let (told, position) = match made(&self.app).await {
            Ok(checkpoint) => (people.tell(&self.app, &checkpoint).await, checkpoint.position),
            Err(error) => (Delivery::unreachable(error.to_string()), 0),
        };
        match told {
            Delivery::Done => people.signed.told(now, position),
            Delivery::Refused(says) | Delivery::Failed { says, .. } => {
                tracing::warn!(channel = %self.name, %says, "a signed checkpoint could not be told; a newer one is tried soon");
                people.signed.failed(now);
            }
        }
    }
}

impl ToPeople {
    async fn tell(&self, app: &App, checkpoint: &Checkpoint) -> Delivery {
        let journal = app.registry.ports.owner.get().unwrap_or("journal");
        let told = tokio::time::timeout(PATIENCE, self.channel.deliver(&notice(checkpoint, journal))).await;
        told.unwrap_or_else(|_| Delivery::unreachable("it did not answer in time"))
    }
}

/// One that stands alone: whoever keeps it needs no other.
async fn made(app: &App) -> Result<Checkpoint, StoreError> {
    let head = sign_head(app).await?;
    Ok(app.checkpoints.sign(head))
}

fn notice(checkpoint: &Checkpoint, journal: &str) -> Notice {
    let id = format!("{journal}-checkpoint-{}", checkpoint.position);
    let line = serde_json::to_string(checkpoint).expect("invariant: plain data");
    let title = format!("Pointsman: the journal ends at position {}, signed", checkpoint.position);
    let keep = "Keep the next line: it shows later whether the journal is still this one.".to_owned();
    Notice {
        thread: format!("{journal}-checkpoint"),
        position: checkpoint.position,
        topic: Topic::Checkpoint,
        next: vec![
            "pointsman audit verify --data DIR --checkpoints FILE-OF-SUCH-LINES --key checkpoint.pub"
                .to_owned(),
        ],
        ..Notice::by_itself(id, checkpoint.at, title, vec![keep, line])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_with_the_start_then_one_an_hour_and_none_where_nothing_was_written() {
        let (mut due, hour) = (Due::default(), 3_600_000_000);
        assert!(!due.is_now(Time(0), 0) && due.is_now(Time(0), 7));
        due.told(Time(0), 7);
        assert!(!due.is_now(Time(hour), 7) && !due.is_now(Time(hour - 1), 8) && due.is_now(Time(hour), 8));
        due.failed(Time(hour));
        assert!(!due.is_now(Time(hour + 1), 9) && due.is_now(Time(hour + 60_000_000), 9));
    }
}
