//! Every verdict of PostgreSQL's actions and checks, over their real observation of a modelled pair; and the model.

mod bind;
mod fence;
mod lag;
mod model;
mod planned;
mod promote;
mod scene;
mod unfence;
mod write_probe;
