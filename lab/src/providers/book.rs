//! What a fake provider holds: single records with ids. What it publishes is served by a real PowerDNS.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::PowerDns;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub id: u64,
    /// With its trailing dot, in lower case.
    pub name: String,
    pub kind: String,
    /// As zone files have it.
    pub content: String,
    pub ttl: u32,
    /// What else the provider keeps with it.
    pub more: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    pub records: Vec<Kept>,
    last: u64,
}

/// A record as tests write it.
pub fn set(name: &str, kind: &str, ttl: u32, content: &str) -> Kept {
    let (name, kind, content) = (name.to_owned(), kind.to_owned(), content.to_owned());
    Kept { id: 0, name, kind, content, ttl, more: Map::new() }
}

impl Book {
    /// Ids begin where no test guesses them.
    pub fn add(&mut self, mut record: Kept) -> u64 {
        self.last = self.last.max(41_000) + 7;
        record.id = self.last;
        self.records.push(record);
        self.last
    }

    /// Other records, and ids that were never given out.
    pub fn with(&self, records: Vec<Kept>) -> Book {
        let mut book = Book { records: vec![], last: self.last };
        for record in records {
            book.add(record);
        }
        book
    }

    pub fn get(&mut self, id: u64) -> Option<&mut Kept> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.records.len();
        self.records.retain(|record| record.id != id);
        self.records.len() < before
    }

    /// Everything of `self` instead of everything of `before`, at the server. What is proxied is not served as it is.
    pub async fn publish(&self, before: &Book, server: &PowerDns) -> anyhow::Result<()> {
        let key = |record: &Kept| (record.name.clone(), record.kind.clone());
        let keys: BTreeSet<(String, String)> = self.records.iter().chain(&before.records).map(key).collect();
        for (name, kind) in keys {
            let of = |book: &Book| -> Vec<Kept> {
                let ours = book.records.iter().filter(|record| record.name == name && record.kind == kind);
                ours.filter(|record| record.more.get("proxied") != Some(&Value::Bool(true)))
                    .cloned()
                    .collect()
            };
            let (new, old) = (of(self), of(before));
            if new == old {
                continue;
            }
            let ttl = new.iter().map(|record| record.ttl).filter(|ttl| *ttl > 1).min().unwrap_or(300);
            let values: Vec<String> = new.iter().map(|record| record.content.clone()).collect();
            server.put(&name, &kind, ttl, &values).await?;
        }
        Ok(())
    }
}
