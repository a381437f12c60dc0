//! `pointsman plan`: what a playbook would change, from what is observed now; or a plan as it was shown before.

use crate::cli::client::{Effect, read};
use crate::cli::options::Output;
use crate::cli::wire::PlanDoc;
use crate::cli::{Client, Exit, Fault, Talk, view};
use clap::Args;
use serde_json::{Value, json};

const MARKS: &str = "\
Marks of a step: ~ changes something, = is already right, ? is checked in its turn or not known, \
! asks a person, x is refused. Leaves with 7 when the plan is blocked.";

#[derive(Clone, Debug, Args)]
#[command(after_help = MARKS)]
pub struct PlanArgs {
    /// Name of the playbook, as `status` shows it
    #[arg(required_unless_present = "show")]
    pub playbook: Option<String>,
    /// A plan that was made before, by its name or the beginning of its digest
    #[arg(long, value_name = "PLAN", conflicts_with = "playbook")]
    pub show: Option<String>,
    /// Leave with 20 when there is something to change
    #[arg(long)]
    pub detailed_exitcode: bool,
}

pub async fn run(args: &PlanArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let (document, doc) = match (&args.show, &args.playbook) {
        (Some(plan), _) => kept(plan, client).await?,
        (None, playbook) => fetch(playbook.as_deref().unwrap_or_default(), client).await?,
    };
    if talk.wants_json() {
        talk.document(&document)?;
    } else if talk.output == Some(Output::Md) {
        talk.write_raw(&view::plan::markdown(&doc, &talk.look.clone()))?;
    } else {
        for line in view::plan::sheet(&doc, &talk.look, "This command changed nothing.") {
            talk.print(&line)?;
        }
        if let Some(line) = view::plan::run_it(&doc) {
            talk.print(&line)?;
        }
    }
    Ok(match (&doc.plan, view::plan::has_changes(&doc)) {
        (None, _) => Exit::Refused,
        (Some(_), true) if args.detailed_exitcode => Exit::HasChanges,
        (Some(_), _) => Exit::Done,
    })
}

/// Planning observes and writes nothing, so a lost reply leaves no doubt.
pub async fn fetch(playbook: &str, client: &Client) -> Result<(Value, PlanDoc), Fault> {
    let document = client.post(&["plans"], &json!({ "playbook": playbook }), Effect::None).await?;
    let doc = read(&document, "plan")?;
    Ok((document, doc))
}

/// A plan as it was shown; nothing is observed.
pub async fn kept(plan: &str, client: &Client) -> Result<(Value, PlanDoc), Fault> {
    let document = client.get(&["plans", plan], &[]).await?;
    let doc = read(&document, "plan")?;
    Ok((document, doc))
}
