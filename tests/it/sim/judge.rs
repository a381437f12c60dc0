//! What a life may come to: judged by what `pointsman test` judges by.

pub use pointsman::trial::{Verdict, in_the_window_of, judge};
