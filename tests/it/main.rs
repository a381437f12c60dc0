//! Against real servers, started by the lab. One binary, so that the tree links once.

mod postgres;
