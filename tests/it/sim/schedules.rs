//! The space of lives: that of `pointsman test`.

pub use pointsman::trial::{Life, Space};
