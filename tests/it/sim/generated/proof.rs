//! What stands behind a promotion, from records alone, without asking the engine: a fence that was looked at and seen, a
//! person's word that it is done, or a person's acceptance by name.

use pointsman::kernel::domain::{
    Fact, FenceRung, Form, ItemId, Name, Record, Resolved, Role, Stamped, StepPlan, Told, WhyObserved,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Seen in effect, by the last look before.
    Seen,
    /// A person did it by hand and says so.
    Confirmed,
    /// A person with the right to accepted by name that there is none.
    Accepted,
}

fn fences(fact: &Fact, old: &Name) -> bool {
    matches!(fact, Fact::Fenced { target, rung, .. } if target == old && *rung >= FenceRung::Lockout)
}

/// Every call of a promotion that was written down, with what stands behind it; or what is wrong with one.
pub fn promotions(records: &[Stamped]) -> Result<Vec<Proof>, String> {
    let Some(Record::Opened(spec)) = records.first().map(|r| &r.record) else { return Ok(vec![]) };
    let mut proofs = vec![];
    for (n, stamped) in records.iter().enumerate() {
        let Record::Intended { call, spec: called, change } = &stamped.record else { continue };
        if called.kind.as_str() != "postgres.promote" || call.undo {
            continue;
        }
        let needed = change.needs.iter().find_map(|need| match need {
            Fact::Fenced { target, rung, .. } if *rung >= FenceRung::Lockout => Some(target),
            _ => None,
        });
        let old =
            needed.ok_or_else(|| format!("sequence {}: a promotion that needs no fence", stamped.seq))?;
        let proof = behind(spec, &records[..n], old)
            .ok_or_else(|| format!("sequence {}: nothing proves that {old} is fenced", stamped.seq))?;
        proofs.push(proof);
    }
    Ok(proofs)
}

fn behind(spec: &Resolved, before: &[Stamped], old: &Name) -> Option<Proof> {
    let accepted = before.iter().any(|r| match &r.record {
        Record::Decided { yes: true, by, accept_unfenced, reason, .. } => {
            accept_unfenced.contains(old) && by.has(Role::IncidentLead) && !reason.is_empty()
        }
        _ => false,
    });
    let items = 0..u16::try_from(spec.items.len()).unwrap();
    let seen = items.clone().any(|id| last_look(spec, before, id, old));
    let confirmed = items.into_iter().any(|id| said(spec, before, id, old));
    match (seen, confirmed, accepted) {
        (true, ..) => Some(Proof::Seen),
        (false, true, _) => Some(Proof::Confirmed),
        (false, false, true) => Some(Proof::Accepted),
        (false, false, false) => None,
    }
}

/// The last look at the item that was no planning says that its fence is in effect.
fn last_look(spec: &Resolved, before: &[Stamped], id: ItemId, old: &Name) -> bool {
    let look = before.iter().rev().find_map(|r| match &r.record {
        Record::Observed { item, rung, why, plan, undo: false, .. }
            if *item == id && *why != WhyObserved::Plan =>
        {
            Some((*rung, plan))
        }
        _ => None,
    });
    let Some((rung, StepPlan::Nothing { gives, .. })) = look else { return false };
    let proves = &spec.items[usize::from(id)].rungs[usize::from(rung)].proves;
    gives.iter().chain(proves).any(|fact| fences(fact, old))
}

fn said(spec: &Resolved, before: &[Stamped], id: ItemId, old: &Name) -> bool {
    let by_hand = spec.items[usize::from(id)]
        .rungs
        .iter()
        .any(|rung| matches!(rung.form, Form::Manual { .. }) && rung.proves.iter().any(|f| fences(f, old)));
    let confirms =
        |r: &Stamped| matches!(&r.record, Record::Told { what: Told::Confirm(item), .. } if *item == id);
    by_hand && before.iter().any(confirms)
}
