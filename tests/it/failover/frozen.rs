//! Servers that hang: they take connections and answer nothing. Nothing is proven by that, nobody waits without end, and
//! what wakes up later finds no second writer beside itself.

use super::scene::{FINISHED, MACHINE, Scene, Setup, play};
use anyhow::{Context, Result, ensure};
use lab::net::wait_until;
use lab::pointsman::{Edit, Options, Record};
use lab::{Loss, Site};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PLANS: &str = "/api/v1/plans";

/// The origin guard looks at the shop alone: a hung server takes connections, so that probe says up.
fn only_app() -> Setup {
    let edits = vec![Edit::new("probes: [gra-app, gra-db]", "probes: [gra-app]")];
    Setup { options: Options { edits, ..Options::default() }, ..Setup::default() }
}

fn held(records: &[Record]) -> bool {
    records.iter().any(|record| record.kind == "held")
}

/// A plan made now, within the time that its looks may take.
async fn plan(scene: &Scene) -> Result<Value> {
    let began = Instant::now();
    let plan = scene.pointsman.post(PLANS, &json!({ "playbook": lab::pointsman::PLAYBOOK })).await?;
    ensure!(began.elapsed() < Duration::from_secs(5), "a plan took {:?}", began.elapsed());
    Ok(plan)
}

/// The run waits for somebody's word on the unproven fence.
async fn offered(scene: &Scene) -> Result<String> {
    let asked = || async {
        let runs = scene.pointsman.runs().await?;
        let id = runs.first().and_then(|run| run["run"].as_str()).context("no run yet")?;
        Ok(scene.pointsman.run(id).await?["unfenced_offer"] == json!(["pg-gra"]))
    };
    wait_until("the override to be offered", FINISHED, asked).await?;
    let runs = scene.pointsman.runs().await?;
    Ok(runs[0]["run"].as_str().context("a run without id")?.to_owned())
}

