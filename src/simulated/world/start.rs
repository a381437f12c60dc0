//! How things stand when the alert comes, and what a person may do meanwhile.

use super::Names;
use crate::kernel::domain::Span;

/// How things stand when the alert comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The old primary was killed; a supervisor may bring it back.
    pub primary_killed: bool,
    /// Of Redis: it takes connections and answers nothing.
    pub primary_hangs: bool,
    /// The old site's application answers nothing, whatever its database does.
    pub app_dead: bool,
    /// The old primary's machine cannot be reached over SSH.
    pub ssh_cut: bool,
    /// Somebody goes on writing to the old primary, and replication stumbles along behind.
    pub orders: bool,
    /// What the old primary writes arrives at the standby no more: a drain never ends.
    pub cut_replication: bool,
    /// Bytes that the standby does not have, and will not get.
    pub behind: u64,
    /// How the standby stands.
    pub standby: Standby,
    /// What Patroni does, where it is what runs the servers.
    pub patroni: Patroni,
    /// What the Sentinels do, where they run the servers.
    pub sentinels: Sentinels,
    /// The new site's application answers nothing.
    pub new_app_dead: bool,
    /// Nobody can be asked whether the alert still fires.
    pub source_silent: bool,
    /// Every name server but the first is silent.
    pub dns_silent: bool,
    /// So is every resolver that a zone lists.
    pub resolvers_silent: bool,
    /// How many looks a promotion takes after its signal.
    pub promote_looks: u32,
    /// How many answers the second server lags behind.
    pub dns_lag: u32,
    /// How long every call takes. Without any, what was seen before a change is as young as what is seen after it.
    pub latency: Span,
}

impl Start {
    /// What a playbook does not speak of cannot stand in one way or another.
    pub(super) fn fits(&self, names: &Names) -> Result<(), Vec<String>> {
        let of_redis = matches!(self.standby, Standby::NeverSynced | Standby::Emptied);
        let one = names.clusters.as_ref().is_some_and(|clusters| !clusters.are_two());
        let why = match () {
            () if of_redis && names.redis.is_none() => {
                "a standby that never synced, or was emptied, is of Redis alone"
            }
            () if self.primary_hangs && names.redis.is_none() => "a primary that hangs is of Redis alone",
            () if self.sentinels != Sentinels::Agree && names.sentinels.is_none() => {
                "how the Sentinels go about it is said, and no step of this playbook is of Sentinels"
            }
            () if self.patroni != Patroni::Runs && names.clusters.is_none() => {
                "how Patroni goes about it is said, and no step of this playbook is of Patroni"
            }
            () if self.standby == Standby::OtherData && one => {
                "the members of one cluster of Patroni hold the same data"
            }
            () => return Ok(()),
        };
        Err(vec![why.to_owned()])
    }
}

/// What there is to promote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standby {
    #[default]
    Follows,
    /// Its server is down.
    Down,
    /// Of Redis: it was told to follow, and no copy ever came.
    NeverSynced,
    /// Of Redis: its primary came back empty before it was lost, and it took that over.
    Emptied,
    /// What it holds is of another origin.
    OtherData,
}

/// How Patroni goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patroni {
    #[default]
    Runs,
    /// The cluster that shall lead is paused.
    Paused,
    /// That of the old leader stands still with the lock in its hand, and its PostgreSQL goes on.
    Hangs,
    /// Only the leader is lost, and the cluster elects another by itself.
    Elects,
}

/// How the Sentinels go about it. While the primary is gone they have agreed on that for long, and elect nobody unless it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sentinels {
    #[default]
    Agree,
    /// The first of them does not answer.
    OneSilent,
    /// A majority does not.
    Silent,
    NoQuorum,
    /// They elect the new one as soon as the primary is gone.
    Elect,
    /// So they do, and it is another replica.
    ElectAnother,
    /// There is another replica, which they may promote as well.
    MayTakeAnother,
    /// There is another replica, and they promote it against their own order.
    TakeAnother,
    /// They begin what they are told, and give it up.
    GiveUp,
}

/// What a person, or a supervisor, does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// The old primary is started again, if nothing keeps it from starting.
    StartOld,
    PromoteNew,
    /// Somebody takes the fence of the old primary back and starts it.
    UnfenceOld,
    /// The application's file is written by somebody else.
    EditFile,
    RestartApp,
    MoveDns,
    /// The alert is gone at its source.
    Resolve,
}

impl Hand {
    pub const ALL: [Hand; 7] = [
        Hand::StartOld,
        Hand::PromoteNew,
        Hand::UnfenceOld,
        Hand::EditFile,
        Hand::RestartApp,
        Hand::MoveDns,
        Hand::Resolve,
    ];
}
