//! Every branch of the verdicts of `provider/redis`, over the real observation of a modelled pair.

mod fence;
mod promote;
mod scene;
