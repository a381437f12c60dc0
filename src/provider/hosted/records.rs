//! For providers whose API knows single records and no sets: which records to change, to add and to take away so that
//! a set becomes another. What is there already is kept, so that its id, comments and tags stay.

use super::set::Held;

/// One record as the API has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Single<Id> {
    pub id: Id,
    pub value: String,
    pub ttl: Option<u32>,
}

/// In this order nothing is ever empty: change, add, and only then take away.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps<Id> {
    pub change: Vec<(Id, String)>,
    pub add: Vec<String>,
    pub remove: Vec<Id>,
}

pub fn steps<Id: Clone>(held: &[Single<Id>], after: &Held) -> Steps<Id> {
    let mut free: Vec<&Single<Id>> = vec![];
    let mut missing = after.values.clone();
    let mut steps = Steps { change: vec![], add: vec![], remove: vec![] };
    for single in held {
        match missing.iter().position(|value| *value == single.value) {
            Some(at) => {
                missing.remove(at);
                if single.ttl != after.ttl {
                    steps.change.push((single.id.clone(), single.value.clone()));
                }
            }
            None => free.push(single),
        }
    }
    for single in free {
        if missing.is_empty() {
            steps.remove.push(single.id.clone());
        } else {
            steps.change.push((single.id.clone(), missing.remove(0)));
        }
    }
    steps.add = missing;
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::dns::{Question, RrSet, RrType};
    use proptest::prelude::*;

    fn set(values: &[&str]) -> Held {
        let question = Question { name: "a.test.".into(), r#type: RrType::A };
        Held::plain(RrSet::new(&question, 60, values.iter().map(|v| (*v).to_owned()).collect()))
    }

    fn singles(values: &[(u32, &str, u32)]) -> Vec<Single<u32>> {
        let one =
            |(id, value, ttl): &(u32, &str, u32)| Single { id: *id, value: (*value).into(), ttl: Some(*ttl) };
        values.iter().map(one).collect()
    }

    #[test]
    fn what_is_right_is_left_alone_and_the_rest_is_reused() {
        let held = singles(&[(1, "192.0.2.1", 60), (2, "192.0.2.2", 60), (3, "192.0.2.3", 60)]);
        let steps = steps(&held, &set(&["192.0.2.1", "192.0.2.9"]));
        assert_eq!(steps, Steps { change: vec![(2, "192.0.2.9".into())], add: vec![], remove: vec![3] });
        let ttl = super::steps(&singles(&[(1, "192.0.2.1", 300)]), &set(&["192.0.2.1"]));
        assert_eq!(ttl.change, [(1, "192.0.2.1".into())]);
        let add = super::steps::<u32>(&[], &set(&["192.0.2.1"]));
        assert_eq!(add.add, ["192.0.2.1"]);
    }

    proptest! {
        /// Whatever stood there: afterwards exactly the wanted values stand there, and on the way the set is never empty.
        #[test]
        fn the_steps_lead_there_and_never_through_nothing(
            old in proptest::collection::btree_set(0u8..6, 0..5), new in proptest::collection::btree_set(0u8..6, 1..5)
        ) {
            let text = |n: &u8| format!("192.0.2.{n}");
            let held: Vec<Single<usize>> =
                old.iter().enumerate().map(|(id, n)| Single { id, value: text(n), ttl: Some(60) }).collect();
            let wanted: Vec<String> = new.iter().map(text).collect();
            let values: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let steps = steps(&held, &set(&values));
            let mut zone: std::collections::BTreeMap<usize, String> =
                held.into_iter().map(|single| (single.id, single.value)).collect();
            for (id, value) in steps.change {
                zone.insert(id, value);
                prop_assert!(!zone.is_empty());
            }
            for (n, value) in steps.add.into_iter().enumerate() {
                zone.insert(100 + n, value);
            }
            for id in steps.remove {
                zone.remove(&id);
                prop_assert!(!zone.is_empty());
            }
            let mut left: Vec<String> = zone.into_values().collect();
            left.sort();
            let mut wanted = wanted;
            wanted.sort();
            prop_assert_eq!(left, wanted);
        }
    }
}
