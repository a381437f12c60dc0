//! Carries out a move that is on record: looks once more at every member, then tells one of them, once.

use super::Move;
use super::look::State;
use super::plan::Detail;
use super::port::Verb;
use crate::kernel::domain::{CallEnd, Rpo, Span};
use crate::kernel::journal::Permit;
use crate::kernel::port::Ctx;
use crate::provider::hosted::Written;
use crate::provider::hosted::end::Codes;
use serde::Deserialize;
use serde_json::json;

const CODES: Codes = Codes { refused: "PM3620", not_sent: "PM3621", doubt: "PM3622", limited: "PM3623" };
/// Beyond Patroni's own patience: its looks at the store, and the way back.
const MORE: u64 = 10;

impl Move {
    pub(super) async fn carry_out(&self, ctx: &Ctx, permit: Permit) -> CallEnd {
        let Ok(detail) = Detail::deserialize(&permit.change().detail) else {
            return CallEnd::rejected(
                false,
                "PM3109: the change on record cannot be read; nothing was changed",
            );
        };
        let looked = ctx.now();
        let (state, evidence) = self.look(ctx).await;
        if let Some((retry, why)) = self.is_other(&state, &detail) {
            return CallEnd::rejected(retry, format!("{}: nothing was sent: {why}", CODES.not_sent));
        }
        let window = ctx.now().since(looked);
        let within = Span::secs(detail.patience + MORE).min(ctx.left());
        let written = self.port.order(&self.at, &detail.via, &detail.order, within).await;
        match CODES.end(self.promoted(written, evidence.rpo), Some(window)) {
            Ok(end) => end,
            Err((_, says)) => CallEnd::rejected(true, format!("{}: {says}", CODES.limited)),
        }
    }

    /// A member that says who leads now does not always name the one that was meant; what that one had is not known.
    fn promoted(&self, written: Written, loss: Option<Rpo>) -> Written {
        let Written::Done(mut detail) = written else { return written };
        let meant = detail["promoted"].as_str() == Some(self.candidate.as_str());
        if !meant {
            detail["instead_of"] = json!(self.candidate);
            detail["code"] = json!("PM3607");
        }
        let unknown = || Rpo {
            bytes: None,
            last_safe: None,
            says: format!("unknown: another member than {} came to lead", self.candidate),
        };
        if let Some(loss) = loss.map(|loss| if meant { loss } else { unknown() }) {
            detail["rpo"] = json!(loss);
        }
        Written::Done(detail)
    }

    /// Why this is not the cluster that was planned for any more, and whether a later look may find it again. Between this
    /// look and Patroni's own comparison of the leader's name nothing else compares.
    fn is_other(&self, state: &State, detail: &Detail) -> Option<(bool, String)> {
        if let Some(why) = state.foreign.as_ref() {
            return Some((false, why.clone()));
        }
        let answers = |name| state.members.get(name).is_some_and(|member| member.answers);
        if let Some(silent) = [&self.candidate, &detail.via].into_iter().find(|name| !answers(*name)) {
            return Some((true, format!("{silent} does not answer right before it")));
        }
        if let Some(why) = state.disagree.as_ref() {
            return Some((true, why.clone()));
        }
        if state.leader != detail.lock || state.timeline != Some(detail.timeline) {
            let leads = state.leader.as_ref().map_or("nobody".to_owned(), ToString::to_string);
            // The lock of a lost leader runs out whenever its time is over, and Patroni elects by itself.
            let by_itself = state.leader.as_ref().is_none_or(|leader| *leader == self.candidate);
            return Some((
                by_itself && self.verb == Verb::Failover,
                format!("{leads} leads by now, or a new timeline has begun"),
            ));
        }
        if state.paused && !self.while_paused {
            return Some((false, format!("{} was paused meanwhile", self.at.name)));
        }
        self.lives_otherwise(state).map(|why| (false, why))
    }

    /// The old leader lives where it should not, or does not where it should.
    fn lives_otherwise(&self, state: &State) -> Option<String> {
        let writes = state.members.get(&self.leader).and_then(|member| member.writes);
        match (self.verb, writes) {
            (Verb::Switchover, Some(true)) | (Verb::Failover, Some(false)) => None,
            (Verb::Switchover, _) => Some(format!("{} does not answer as a primary any more", self.leader)),
            (Verb::Failover, Some(true)) => Some(format!("{} takes writes: it is not lost", self.leader)),
            // Silent or between two states: what it needs for that was proven.
            (Verb::Failover, None) => None,
        }
    }
}
