//! Every problem is told, all at once.
