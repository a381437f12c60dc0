//! The command line as its users meet it: whole commands against a peer over HTTP, and screens as pictures.

mod errors;
mod follow;
mod screens;
mod verbs;
