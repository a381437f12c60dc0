//! Every branch of the verdicts of `provider/redis`, over the real observation of a modelled pair.

mod failover;
mod fence;
mod promote;
mod replicate;
mod scene;
mod sentinel;
