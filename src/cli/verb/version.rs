//! `pointsman version`: this program's own; `status` says the server's.

use crate::cli::{Exit, Talk};
use serde_json::json;

pub fn run(talk: &mut Talk) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    match talk.wants_json() {
        true => talk.document(&json!({ "schema": "pointsman.version/v1", "version": version }))?,
        false => talk.print(&format!("pointsman {version}"))?,
    }
    Ok(Exit::Done)
}
