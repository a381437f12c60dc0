//! What resolvers may still have of a provider's records: for how long, and for which sets their answers can be compared
//! with what the API holds. `record` asks them, `plan` judges.

use super::params::With;
use super::record::{Evidence, Served};
use super::set::Held;
use crate::provider::dns::{Caches, Question, RrSet};

pub(super) fn caches(with: &With) -> Caches<'_> {
    Caches { resolvers: &with.zone.resolvers, wait: with.wait_ttl }
}

/// Sets that everybody is answered with as they are, as `wanted` has them; and whether these are all.
pub(super) fn comparable(wanted: &[Held]) -> (Vec<RrSet>, bool) {
    let sets: Vec<RrSet> = wanted.iter().filter(|set| set.is_served_as_is()).map(Held::rrset).collect();
    let all = sets.len() == wanted.len();
    (sets, all)
}

/// The longest TTL, in seconds, of what is changed. `None`: of one of them it is not known. The API does not know the TTL
/// of an alias, or one that it chooses itself; the servers may.
pub(super) fn old_ttl(now: &[Held], wanted: &[Held], servers: &[Served], evidence: &Evidence) -> Option<u32> {
    let changed = now.iter().zip(wanted).filter(|(before, after)| before != after);
    let each = changed.map(|(before, _)| match before.exists() {
        true => before.ttl.max(served(&before.question(), servers)),
        false => evidence.negative_ttl,
    });
    each.reduce(|longest, ttl| longest.zip(ttl).map(|(longest, ttl)| longest.max(ttl))).flatten()
}

fn served(question: &Question, servers: &[Served]) -> Option<u32> {
    let sets = servers.iter().flat_map(|server| server.holds.iter().flatten());
    sets.filter(|set| set.question() == *question).filter_map(|set| set.ttl).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::dns::RrType;

    fn held(value: &str, ttl: Option<u32>) -> Held {
        let question = Question { name: "shop.test.".into(), r#type: RrType::A };
        Held { ttl, ..Held::plain(RrSet::new(&question, 1, vec![value.to_owned()])) }
    }

    #[test]
    fn the_old_ttl_is_the_longest_of_what_changes_and_unknown_where_one_is() {
        let new = held("203.0.113.1", Some(60));
        let old = |ttl| held("192.0.2.1", ttl);
        let of = |now: &[Held], servers: &[Served], evidence: &Evidence| {
            let wanted: Vec<Held> = now.iter().map(|_| new.clone()).collect();
            old_ttl(now, &wanted, servers, evidence)
        };
        let none = Evidence::default();
        assert_eq!(of(&[old(Some(300)), old(Some(30))], &[], &none), Some(300));
        assert_eq!(
            of(std::slice::from_ref(&new), &[], &none),
            None,
            "nothing changes: nothing is known to be old"
        );
        assert_eq!(of(&[old(Some(300)), old(None)], &[], &none), None);
        let set = old(Some(120)).rrset();
        let server =
            Served { server: "192.0.2.53:53".parse().unwrap(), holds: Some(vec![set]), silent: None };
        assert_eq!(of(&[old(None)], &[server], &none), Some(120), "the server knows what the API does not");
        let absent = Held::absent(&new.key());
        assert_eq!(of(std::slice::from_ref(&absent), &[], &none), None);
        let told = Evidence { negative_ttl: Some(30), ..Evidence::default() };
        assert_eq!(of(&[absent], &[], &told), Some(30));
    }

    #[test]
    fn what_the_provider_answers_by_its_own_choice_cannot_be_compared() {
        let plain = held("203.0.113.1", Some(60));
        let proxied = Held { proxied: true, ..plain.clone() };
        assert_eq!(comparable(std::slice::from_ref(&plain)), (vec![plain.rrset()], true));
        assert_eq!(comparable(&[plain.clone(), proxied]), (vec![plain.rrset()], false));
    }
}
