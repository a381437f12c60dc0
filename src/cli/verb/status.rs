//! `pointsman status`: what is running, what waits for you, which playbooks are active.

use crate::cli::{Client, Exit, Talk, view};

pub async fn run(client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = client.get(&["status"], &[]).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    for line in view::status::screen(&view::status::read(&document)?, &talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}
