//! Verdicts of the providers' record action, over a modelled zone.
