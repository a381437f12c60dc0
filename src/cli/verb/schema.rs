//! `pointsman schema`: what editors complete from, and which actions there are. Offline.

use crate::cli::table::{Table, cell};
use crate::cli::{Exit, Talk};
use crate::kernel::domain::ItemRole;
use crate::{playbook, trial};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// Of `*.test.yaml` files
    #[arg(long, conflicts_with = "actions")]
    pub tests: bool,
    /// The actions and checks of this version, with their parameters
    #[arg(long)]
    pub actions: bool,
}

pub fn run(args: &SchemaArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    if args.actions {
        return actions(talk);
    }
    let schema = if args.tests { trial::schema() } else { playbook::schema() };
    talk.write_raw(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(Exit::Done)
}

fn actions(talk: &mut Talk) -> anyhow::Result<Exit> {
    let word = |role: &ItemRole| match role {
        ItemRole::Guard => "guard",
        ItemRole::Step => "step",
        ItemRole::Verify => "verify",
    };
    let roles = |info: &playbook::ActionInfo| info.roles.iter().map(word).collect::<Vec<_>>();
    if talk.wants_json() {
        let one = |info: &playbook::ActionInfo| {
            json!({ "kind": info.kind, "acts": info.acts, "roles": roles(info), "targets": info.targets,
                "need": info.need, "may": info.may, "timeout_ms": info.timeout.as_millis(), "says": info.says })
        };
        let all: Vec<_> = playbook::actions().iter().map(one).collect();
        talk.document(&json!({ "schema": "pointsman.actions/v1", "actions": all }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(0);
    table.head(&["ACTION", "IN", "NEEDS", "TAKES", "DOES"]);
    for info in playbook::actions() {
        let list = |names: &[&str]| if names.is_empty() { "-".to_owned() } else { names.join(" ") };
        table.row([
            cell(info.kind),
            cell(roles(info).join(" ")),
            cell(list(info.need)),
            cell(list(info.may)),
            cell(info.says),
        ]);
    }
    for line in table.lines(&talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}
