//! One cached row that is not what its records say, by name. `audit verify` prints them.

use crate::store::{StoreError, code};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `summary`, `lock`, `epoch` or `cursor`.
    pub table: &'static str,
    pub key: String,
    /// None: there is no such row.
    pub row: Option<String>,
    /// None: by the records there should be no such row.
    pub records: Option<String>,
}

/// Longest text of one side in a message.
const SHOWN: usize = 600;

impl Difference {
    pub fn error(&self) -> StoreError {
        let said = |side: &Option<String>| match side {
            Some(text) => text.chars().take(SHOWN).collect(),
            None => "there should be none".to_owned(),
        };
        let row = self.row.as_ref().map_or("is missing".to_owned(), |_| format!("says {}", said(&self.row)));
        let (table, key) = (self.table, &self.key);
        StoreError::new(
            code::BAD_CACHE,
            format!("the cached row {table}[{key}] {row}; its records say {}", said(&self.records)),
            "the records stand as the lines above say; only the row made from them is wrong",
            "keep a copy of the data directory as evidence; go on with the newest backup that verifies",
        )
    }
}
