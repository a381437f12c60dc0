//! Who this Pointsman is, in the words that it leaves at remotes. One journal is one owner: two Pointsmen with two
//! journals are strangers to each other, and a restored old journal is the same owner with an epoch that has passed.
//!
//! Set once when the server starts; read by actions that leave a claim beside what they change.

use crate::kernel::domain::{Epoch, Name, Reason, RunId};
use crate::kernel::port::Ctx;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A target has seen a newer epoch than this journal knows.
pub const AHEAD: &str = "PM5504";
/// Another Pointsman has claimed the target.
pub const FOREIGN: &str = "PM5505";

/// No journal counts this far; anybody may write a text, and none may exhaust the counter.
const HIGHEST: Epoch = 1 << 40;

/// Empty until the journal is open; then nothing is claimed and nothing is compared.
#[derive(Clone, Debug, Default)]
pub struct Owner(Arc<OnceLock<String>>);

impl Owner {
    /// What this run would leave; `None` where nothing is claimed.
    pub fn claim(&self, ctx: &Ctx, epoch: Epoch) -> Option<Claim> {
        let (owner, service) = (self.get()?.to_owned(), ctx.service.clone());
        Some(Claim { owner, service, epoch, run: ctx.run.clone() })
    }
    pub fn named(id: &str) -> Owner {
        let owner = Owner::default();
        owner.set(id);
        owner
    }
    /// The first word stands.
    pub fn set(&self, id: &str) {
        let _already = self.0.set(id.to_owned());
    }
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// What stands at a remote: `pointsman=1 owner=… service=… epoch=7 run=…`. An epoch belongs to one run only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub owner: String,
    pub service: Name,
    pub epoch: Epoch,
    pub run: RunId,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claim { owner, service, epoch, run } = self;
        write!(f, "pointsman=1 owner={owner} service={service} epoch={epoch} run={run}")
    }
}

impl Claim {
    pub fn parse(text: &str) -> Option<Claim> {
        let mut words = text.split(' ');
        (words.next() == Some("pointsman=1")).then_some(())?;
        let owner = words.next()?.strip_prefix("owner=")?.to_owned();
        let service = words.next()?.strip_prefix("service=")?.into();
        let epoch = words.next()?.strip_prefix("epoch=")?.parse().ok().filter(|epoch| *epoch < HIGHEST)?;
        let run = words.next()?.strip_prefix("run=")?.into();
        words.next().is_none().then_some(Claim { owner, service, epoch, run })
    }

    /// Written later than `mine` could know, by the same journal; epochs of two services count apart.
    pub fn is_ahead_of(&self, mine: &Claim) -> bool {
        let same = self.owner == mine.owner && self.service == mine.service;
        same && (self.epoch > mine.epoch || (self.epoch == mine.epoch && self.run != mine.run))
    }

    /// Why the holder of `mine` may not write where `self` stands.
    pub fn against(&self, mine: &Claim, place: &str) -> Option<Reason> {
        if self.owner != mine.owner {
            let says = format!(
                "{place} is claimed by another Pointsman (owner {}, service {}, epoch {}); this one is {}. Two must \
                 not move the same thing",
                self.owner, self.service, self.epoch, mine.owner
            );
            return Some(Reason::new(FOREIGN, says));
        }
        if self.is_ahead_of(mine) {
            let says = format!(
                "{place} has seen epoch {} of {} (run {}), and this run has epoch {}: a newer run of this Pointsman wrote \
                 it, or this journal was restored from an old backup",
                self.epoch, self.service, self.run, mine.epoch
            );
            return Some(Reason::new(AHEAD, says));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(owner: &str, service: &str, epoch: Epoch) -> Claim {
        Claim {
            owner: owner.into(),
            service: service.into(),
            epoch,
            run: format!("R{epoch}").as_str().into(),
        }
    }

    #[test]
    fn a_claim_reads_back_and_anything_else_is_none() {
        let mine = claim("ab12", "shop", 7);
        assert_eq!(Claim::parse(&mine.to_string()), Some(mine.clone()));
        for text in
            ["", "v=spf1 -all", "pointsman=1 owner=a service=b", &format!("{mine} x"), "pointsman=2 owner=a"]
        {
            assert_eq!(Claim::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_stranger_and_a_newer_epoch_stand_against_a_write() {
        let mine = claim("me", "shop", 7);
        let why = |theirs: Claim| theirs.against(&mine, "zone").map(|reason| reason.code);
        assert_eq!(why(claim("me", "shop", 7)), None);
        assert_eq!(why(claim("me", "shop", 6)), None);
        assert_eq!(why(claim("me", "shop", 8)).as_deref(), Some(AHEAD));
        // What a restored journal counts again was another run's.
        assert_eq!(why(Claim { run: "OTHER".into(), ..mine.clone() }).as_deref(), Some(AHEAD));
        assert_eq!(why(claim("you", "shop", 1)).as_deref(), Some(FOREIGN));
        // Epochs of two services count apart; the journal keeps them from writing at the same time.
        assert_eq!(why(claim("me", "cart", 9)), None);
    }
}
