//! Signs of life for somebody outside who raises the alarm when they stop. Sent only right after something was made durable:
//! a Pointsman that cannot write down what it does is as good as dead.

use super::App;
use crate::notify::{Poster, sign_of_life};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// `serve` runs it until `stop`.
pub async fn beat(app: Arc<App>, stop: CancellationToken) {
    let Some(crate::config::Heartbeat { url, every }) = app.config.heartbeat.clone() else { return };
    let poster = Poster::default();
    let mut failing = false;
    loop {
        let due = app.world.now() + every;
        let sent = match app.store.prove_writable(app.world.now()).await {
            Ok(()) => sign_of_life(&poster, &url).await,
            Err(error) => Err(format!("none is sent, since nothing can be written: {error}")),
        };
        app.metrics.heartbeat(sent.is_ok());
        match &sent {
            Ok(()) if failing => tracing::info!("signs of life arrive again"),
            Ok(()) => {}
            Err(why) => tracing::warn!(%why, "the heartbeat failed"),
        }
        failing = sent.is_err();
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.world.sleep_until(due) => {}
        }
    }
}
