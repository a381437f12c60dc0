//! `pointsman db retain` without a server: takes the lock of the data directory, and every step in one go. Playbooks and
//! configuration are read as the server would, since cooldowns and channels count.

use super::steps::{count, readers};
use super::{Cutter, Retained, Terms, Unhurried};
use crate::audit;
use crate::config::Config;
use crate::kernel::domain::Span;
use crate::kernel::port::World as _;
use crate::provider::{Ports, ProviderRegistry};
use crate::store::{self, CheckpointFiles, Checkpoints, HeadState, Opened, SqliteStore, StoreError, code};
use crate::worker::{Playbooks, SystemWorld};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Offline {
    pub data: PathBuf,
    pub config: Config,
    pub playbooks: PathBuf,
    pub checkpoints: CheckpointFiles,
    pub older_than: Span,
    pub dry: bool,
}

/// And how many records went; with what was not done besides, in words.
pub struct Gone {
    pub retained: Retained,
    pub records: u64,
    pub note: Option<String>,
}

/// A server has the directory when this fails with [`code::IN_USE`].
pub async fn retain_offline(asked: &Offline) -> anyhow::Result<Gone> {
    let key = asked.checkpoints.key(&asked.data);
    let Opened { store, head } = SqliteStore::open(&asked.data).await?;
    // Another key would be another signer: whoever checks would find a journal that somebody else went on with.
    let gone = match asked.dry || key.exists() {
        true => with(asked, store.clone(), head).await,
        false => Err(no_key(&key).into()),
    };
    store.close().await;
    let mut gone = gone?;
    if gone.records > 0 {
        audit::discard_index(&asked.data)?;
        let compacted = store::compact(&asked.data).await;
        gone.note = compacted.err().map(|error| format!("the file keeps its size for now: {}", error.what));
    }
    Ok(gone)
}

async fn with(asked: &Offline, store: Arc<SqliteStore>, head: HeadState) -> anyhow::Result<Gone> {
    let frozen = match head {
        HeadState::Behind(behind) => Some(behind.error().what),
        HeadState::Agrees(_) | HeadState::NoFile => None,
    };
    let world = SystemWorld::not_before(store.end().await?.at);
    let terms = terms(asked, &store, frozen.clone(), &world).await?;
    if asked.dry {
        let cut = count(&store, terms, &Unhurried).await?;
        return Ok(Gone { retained: Retained { cut, decided: None }, records: 0, note: None });
    }
    let checkpoints = Arc::new(Checkpoints::open(&asked.data, &asked.checkpoints)?);
    let cutter = Cutter { store, checkpoints };
    let mut records = match &frozen {
        Some(_) => 0,
        None => cutter.finish(&Unhurried).await?,
    };
    let cut = count(&cutter.store, terms, &Unhurried).await?;
    let decided = cutter.decide(&cut, None, world.now(), &Unhurried).await?;
    records += cutter.finish(&Unhurried).await?;
    Ok(Gone { retained: Retained { cut, decided }, records, note: None })
}

async fn terms(
    asked: &Offline,
    store: &SqliteStore,
    frozen: Option<String>,
    world: &SystemWorld,
) -> anyhow::Result<Terms> {
    let config = Arc::new(asked.config.clone());
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let playbooks = Playbooks::read(&asked.playbooks, &config, &registry).unwrap_or_else(|error| {
        let dir = asked.playbooks.display();
        tracing::warn!(%dir, %error, "no playbooks are read: the last change of each service counts still");
        Playbooks::default()
    });
    let readers = readers(store, &config).await?;
    let (now, older_than, cooldowns) = (world.now(), asked.older_than, playbooks.cooldowns());
    Ok(Terms { now, older_than, cooldowns, readers, frozen })
}

fn no_key(key: &Path) -> StoreError {
    StoreError::new(
        code::RETENTION,
        format!("a cut must be signed, and the key of the checkpoints is not at {}", key.display()),
        "nothing was changed",
        "name the key and the checkpoints as `pointsman serve` has them: --checkpoint-key FILE --checkpoints FILE",
    )
}
