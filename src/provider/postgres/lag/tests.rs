//! Every branch of the verdict.
