//! `pointsman explain PM0003`: the page of a code, compiled in, so that it can be read when nothing else
//! works.

use crate::cli::table::{Table, cell};
use crate::cli::{Exit, Fault, Talk};
use crate::codes::{CODES, find};
use clap::Args;
use serde_json::json;

#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The code that an error or a plan carries; without it all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

pub fn run(args: &ExplainArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else { return list(talk) };
    let code = find(wanted).ok_or_else(|| {
        Fault::new(Exit::NoSuchThing, "PM0012", format!("there is no code {wanted:?}"))
            .state("this command only reads")
            .remedy("`pointsman explain` lists the codes of this version")
    })?;
    match talk.wants_json() {
        true => {
            let (schema, title, page) = ("pointsman.code/v1", code.title, code.page);
            talk.document(&json!({ "schema": schema, "code": code.code, "title": title, "page": page }))?;
        }
        false => talk.print(code.page.trim_end())?,
    }
    Ok(Exit::Done)
}

fn list(talk: &mut Talk) -> anyhow::Result<Exit> {
    if talk.wants_json() {
        let codes: Vec<_> = CODES.iter().map(|c| json!({ "code": c.code, "title": c.title })).collect();
        talk.document(&json!({ "schema": "pointsman.codes/v1", "codes": codes }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(0);
    CODES.iter().for_each(|code| table.row([cell(code.code), cell(code.title)]));
    for line in table.lines(&talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}
