//! The harness's own words to a member: its REST API, and SQL. Bounded, and on connections of their own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::{API_PASSWORD, API_USER};
use crate::net::{http, on_lab};

/// Patroni itself waits up to twenty seconds for what it was told to do.
const LONGEST: Duration = Duration::from_secs(45);

#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    pub text: String,
}

pub(super) async fn say(
    api: SocketAddr,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Said> {
    let (url, method) = (format!("http://{api}{path}"), method.parse::<reqwest::Method>()?);
    on_lab(async move {
        let limit = if method == reqwest::Method::GET { Duration::from_secs(5) } else { LONGEST };
        let mut request = http()?.request(method, &url).timeout(limit);
        request = request.basic_auth(API_USER, Some(API_PASSWORD));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        Ok(Said { status: answer.status().as_u16(), text: answer.text().await? })
    })
    .await
}

pub(super) async fn sql(at: SocketAddr, user: &str, text: &str) -> anyhow::Result<String> {
    let (user, text) = (user.to_owned(), text.to_owned());
    on_lab(async move {
        let work = async {
            let mut config = tokio_postgres::Config::new();
            let database = if user == "shop" { "shop" } else { "postgres" };
            config.host(at.ip().to_string()).port(at.port()).user(&user).password("lab").dbname(database);
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            let rows = client.simple_query(&text).await.with_context(|| format!("{text} on {at}"))?;
            let first = rows.iter().find_map(|row| match row {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            });
            anyhow::Ok(first.unwrap_or_default())
        };
        tokio::time::timeout(Duration::from_secs(5), work).await.context("no end of a statement")?
    })
    .await
}
