//! `pointsman report`: one run for the morning after, in Markdown, as a page or as a document; or as a test, so that the
//! next night is tried beforehand.

use crate::audit::{Report, html, markdown};
use crate::cli::options::Output;
use crate::cli::{Client, Exit, Fault, Talk};
use crate::kernel::domain::{Record, Stamped, Stream, Time};
use crate::trial;
use clap::Args;
use serde_json::{Value, json};

/// Pages of records that one run may have.
const MOST_PAGES: u32 = 100;
const PAGE: &str = "1000";

#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    pub run: String,
    /// A test of its playbook: the same alert, world, faults and people, and how it ended
    #[arg(long)]
    pub as_test: bool,
    /// File of the playbook, as the test shall name it; default: its name with .yaml
    #[arg(long, value_name = "FILE", requires = "as_test")]
    pub playbook: Option<String>,
    /// File of the configuration, as the test shall name it
    #[arg(long, value_name = "FILE", requires = "as_test", default_value = "pointsman.toml")]
    pub config: String,
}

pub async fn run(args: &ReportArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    if args.as_test {
        return as_test(args, client, talk).await;
    }
    let document = client.get(&["runs", &args.run.to_uppercase(), "report"], &[]).await?;
    if talk.wants_json() {
        talk.document(&document)?;
        return Ok(Exit::Done);
    }
    let report: Report = serde_json::from_value(document).map_err(|e| not_understood(&e))?;
    match talk.output {
        Some(Output::Html) => talk.write_raw(&html(&report))?,
        _ => talk.write_raw(&markdown(&report))?,
    }
    Ok(Exit::Done)
}

fn not_understood(why: &dyn std::fmt::Display) -> Fault {
    Fault::new(Exit::NotTalked, "PM0005", format!("the server's report cannot be understood: {why}"))
        .state("nothing of it is shown, since it might mislead")
        .remedy("-o json shows it as it is; compare `pointsman version` here and on the server")
}

async fn as_test(args: &ReportArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let records = records(&args.run.to_uppercase(), client).await?;
    let Some(playbook) = records.iter().find_map(|stamped| match &stamped.record {
        Record::Opened(spec) => Some(spec.playbook.clone()),
        _ => None,
    }) else {
        return Err(Fault::new(Exit::NoSuchThing, "PM4002", format!("there is no run {}", args.run))
            .state("nothing was made")
            .remedy("`pointsman status` lists runs")
            .into());
    };
    let file = args.playbook.clone().unwrap_or_else(|| format!("{playbook}.yaml"));
    let text = trial::test_of(&records, &file, &args.config).map_err(|why| {
        Fault::new(Exit::Invalid, "PM1265", format!("no test can be made of run {}: {why}", args.run))
            .state("nothing was made")
            .remedy("write it by hand; docs/TESTING.md has the words")
    })?;
    talk.write_raw(&text)?;
    talk.say(&format!("save it beside {file} as NAME.test.yaml, and try it: pointsman test NAME.test.yaml"));
    Ok(Exit::Done)
}

/// All of one run, as they were stored.
async fn records(run: &str, client: &Client) -> anyhow::Result<Vec<Stamped>> {
    let (mut all, mut from) = (vec![], "1".to_owned());
    for _ in 0..MOST_PAGES {
        let query = [("run", run.to_owned()), ("from", from), ("limit", PAGE.to_owned())];
        let page = client.get(&["audit"], &query).await?;
        for record in page["records"].as_array().into_iter().flatten() {
            all.push(stamped(record).map_err(|why| not_understood(&why))?);
        }
        match page["next"].as_u64() {
            Some(next) => from = next.to_string(),
            None => return Ok(all),
        }
    }
    Err(anyhow::anyhow!("the run has more records than a test can be made of"))
}

fn stamped(told: &Value) -> Result<Stamped, String> {
    let kind = told["kind"].as_str().ok_or("a record without its kind")?;
    let record: Record =
        serde_json::from_value(json!({ kind: told["body"] })).map_err(|e| format!("{kind}: {e}"))?;
    let number = |key: &str| told[key].as_u64().ok_or(format!("a record without {key}"));
    let stream = told["stream"].as_str().ok_or("a record without its stream")?;
    Ok(Stamped {
        position: number("position")?,
        stream: Stream::try_from(stream.to_owned())?,
        seq: number("seq")?,
        at: Time(told["at"].as_i64().ok_or("a record without its time")?),
        record,
    })
}
