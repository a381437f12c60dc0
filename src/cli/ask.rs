//! Typed confirmation: the service's name, on a terminal or by `--confirm=SERVICE`. There is no other way
//! to say yes, and `CI=true` says nothing. Used by `run` and `approve`.

use super::{Exit, Fault, Talk};
use std::time::Duration;

/// A plan is shown for as long; who answers later has read something old.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// `not_done` says what did not happen when the answer is no.
pub async fn confirm(
    talk: &mut Talk,
    service: &str,
    given: Option<&str>,
    not_done: &str,
) -> Result<(), Fault> {
    let fault = |failed: String| {
        Fault::new(Exit::Usage, "PM0007", failed)
            .state(not_done)
            .remedy(format!("read the plan; then type {service}, or give --confirm={service}"))
    };
    if let Some(given) = given {
        return match given == service {
            true => Ok(()),
            false => Err(fault(format!("--confirm={given} does not name the service {service}"))),
        };
    }
    let Some(mut answers) = talk.answers.take() else {
        return Err(fault("nobody can be asked here: this is no terminal".into()));
    };
    talk.prompt(&format!("Type the service's name to go on ({service}): "));
    // Read on a thread of its own: a person takes minutes, and Ctrl-C must not wait for them.
    let read = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        answers.read_line(&mut line).map(|_| (line, answers))
    });
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(Ok((line, answers)))) => {
            talk.answers = Some(answers);
            match line.trim() == service {
                true => Ok(()),
                false => Err(fault(format!("the answer does not name the service {service}"))),
            }
        }
        Ok(_) => Err(fault("the answer cannot be read".into())),
        Err(_) => Err(fault("nobody answered within 15 minutes".into())),
    }
}
