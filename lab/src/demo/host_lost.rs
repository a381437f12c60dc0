//! The other story: the primary's machine is gone with it, nothing can prove that it has stopped, and Pointsman
//! asks for a named decision instead of promoting. Here nobody takes it.

use super::goals::{self, Goals};
use super::screen::Screen;
use super::stage::Stage;
use super::story;
use crate::Site;

pub async fn play(stage: &mut Stage, screen: &Screen) -> anyhow::Result<bool> {
    stage.lose_machine().await?;
    let kill = stage.kill_primary(screen).await?;
    screen.event(
        0.0,
        "lost",
        "nothing answers on the SSH port of the primary's machine either",
        super::screen::Tone::Bad,
    );
    let goals = story::follow(stage, screen, &kill, story::Ending::Asked).await?;
    let claims = look(stage, screen, &goals).await?;
    Ok(goals::report(screen, &claims))
}

/// What is asked, and that nothing was changed meanwhile.
async fn look(stage: &Stage, screen: &Screen, goals: &Goals) -> anyhow::Result<Vec<(String, bool)>> {
    let mut claims = vec![
        (format!("the alert came from {}", stage.told_by()), goals.alert.is_some()),
        ("a run opened for it".to_owned(), goals.run.is_some()),
        ("the run stopped and asked a person".to_owned(), goals.asked.is_some()),
    ];
    if let Some(run) = &goals.run {
        let view = stage.pointsman.run(run).await?;
        let offers: Vec<&str> =
            view["unfenced_offer"].as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
        screen.heading("What a person is asked");
        screen.row("run", view["summary"]["says"].as_str().unwrap_or("?"));
        screen.row("either", "power the machine off in the provider's console, then say so:");
        screen.row("", &format!("pointsman confirm {run} --reason 'powered off by hand'"));
        for target in &offers {
            screen.row(
                "or",
                "go on without a fence, as incident lead, knowing that it may still accept writes:",
            );
            screen.row("", &format!("pointsman approve {run} --accept-unfenced={target} --reason '...'"));
        }
        claims.push(("the override for pg-gra is offered by name".to_owned(), offers == ["pg-gra"]));
    }
    let standby = stage.lab.postgres().is_in_recovery(Site::Sbg).await?;
    let journal = stage.pointsman.journal().await?;
    let promoted = journal.iter().filter(|record| record.action() == Some("postgres.promote")).count();
    screen.heading("What was not done");
    screen.row("standby", if standby { "still a standby: nothing was promoted" } else { "PROMOTED" });
    claims.push(("nothing was promoted".to_owned(), standby && promoted == 0));
    let verified = stage.pointsman.verify().await;
    screen.row("journal", verified.as_deref().map_or("DOES NOT VERIFY", str::trim));
    claims.push(("the journal verifies".to_owned(), verified.is_ok()));
    Ok(claims)
}
