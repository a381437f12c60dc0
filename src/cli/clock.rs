//! The wall clock of the client: only for showing how long ago something was. Used by `watch`.

use crate::kernel::domain::Time;

pub fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}
