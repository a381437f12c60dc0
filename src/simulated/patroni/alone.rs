//! What a modelled cluster does by itself: members die and come back, another is elected, and the log flows.

use super::{Member, World};
use crate::kernel::domain::Name;
use std::cmp::Reverse;

impl Member {
    pub fn runs(&self) -> bool {
        self.state == "running" && (self.answers || self.hangs)
    }

    /// Whether the application could write here now. A hanging Patroni leaves its PostgreSQL as it is.
    pub fn writable(&self) -> bool {
        self.runs() && self.primary
    }
}

impl World {
    /// The furthest that any member has come.
    pub fn furthest(&self) -> u64 {
        self.members.values().map(|member| member.position).max().unwrap_or(0)
    }

    /// Its machine is gone, the lock has run out, and another takes it where one can.
    pub fn crash(&mut self, name: &str) {
        self.lose(name);
        self.member(name).hangs = false;
        self.elect();
    }

    /// Its machine runs again, unless it is kept from that. Who led leads again where nobody else does by now.
    pub fn start(&mut self, name: &str) {
        let member = self.member(name);
        if member.masked || member.runs() {
            return;
        }
        (member.answers, member.state) = (true, "running".into());
        let led = member.primary;
        let leads_again = led && self.leader.is_none() && self.follows.is_none();
        match leads_again {
            true => self.leader = Some(Name::from(name)),
            false => self.member(name).primary = false,
        }
        self.elect();
        self.flow();
    }

    /// Whoever has most of the log.
    fn elect(&mut self) {
        if self.leader.is_some() || self.paused || !self.elects {
            return;
        }
        let able = self.members.iter().filter(|(_, member)| member.answers && !member.nofailover);
        let best = able.max_by_key(|(name, member)| (member.timeline, member.position, Reverse(*name)));
        let Some(best) = best.map(|(name, _)| name.clone()) else { return };
        match self.follows {
            None => self.lead(&best),
            Some(_) => self.leader = Some(best),
        }
    }

    /// A leader that is ended in order sends the rest of its log to those that follow first; else it goes on.
    pub(super) fn drain(&mut self, name: &Name) -> bool {
        let end = self.furthest();
        let Some(member) = self.members.get_mut(name) else { return false };
        let arrives = !self.cut || member.position == end;
        if arrives {
            member.position = end;
        }
        arrives
    }

    /// What the leader has comes to those that follow it.
    pub fn flow(&mut self) {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let Some((timeline, end)) =
            leader.filter(|leader| leader.runs()).map(|leader| (leader.timeline, leader.position))
        else {
            return;
        };
        for member in self.members.values_mut().filter(|member| member.runs() && !member.primary) {
            if !member.stalled {
                (member.timeline, member.position) = (timeline, end);
            }
            member.lag = Some(end.saturating_sub(member.position));
        }
    }

    /// What its leader gets from the leader of another cluster: on a later timeline it goes over to that.
    pub fn receive(&mut self, timeline: u32, end: u64) {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get_mut(leader));
        let Some(leader) = leader.filter(|leader| leader.runs() && !leader.primary && !leader.stalled) else {
            return;
        };
        let ahead = leader.timeline == timeline && leader.position > end;
        if leader.timeline <= timeline && !ahead {
            (leader.timeline, leader.position) = (timeline, end);
        }
        self.flow();
    }
}
