//! The demo: a whole outage on real servers, told as it happens. `scripts/demo` runs it through `lab-demo`.
//!
//! It ends well only if everything that it is about was observed; what was not is named.

mod account;
mod event;
mod goals;
mod host_lost;
mod journal;
mod screen;
mod stage;
mod story;
mod watch;

use screen::Screen;
use stage::Stage;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// Leaves everything running after the story, until Ctrl-C.
    pub keep: bool,
    /// The machine of the primary is lost too: no fence can be proven.
    pub host_lost: bool,
    /// Zabbix watches the primary, in place of Prometheus and Alertmanager.
    pub zabbix: bool,
}

/// Runs the demo to its end; true when everything was observed.
pub async fn run(flags: Flags) -> anyhow::Result<bool> {
    let screen = Screen::of_terminal();
    let mut stage = Stage::build(&screen, flags).await?;
    stage.wait_quiet(&screen).await?;
    let all = match flags.host_lost {
        false => failover(&mut stage, &screen).await?,
        true => host_lost::play(&mut stage, &screen).await?,
    };
    if flags.keep {
        stage.addresses(&screen);
        stage.credentials(&screen).await?;
        screen.plain("Everything keeps running. Ctrl-C ends it and takes it away.");
        tokio::signal::ctrl_c().await?;
        screen.plain("Taking everything away (some seconds) ...");
    }
    Ok(all)
}

/// The primary dies, its machine lives: the fence reaches the machine, and the run goes through.
async fn failover(stage: &mut Stage, screen: &Screen) -> anyhow::Result<bool> {
    let checker = stage.lab.start_checker();
    let kill = stage.kill_primary(screen).await?;
    let goals = story::follow(stage, screen, &kill, story::Ending::Failover).await?;
    let accounts = account::settle(stage, screen, &kill, &goals, &checker).await?;
    Ok(goals.report(screen, accounts, stage.told_by()))
}
