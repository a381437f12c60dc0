//! Takes changed playbooks into force while the instance runs: the folder is looked at every two seconds, and at once on
//! SIGHUP. What is broken changes nothing but the words about it: the last good form stays active. A task of the instance.
//!
//! Runs are not touched: each carries the text that it began with.

use super::{App, Playbooks};
use crate::kernel::domain::{Span, Time};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// Two looks that see the same are needed, so that nothing half written is taken.
const EVERY: Span = Span::secs(2);

/// The set in force, and why the folder could not be taken as it is. Who works with playbooks takes the set once, and
/// works with that one to the end.
#[derive(Default)]
pub struct Shelf {
    set: RwLock<Arc<Playbooks>>,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Debug)]
pub struct Trouble {
    pub since: Time,
    pub says: String,
}

impl Shelf {
    pub fn new(set: Playbooks) -> Shelf {
        Shelf { set: RwLock::new(Arc::new(set)), trouble: Mutex::default() }
    }
    pub fn set(&self) -> Arc<Playbooks> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn put(&self, set: Arc<Playbooks>) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = set;
    }
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// True: it is another one than before.
    fn note(&self, now: Time, says: Option<String>) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = trouble.as_ref().map(|t| &t.says) != says.as_ref();
        if news {
            *trouble = says.map(|says| Trouble { since: now, says });
        }
        news
    }
}

/// What tells that a file may have another content: where it lies, how long it is, when it was changed.
type Stamps = BTreeMap<PathBuf, Option<[i64; 6]>>;

fn stamps(dir: &Path) -> std::io::Result<Stamps> {
    let stamp = |file: PathBuf| {
        // Of the file behind a link: a mounted folder of links is changed by turning one link.
        let found = std::fs::metadata(&file).ok().map(|m| {
            let of = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
            [of(m.ino()), of(m.len()), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]
        });
        (file, found)
    };
    Ok(super::playbooks::folder(dir)?.into_iter().map(stamp).collect())
}

/// Until `stop`. `hangup` is received from before the instance says that it listens, so that it never ends the process.
pub async fn watch_playbooks(app: Arc<App>, dir: PathBuf, mut hangup: Signal, stop: CancellationToken) {
    // Unlike whatever is found: what changed since the start is not missed.
    let (mut taken, mut last) = (None, None);
    loop {
        let due = app.world.now() + EVERY;
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = hangup.recv() => true,
            () = app.world.sleep_until(due) => false,
        };
        let found = look(dir.clone(), stamps).await;
        let seen = found.as_ref().ok().cloned();
        let news = seen.is_none() || taken != seen;
        if asked || (news && last.as_ref() == Some(&seen)) {
            let read = match found {
                Ok(_) => reload(&app, &dir, asked).await,
                Err(why) => Err(unreadable(&dir, &why)),
            };
            if app.note_reload(read.err(), asked) {
                taken = seen.clone();
            }
        }
        last = Some(seen);
    }
}

/// Away from the threads that serve.
async fn look<T: Send + 'static>(
    dir: PathBuf,
    how: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(move || how(&dir)).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn unreadable(dir: &Path, why: &str) -> String {
    format!(
        "PM1264: the playbooks of {} cannot be read now ({why}); those that were in force stay as they are",
        dir.display()
    )
}

/// Reads all of it, writes down what is new, and only then puts it in force.
async fn reload(app: &Arc<App>, dir: &Path, asked: bool) -> Result<(), String> {
    let before = app.playbooks();
    let (config, registry) = (app.config.clone(), app.registry.clone());
    let read = move |dir: &Path| Playbooks::read(dir, &config, registry.as_ref());
    let fresh = look(dir.to_owned(), read).await.map_err(|why| unreadable(dir, &why))?;
    if fresh.is_empty() && !before.is_empty() && !asked {
        let why = "it is empty, as one that is not mounted is; SIGHUP says that it is meant";
        return Err(unreadable(dir, why));
    }
    let now = fresh.after(&before);
    if now.same(&before) {
        return Ok(());
    }
    if let Err(error) = now.record(&before, &app.journal, app.world.as_ref()).await {
        return Err(format!(
            "PM4001: changed playbooks are not in force, since the journal cannot say so: {error}; this is tried again"
        ));
    }
    now.tell(&before);
    app.metrics.playbooks(&now);
    app.shelf.put(Arc::new(now));
    app.wakes.playbooks.notify_one();
    app.wakes.ready.notify_one();
    Ok(())
}

impl App {
    /// The playbooks that are in force.
    pub fn playbooks(&self) -> Arc<Playbooks> {
        self.shelf.set()
    }

    /// Why the folder of playbooks is not in force as it is.
    pub fn playbooks_trouble(&self) -> Option<Trouble> {
        self.shelf.trouble()
    }

    /// True: the folder is in force as it is. `asked`: somebody waits for a word.
    fn note_reload(&self, trouble: Option<String>, asked: bool) -> bool {
        let whole = trouble.is_none();
        self.metrics.reloaded(whole);
        if self.shelf.note(self.world.now(), trouble.clone()) || asked {
            match trouble {
                Some(says) => tracing::error!("{says}"),
                None => tracing::info!("the folder of playbooks was read; what is good in it is in force"),
            }
        }
        whole
    }
}
