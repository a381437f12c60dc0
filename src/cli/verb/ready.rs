//! `pointsman ready`: whether each playbook would work if it were needed now. Looks at everything and changes nothing.

use crate::cli::client::Effect;
use crate::cli::wire::ReadyDoc;
use crate::cli::{Client, Exit, Talk, view};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct ReadyArgs {
    /// Only this playbook; without it, all that are active
    pub playbook: Option<String>,
    /// What the schedule saw last, instead of looking now
    #[arg(long, conflicts_with = "playbook")]
    pub last: bool,
    /// Also what is well
    #[arg(long)]
    pub all: bool,
}

/// Leaves with 21 unless every playbook that is shown and in use is ready. Never looked at is not ready.
pub async fn run(args: &ReadyArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = match (args.last, &args.playbook) {
        (true, _) => client.get(&["ready"], &[]).await?,
        (false, None) => client.post(&["ready"], &json!({}), Effect::None).await?,
        (false, Some(playbook)) => {
            client.post(&["ready"], &json!({ "playbook": playbook }), Effect::None).await?
        }
    };
    let doc: ReadyDoc = view::playbook::read(&document, "ready")?;
    if talk.wants_json() {
        talk.document(&document)?;
    } else {
        for line in view::ready::screen(&doc, args.all, &talk.look.clone()) {
            talk.print(&line)?;
        }
    }
    let well =
        doc.playbooks.iter().all(|playbook| playbook.disabled.is_some() || playbook.ready == Some(true));
    Ok(if well { Exit::Done } else { Exit::NotReady })
}
