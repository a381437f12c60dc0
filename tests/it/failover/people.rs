//! What only a person may decide, and which person.

use super::scene::{FINISHED, MACHINE, Setup, play};
use anyhow::{Context, ensure};
use lab::net::wait_until;
use lab::pointsman::Refused;
use lab::{Loss, Site};
use serde_json::json;

#[tokio::test]
async fn a_lost_machine_asks_for_the_override_which_only_the_incident_lead_may_give() {
    play(Setup::default(), async |scene| {
        scene.lab.hosts_mut().lose(MACHINE, Loss::Refused).await?;
        let gone = scene.kill_primary().await?;
        scene.fire().await?;
        let offered = || async {
            let runs = scene.pointsman.runs().await?;
            let id = runs.first().and_then(|run| run["run"].as_str()).context("no run yet")?;
            Ok(scene.pointsman.run(id).await?["unfenced_offer"] == json!(["pg-gra"]))
        };
        wait_until("the override to be offered", FINISHED, offered).await?;
        let runs = scene.pointsman.runs().await?;
        let run = runs[0]["run"].as_str().context("a run without id")?.to_owned();
        ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "promoted without anybody's word");
        let approval = json!({
            "command": "approve", "accept_unfenced": ["pg-gra"], "reason": "the site is under water, says the provider",
        });
        let approver = scene.pointsman.client_as("approver", "on-call").await?;
        let refused = approver.decide(&run, &approval).await.err().context("an approver was allowed to")?;
        let refused = refused.downcast::<Refused>().context("no answer of the server")?;
        ensure!(refused.status == 403, "{refused}");
        ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "promoted by an approver");
        let lead = scene.pointsman.client_as("incident-lead", "lead").await?;
        // As the incident lead would: by the command line, told by name and with a reason.
        let reason = "--reason=the site is under water, says the provider";
        let words = ["approve", &run, "--accept-unfenced=pg-gra", "--confirm=shop", reason];
        scene.pointsman.cli_as(&lead, &words).await?;
        let end = scene.finished().await?;
        ensure!(end["outcome"] == "partial", "the run ended otherwise: {end}");
        scene.serves_after(gone).await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.loss_is_as_told(&end).await?;
        ensure!(scene.promotions().await? == (1, 1), "{:?}", scene.promotions().await?);
        let decided = scene.pointsman.records("decided").await?;
        ensure!(decided.len() == 1 && decided[0].says.starts_with("lead "), "{decided:?}");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}