/// First only the first process hangs (sessions go on, and so does the standby), then all of it.
#[tokio::test]
async fn a_hung_primary_whose_port_still_answers_is_held() {
    play(Setup::default(), async |scene| {
        scene.lab.postgres().sigstop_postmaster(Site::Gra)?;
        scene.fire().await?;
        let wait = Duration::from_secs(30);
        scene.pointsman.wait_for("the run to be held", wait, held).await?;
        scene.lab.postgres().sigstop(Site::Gra)?;
        let sheet = plan(scene).await?.to_string();
        ensure!(sheet.contains("3 of 3 vantages say up"), "the port is open, and the guard says: {sheet}");
        ensure!(!sheet.contains("refused, host"), "a hang is not a refusal: {sheet}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.lab.postgres().sigcont(Site::Gra)?;
        let flows = || async { Ok(scene.lab.postgres().ask(Site::Gra, "select 1").await? == "1") };
        wait_until("the primary to wake up", Duration::from_secs(10), flows).await?;
        scene.nothing_changed().await?;
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

/// Neither SQL nor SSH can fence it. It wakes up while people are asked, and nobody's word makes a second writer then.
#[tokio::test]
async fn a_hung_primary_on_a_lost_machine_wakes_up_beside_nobody() {
    play(only_app(), async |scene| {
        scene.lab.hosts_mut().lose(MACHINE, Loss::Silent).await?;
        scene.lab.postgres().sigstop(Site::Gra)?;
        scene.users_notice().await?;
        scene.fire().await?;
        let run = offered(scene).await?;
        ensure!(scene.pointsman.records("intended").await?.is_empty(), "something was changed");
        scene.lab.postgres().sigcont(Site::Gra)?;
        scene.lab.postgres().wait_ready(Site::Gra).await?;
        let lead = scene.pointsman.client_as("incident-lead", "lead").await?;
        let word = json!({ "command": "approve", "accept_unfenced": ["pg-gra"], "reason": "it hung" });
        lead.decide(&run, &word).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let intents = scene.pointsman.records("intended").await?;
        let promoted = intents.iter().any(|record| record.action() == Some("postgres.promote"));
        ensure!(!promoted, "told to promote beside a living primary");
        ensure!(scene.lab.postgres().is_in_recovery(Site::Sbg).await?, "sbg was promoted");
        let nodes: Vec<Site> = scene.checker.stretches().iter().map(|stretch| stretch.node).collect();
        ensure!(!nodes.contains(&Site::Sbg), "sbg took writes");
        let says = scene.pointsman.cli(&["why", &run]).await?;
        ensure!(says.contains("PM3203") && says.contains("lead approved"), "`why` says: {says}");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

/// The primary hangs and is stopped by its host. The standby hangs, too: before the run opens, and again while the fence
/// takes the time that a hung primary costs.
#[tokio::test]
async fn a_hung_primary_is_stopped_and_a_hung_standby_is_never_promoted_blindly() {
    play(only_app(), async |scene| {
        let postgres = scene.lab.postgres();
        postgres.sigstop(Site::Sbg)?;
        postgres.sigstop(Site::Gra)?;
        let gone = super::scene::now_micros();
        scene.users_notice().await?;
        // Nothing would begin: the fence would leave nobody to serve.
        let sheet = plan(scene).await?;
        ensure!(sheet["blockers"].to_string().contains("PM3201"), "{}", sheet["blockers"]);
        let mut follower = scene.pointsman.client.follow(1).await?;
        postgres.sigcont(Site::Sbg)?;
        scene.fire().await?;
        let fence = async {
            while let Some(record) = follower.next().await? {
                if record.kind == "intended" {
                    return postgres.sigstop(Site::Sbg);
                }
            }
            anyhow::bail!("the journal's events ended")
        };
        tokio::time::timeout(Duration::from_secs(40), fence).await.context("no fence began")??;
        let fenced = |records: &[Record]| records.iter().any(Record::is_applied);
        scene.pointsman.wait_for("the fence", Duration::from_secs(30), fenced).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        ensure!(scene.promotions().await? == (0, 0), "it promotes a server that does not answer");
        ensure!(scene.pointsman.records("finished").await?.is_empty(), "the run ended");
        ensure!(!postgres.runs(Site::Gra), "processes of the old primary are left");
        for site in [Site::Gra, Site::Sbg] {
            postgres.sigcont(site)?;
        }
        let end = scene.succeeded().await?;
        let intents = scene.pointsman.records("intended").await?;
        let first = intents.first().map(|record| (record.action(), record.body["call"]["rung"].as_u64()));
        ensure!(first == Some((Some("command.run"), Some(1))), "first came {first:?}");
        scene.serves_after(gone).await?;
        scene.loss_is_as_told(&end).await?;
        ensure!(scene.promotions().await? == (1, 1), "{:?}", scene.promotions().await?);
        ensure!(scene.timeline(Site::Sbg).await? == 2, "not on timeline 2");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}

/// The update has left, and no answer comes: doubt, looked at until the server tells; the other server hangs too.
#[tokio::test]
async fn hung_name_servers_leave_the_swap_in_doubt_until_they_wake() {
    let options = Options { dns_through_gate: true, ..Options::default() };
    play(Setup { options, ..Setup::default() }, async |scene| {
        let gone = scene.kill_primary().await?;
        let dns = scene.lab.dns();
        let serial = dns.serial(dns.primary).await?;
        dns.hang_primary_at_the_next_update()?;
        scene.fire().await?;
        let doubt = |records: &[Record]| {
            records.iter().any(|r| r.kind == "ended" && r.body["end"]["result"] == "indeterminate")
        };
        let records = scene.pointsman.wait_for("the update to be in doubt", FINISHED, doubt).await?;
        ensure!(scene.lab.dns().gate.is_hung(), "the primary of the zone does not hang");
        let ended = records.iter().rfind(|r| r.kind == "ended").context("just seen")?;
        ensure!(ended.says.contains("PM4107"), "{}", ended.says);
        scene.lab.dns_mut().hang_secondary()?;
        let looks = scene.pointsman.records("observed").await?.len();
        tokio::time::sleep(Duration::from_secs(5)).await;
        ensure!(scene.pointsman.records("observed").await?.len() > looks, "nobody looks at the doubt");
        ensure!(scene.pointsman.records("finished").await?.is_empty(), "the run ended in doubt");
        scene.lab.dns_mut().wake()?;
        scene.succeeded().await?;
        scene.name_is_at(Site::Sbg).await?;
        scene.serves_after(gone).await?;
        // A second update may have been sent, since the first looked as if it had done nothing; one took effect.
        let dns = scene.lab.dns();
        ensure!(dns.serial(dns.primary).await? == serial + 1, "the zone changed more than once");
        scene.one_writer()?;
        scene.verifies().await
    })
    .await;
}
