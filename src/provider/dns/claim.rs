//! The owner record beside what `dns.record` changes: `_pointsman.NAME TXT "pointsman=1 owner=… service=… epoch=…"`, written
//! by compare-and-set in the same update. A server that has seen a newer epoch refuses an old runner by itself.

use super::port::Update;
use super::rrset::{Question, RrSet, RrType};
use crate::kernel::domain::{Epoch, Reason, StepPlan};
use crate::provider::owner::{Claim, FOREIGN};
use std::collections::BTreeSet;

const LABEL: &str = "_pointsman.";
const TTL: u32 = 60;
/// Of a name with its trailing dot.
const LONGEST: usize = 254;

pub fn is_claim(set: &RrSet) -> bool {
    set.name.starts_with(LABEL)
}

/// One for each name, whatever its types; a name too long for the label has none.
pub fn questions(wanted: &[RrSet]) -> Vec<Question> {
    let names: BTreeSet<&str> = wanted.iter().map(|set| set.name.as_str()).collect();
    let asked =
        names.into_iter().map(|name| Question { name: format!("{LABEL}{name}"), r#type: RrType::Txt });
    asked.filter(|question| question.name.len() <= LONGEST).collect()
}

/// What the first server holds of these, and why this run may not write over it.
pub fn judge(questions: &[Question], holds: &[RrSet], mine: &Claim) -> Result<Vec<RrSet>, StepPlan> {
    let held = |question: &Question| {
        let found = holds.iter().find(|set| set.question() == *question).cloned();
        found.unwrap_or_else(|| RrSet::absent(question))
    };
    let sets: Vec<RrSet> = questions.iter().map(held).collect();
    let why: Vec<Reason> = sets.iter().filter_map(|set| against(set, mine)).collect();
    if why.is_empty() { Ok(sets) } else { Err(StepPlan::Refuse(why)) }
}

fn against(set: &RrSet, mine: &Claim) -> Option<Reason> {
    match set.values.as_slice() {
        [] => None,
        [one] => match Claim::parse(one) {
            Some(theirs) => theirs.against(mine, &set.name),
            None => Some(unread(set)),
        },
        _ => Some(unread(set)),
    }
}

/// The highest epoch of ours that was written later than `mine` could know.
pub fn ahead(holds: &[RrSet], mine: &Claim) -> Option<Epoch> {
    let texts = holds.iter().filter(|set| is_claim(set)).flat_map(|set| &set.values);
    texts.filter_map(|text| Claim::parse(text)).filter(|c| c.is_ahead_of(mine)).map(|c| c.epoch).max()
}

fn unread(set: &RrSet) -> Reason {
    let says = format!("{} holds {:?}, which is no claim of this version", set.name, set.values);
    Reason::new(FOREIGN, says)
}

/// The owner records go into the update: what was seen must still stand, and then ours does.
pub fn add(update: &mut Update, seen: &[RrSet], mine: &Claim) {
    for set in seen {
        update.before.push(set.clone());
        update.after.push(RrSet::new(&set.question(), TTL, vec![mine.to_string()]));
    }
}
