//! What one pass says to the instance's ledger of changes, and hears from it. Called by `drive` around each decision and
//! each append.

use super::Passing;
use crate::domain::Call;
use crate::journal::{AppendError, Receipt};

impl Passing<'_> {
    /// Before each decision: what every run has begun.
    pub(super) fn look_at_ledger(&mut self) {
        let now = self.driver.world.now();
        self.run.spent = self.driver.ledger.as_ref().map(|ledger| ledger.spent(&self.id, now));
    }

    /// Books the call. False: the decision is older than what another run has begun; it is taken anew.
    pub(super) fn book(&mut self, call: &Call) -> bool {
        let Some(ledger) = &self.driver.ledger else { return true };
        let now = self.driver.world.now();
        let run = &self.run;
        let booked =
            ledger.begin(&self.id, now, run.changes_left(), &|spent| call.undo || run.may_spend(spent, now));
        self.outspent |= !booked;
        booked
    }

    /// After an append: what was not written was not begun. In doubt, it counts.
    pub(super) fn settle_ledger(
        &self,
        appended: &Result<Receipt, AppendError>,
        calls: usize,
        finished: bool,
    ) {
        let Some(ledger) = &self.driver.ledger else { return };
        match appended {
            Ok(_) if finished => ledger.release(&self.id),
            Ok(_) | Err(AppendError::Doubt(_)) => {}
            Err(_) => ledger.take_back(&self.id, calls),
        }
    }
}
