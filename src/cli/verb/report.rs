//! `pointsman report`: one run for the morning after, in Markdown, as a page or as a document.

use crate::audit::{Report, html, markdown};
use crate::cli::options::Output;
use crate::cli::{Client, Exit, Fault, Talk};
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    pub run: String,
}

pub async fn run(args: &ReportArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let document = client.get(&["runs", &args.run.to_uppercase(), "report"], &[]).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    let report: Report = serde_json::from_value(document).map_err(|e| {
        Fault::new(Exit::NotTalked, "PM0005", format!("the server's report cannot be understood: {e}"))
            .state("nothing of it is shown, since it might mislead")
            .remedy("-o json shows it as it is; compare `pointsman version` here and on the server")
    })?;
    match talk.output {
        Some(Output::Html) => talk.write_raw(&html(&report))?,
        _ => talk.write_raw(&markdown(&report))?,
    }
    Ok(Exit::Done)
}
