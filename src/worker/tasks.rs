//! The tasks of a running server, by name: a stop waits for them, says which ones are late, and goes on without them.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a stop waits. What is cut off then is as after a kill, and the next start looks at it.
const PATIENCE: Duration = Duration::from_secs(7);
/// And how long for one to notice that it is cut off: one that never waits for anything would not.
const CUT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: BTreeMap<Id, &'static str>,
}

impl Tasks {
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Once they were told to stop.
    pub async fn end(self) {
        self.end_within(PATIENCE).await;
    }

    async fn end_within(mut self, patience: Duration) {
        let until = Instant::now() + patience;
        while let Ok(Some(ended)) = timeout_at(until, self.set.join_next_with_id()).await {
            let id = match &ended {
                Ok((id, ())) => *id,
                Err(error) => error.id(),
            };
            let name = self.names.remove(&id);
            if let Err(error) = ended {
                tracing::error!(task = name, %error, "a task ended badly");
            }
        }
        if !self.names.is_empty() {
            let late: Vec<&str> = self.names.into_values().collect();
            tracing::warn!(tasks = late.join(", "), "these have not ended in time, and are cut off");
        }
        if timeout(CUT, self.set.shutdown()).await.is_err() {
            tracing::warn!("one of them does not even notice; it ends with the process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Dropped(Arc<AtomicBool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_one_is_cut_off_and_the_others_end() {
        let (ended, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (done, late) = (ended.clone(), Dropped(cut.clone()));
        let mut tasks = Tasks::default();
        tasks.spawn("in time", async move {
            tokio::time::sleep(PATIENCE / 2).await;
            done.store(true, Ordering::SeqCst);
        });
        tasks.spawn("bad", async { panic!("planted") });
        tasks.spawn("late", async move {
            let _held = late;
            std::future::pending().await
        });
        let began = Instant::now();
        tasks.end().await;
        assert!(ended.load(Ordering::SeqCst) && cut.load(Ordering::SeqCst));
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_never_yields_does_not_hold_the_stop() {
        let (runs, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (began, until) = (runs.clone(), over.clone());
        let mut tasks = Tasks::default();
        tasks.spawn("busy", async move {
            began.store(true, Ordering::SeqCst);
            while !until.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        while !runs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tasks.end_within(Duration::from_millis(10)).await;
        assert!(!over.swap(true, Ordering::SeqCst), "it still ran when the stop was over");
    }
}
