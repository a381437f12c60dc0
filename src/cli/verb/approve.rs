//! `pointsman approve`: yes to exactly the plan that is offered, or by name to a fence that could not be
//! proven.

use super::decision::{self, Decision, NOT_DECIDED};
use crate::cli::look::Paint;
use crate::cli::options::reason;
use crate::cli::wire::RunDoc;
use crate::cli::{Client, Exit, Fault, Talk, ask, view};
use crate::kernel::domain::Digest;
use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// Id of the run; `status` shows what waits for you
    pub run: String,
    /// Why; it stands on the record
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// The plan that you have read; without it the plan is shown and the service's name asked for
    #[arg(long, value_parser = decision::digest_start)]
    pub digest: Option<String>,
    /// The service's name, where nobody can be asked
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    /// You asked for this run yourself and nobody else is there; everybody is told
    #[arg(long)]
    pub solo: bool,
    /// Go on although this target is not proven fenced: it may still accept writes (role incident-lead)
    #[arg(long, value_name = "TARGET")]
    pub accept_unfenced: Vec<String>,
}

pub async fn run(args: &ApproveArgs, client: &Client, talk: &mut Talk) -> anyhow::Result<Exit> {
    let whole = args.digest.as_deref().and_then(Digest::parse);
    let digest = match whole {
        Some(digest) => digest,
        None => {
            let doc = decision::run_doc(&args.run, client).await?;
            let digest = to_approve(args, &doc)?;
            decision::same_plan(digest, args.digest.as_deref(), NOT_DECIDED)?;
            if args.digest.is_none() {
                show(args, &doc, talk);
                let service = doc.summary.service.as_str();
                ask::confirm(talk, service, args.confirm.as_deref(), NOT_DECIDED).await?;
            }
            digest
        }
    };
    let decision = Decision::new("approve", &args.reason)
        .digest(digest)
        .accept_unfenced(&args.accept_unfenced)
        .solo(args.solo);
    decision::send(&args.run, decision, client, talk).await
}

/// What is shown must be what is approved.
fn to_approve(args: &ApproveArgs, doc: &RunDoc) -> Result<Digest, Fault> {
    let shown = doc.plan.as_ref().map(|plan| plan.digest);
    match (&doc.asked, shown) {
        (Some(asked), Some(shown)) if asked.digest == shown => Ok(shown),
        (Some(_), _) => Err(Fault::new(
            Exit::Conflict,
            "PM0008",
            "the plan that is asked for is not the one that can be shown",
        )
        .state(NOT_DECIDED)
        .remedy("a new plan is being made; try again in a moment")),
        // An unproven fence is decided in the middle of a run, whose plan was approved before.
        (None, Some(shown)) if !args.accept_unfenced.is_empty() => Ok(shown),
        (None, _) => {
            let says = crate::cli::look::clean(&doc.summary.says);
            Err(Fault::new(
                Exit::Conflict,
                "PM0009",
                format!("run {} asks for no approval: {says}", args.run),
            )
            .state(NOT_DECIDED)
            .remedy(format!("pointsman watch {} shows where it stands", args.run)))
        }
    }
}

fn show(args: &ApproveArgs, doc: &RunDoc, talk: &mut Talk) {
    let look = talk.err_look.clone();
    for line in view::plan::sheet(&doc.into(), &look, "Nothing is approved yet.") {
        talk.say(&line);
    }
    for target in &args.accept_unfenced {
        let words = format!(
            "You accept that {target} is NOT proven fenced. If it still runs, it may go on accepting\n\
             writes: they will be lost, or two sites will differ. No later step takes this back."
        );
        talk.say(&look.paint(Paint::Bad, &words));
    }
}
