//! Which orders were promised to customers and are not there: the application's own view of what was lost.

use std::collections::HashSet;

use anyhow::Context;

use crate::postgres::Role;
use crate::site::Site;
use crate::{Apps, Postgres};

/// An order whose commit was acknowledged and which the database does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub id: String,
    /// When the application got the acknowledgement, in microseconds since the epoch.
    pub acked_at_micros: i64,
    /// Where the application ran.
    pub site: String,
}

/// Every acknowledged order of every shop, oldest first.
pub fn acknowledged(apps: &Apps) -> anyhow::Result<Vec<Lost>> {
    let mut all = Vec::new();
    for app in apps.all() {
        let path = app.orders_log();
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        // A line without its end is being written at this moment: its order is not yet promised.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let mut fields = line.trim_end().split(',');
            let (id, at, site) = (fields.next(), fields.next(), fields.next());
            let (Some(id), Some(Ok(at)), Some(site)) = (id, at.map(str::parse), site) else {
                anyhow::bail!("{}: unreadable line {line:?}", path.display());
            };
            all.push(Lost { id: id.to_owned(), acked_at_micros: at, site: site.to_owned() });
        }
    }
    all.sort_by_key(|order| order.acked_at_micros);
    Ok(all)
}

/// The acknowledged orders that the given server does not have. The logs are read first, so that an order
/// written in between is not called lost.
pub async fn lost(apps: &Apps, postgres: &Postgres, server: Site) -> anyhow::Result<Vec<Lost>> {
    let promised = acknowledged(apps)?;
    let client = postgres.client(server, Role::Shop).await?;
    let rows = client.query("select id from orders", &[]).await.context("reading the orders")?;
    let there: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(promised.into_iter().filter(|order| !there.contains(&order.id)).collect())
}
