//! What may have been lost: each promotion says it of its own server, and the run says it of all of them together.

use super::Run;
use crate::domain::{ItemId, Rpo};
use serde_json::Value;

/// What one promotion says of its server.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    pub rpo: Rpo,
    /// From the end of the call that cut the log, which knows best what was there; looks only guess.
    pub is_final: bool,
}

impl Run {
    pub(super) fn note_loss(&mut self, id: ItemId, evidence: &Value, is_final: bool) {
        if self.losses.get(&id).is_some_and(|loss| loss.is_final) {
            return;
        }
        let said = evidence.get("rpo").and_then(|said| serde_json::from_value(said.clone()).ok());
        if let Some(rpo) = said {
            self.losses.insert(id, Loss { rpo, is_final });
        }
    }

    /// Of several servers the bytes are added up, and what is unknown of one of them is unknown of all. `None`: nobody said
    /// anything.
    pub fn rpo(&self) -> Option<Rpo> {
        let each: Vec<(&ItemId, &Rpo)> = self.losses.iter().map(|(id, loss)| (id, &loss.rpo)).collect();
        match each.as_slice() {
            [] => None,
            [(_, rpo)] => Some((*rpo).clone()),
            many => {
                let bytes: Option<Vec<u64>> = many.iter().map(|(_, rpo)| rpo.bytes).collect();
                let safe: Option<Vec<_>> = many.iter().map(|(_, rpo)| rpo.last_safe).collect();
                let says = many.iter().map(|(id, rpo)| format!("{}: {}", self.item(**id).name, rpo.says));
                Some(Rpo {
                    bytes: bytes.map(|each| each.into_iter().fold(0, u64::saturating_add)),
                    last_safe: safe.and_then(|each| each.into_iter().min()),
                    says: says.collect::<Vec<_>>().join("; "),
                })
            }
        }
    }
}
