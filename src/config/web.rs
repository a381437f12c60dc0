//! How people reach this instance: the address they know it by, and the certificate of its listener.

use super::channel::is_here;
use super::parse::url;
use crate::document::{Table, code};
use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// What links begin with, as people's browsers see this instance; without a slash at its end.
    pub url: Option<String>,
    pub tls: Option<Tls>,
}

/// PEM files, read when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub(super) fn read(top: &Table<'_>) -> Web {
    let Some(table) = top.table("web") else { return Web::default() };
    let tls = table.table("tls").and_then(|tls| {
        let (certificate, key) = (tls.need_text("certificate"), tls.need_text("key"));
        let both = certificate.zip(key);
        tls.finish();
        both.map(|(certificate, key)| Tls { certificate: certificate.into(), key: key.into() })
    });
    let url = url(&table, "url").map(|text| text.trim_end_matches('/').to_owned());
    if let (Some(url), Some(_)) = (&url, &tls)
        && url.starts_with("http://")
    {
        let says = "\"url\" begins with http://, but the listener speaks TLS";
        table.sink.error(code::BAD_VALUE, table.key_at("url"), says);
    }
    table.finish();
    Web { url, tls }
}

impl Web {
    /// What links carry reaches this instance unread by others, or never leaves the machine.
    pub fn is_private(&self) -> bool {
        self.url.as_deref().is_some_and(|url| url.starts_with("https://") || is_here(url))
    }

    /// Browsers get cookies that never travel in clear.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}
