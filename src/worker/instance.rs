//! One running server: opens the store, checks what it was given, starts the tasks, and stops them in order.

use super::ahead::left_frozen;
use super::app::Parts;
use super::audit::{keep_index, open_index, write_head};
use super::clocks::compare_clocks;
use super::codes::send_codes;
use super::heartbeat::beat;
use super::limits::end_freezes;
use super::outbox::{begin_notices, send_notices};
use super::ready::watch_readiness;
use super::refusals::count_refusals;
use super::reload::watch_playbooks;
use super::retain::keep_retention;
use super::sampling::{load_all_samples, load_probes, sample_pairs, watch_probes};
use super::slack::{decide_clicks, listen_to_slack};
use super::supervise::supervise;
use super::tasks::Tasks;
use super::triage::triage;
use super::watch::{watch_fences, watch_windows};
use super::watchdog::watch_heartbeats;
use super::{App, Playbooks, SystemWorld};
use crate::config::Config;
use crate::http::listen::{Peer, TlsListener, acceptor, bind_socket, socket_path};
use crate::kernel::domain::{Digest, Record, Role, Span, Stream};
use crate::kernel::journal::Journal;
use crate::kernel::port::World;
use crate::provider::postgres::sampler::Ring;
use crate::provider::{Ports, ProviderRegistry};
use crate::store::{CheckpointFiles, Checkpoints, HeadState, Opened, SAMPLES_KEPT, SqliteStore};
use crate::units::counted;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const HEAD_EVERY: Span = Span::mins(1);

pub struct ServeOptions {
    pub config: Config,
    /// The configuration's text, for its digest.
    pub config_text: String,
    pub data: PathBuf,
    pub playbooks: PathBuf,
    pub listen: SocketAddr,
    /// Where the journal's end is signed.
    pub checkpoints: CheckpointFiles,
}

/// Serves until SIGINT or SIGTERM.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let Opened { store, head } = SqliteStore::open(&options.data).await?;
    // The port is taken before any record is written, so that a second start fails early.
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        anyhow::anyhow!(
            "PM2101: cannot listen on {}: {error}. Nothing was started. Is another server there?",
            options.listen
        )
    })?;
    // From here on it is a word to this process, not its end.
    let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let tls = options.config.web.tls.as_ref().map(acceptor).transpose().map_err(|why| {
        anyhow::anyhow!("PM2102: {why}. Nothing was started. Mend [web.tls] of the configuration")
    })?;
    let app = Arc::new(assemble(&options, store.clone(), head).await?);
    app.load_limits().await?;
    let channels = begin_notices(&app).await?;
    announce(&app, &options, listener.local_addr()?).await?;
    let stop = CancellationToken::new();
    let mut tasks = Tasks::default();
    tasks.spawn("triage", triage(app.clone(), stop.clone()));
    tasks.spawn("runs", supervise(app.clone(), stop.clone()));
    tasks.spawn("freezes", end_freezes(app.clone(), stop.clone()));
    tasks.spawn("refusals", count_refusals(app.clone(), stop.clone()));
    tasks.spawn("samples", sample_pairs(app.clone(), stop.clone()));
    tasks.spawn("probes", watch_probes(app.clone(), stop.clone()));
    tasks.spawn("clocks", compare_clocks(app.clone(), stop.clone()));
    tasks.spawn("fence watch", watch_fences(app.clone(), stop.clone()));
    tasks.spawn("commit windows", watch_windows(app.clone(), stop.clone()));
    tasks.spawn("playbooks", watch_playbooks(app.clone(), options.playbooks.clone(), hangup, stop.clone()));
    tasks.spawn("readiness", watch_readiness(app.clone(), stop.clone()));
    tasks.spawn("heartbeats of sources", watch_heartbeats(app.clone(), stop.clone()));
    tasks.spawn("notices", send_notices(app.clone(), channels, stop.clone()));
    tasks.spawn("clicks", decide_clicks(app.clone(), stop.clone()));
    tasks.spawn("connections to Slack", listen_to_slack(app.clone(), stop.clone()));
    tasks.spawn("codes", send_codes(app.clone(), stop.clone()));
    tasks.spawn("heartbeat", beat(app.clone(), stop.clone()));
    tasks.spawn("head", note_head(app.clone(), stop.clone()));
    tasks.spawn("index", keep_index(app.clone(), stop.clone()));
    tasks.spawn("retention", keep_retention(app.clone(), stop.clone()));
    let stopping = stop.clone();
    let signalled = async move {
        tokio::select! {
            () = signal() => tracing::info!("stopping: no new calls are begun, those on their way may end"),
            () = stopping.cancelled() => {}
        }
        stopping.cancel();
    };
    let served = listen(listener, tls, app.clone(), signalled);
    tasks.spawn("socket", listen_on_socket(app.clone(), options.data.clone(), stop.clone()));
    // Followers of the journal would hold a graceful stop for ever.
    tokio::select! {
        result = served => result?,
        () = async { stop.cancelled().await; tokio::time::sleep(std::time::Duration::from_secs(2)).await } => {}
    }
    stop.cancel();
    tasks.end().await;
    store.flush().await?;
    if app.frozen().is_none() {
        write_head(&app).await?;
    }
    store.close().await;
    Ok(())
}

/// TCP, under TLS where the configuration has a certificate.
async fn listen(
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let service = crate::http::router(app).into_make_service_with_connect_info::<Peer>();
    match tls {
        None => axum::serve(tcp, service).with_graceful_shutdown(stop).await?,
        Some(tls) => {
            axum::serve(TlsListener::new(tcp, tls), service).with_graceful_shutdown(stop).await?;
        }
    }
    Ok(())
}

/// For people at the machine, when nothing else works. Without it everything else goes on.
async fn listen_on_socket(app: Arc<App>, data: PathBuf, stop: CancellationToken) {
    let listener = match bind_socket(&data) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the socket pointsman.sock cannot be opened; people at this machine use the network");
            return;
        }
    };
    let service = crate::http::router(app).into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        served = axum::serve(listener, service).into_future() => {
            if let Err(error) = served {
                tracing::error!(%error, "nobody is served on the socket any more");
            }
        }
        () = stop.cancelled() => {}
    }
    if let Err(error) = std::fs::remove_file(socket_path(&data)) {
        tracing::debug!(%error, "the socket was gone already");
    }
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; only SIGKILL stops this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

async fn assemble(options: &ServeOptions, store: Arc<SqliteStore>, head: HeadState) -> anyhow::Result<App> {
    let frozen = match head {
        HeadState::Behind(behind) => {
            let error = behind.error();
            tracing::error!("{error}");
            Some(error.to_string())
        }
        _ => None,
    };
    let config = Arc::new(options.config.clone());
    let registry = Arc::new(ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) });
    let journal = Journal::new(store.clone());
    let playbooks = Playbooks::read(&options.playbooks, &config, registry.as_ref()).unwrap_or_else(|error| {
        let dir = options.playbooks.display();
        tracing::warn!(%dir, %error, "there are no playbooks: alerts are recorded, nothing can start");
        Playbooks::default()
    });
    let playbooks = playbooks.remember(&journal, &config, registry.as_ref()).await?;
    playbooks.tell(&Playbooks::default());
    let world = Arc::new(SystemWorld::not_before(journal.backend().head().await?.at));
    let owner = format!("{}-{:016x}", std::process::id(), world.random());
    playbooks.record(&Playbooks::default(), &journal, world.as_ref()).await?;
    let frozen = match frozen {
        Some(why) => Some(why),
        None => left_frozen(&journal.read(&Stream::Instance, 1).await?),
    };
    let samples = Arc::new(Ring::new(usize::try_from(SAMPLES_KEPT).unwrap_or(1_000)));
    let audit = open_index(store.clone()).await;
    let checkpoints = Checkpoints::open(&options.data, &options.checkpoints)?;
    Ok(App::new(Parts {
        store,
        audit,
        checkpoints,
        config,
        registry,
        playbooks,
        world,
        samples,
        owner,
        frozen,
    }))
}

/// The start is on record, the first token is shown, and where to reach it is said.
async fn announce(app: &App, options: &ServeOptions, address: SocketAddr) -> anyhow::Result<()> {
    load_all_samples(app).await?;
    load_probes(app).await?;
    let started = Record::Started {
        version: env!("CARGO_PKG_VERSION").into(),
        owner: app.owner.clone(),
        site: app.config.site.clone(),
        config: Digest::of(options.config_text.as_bytes()),
    };
    let seq = app.seq(&Stream::Instance).await?;
    app.journal.write(app.world.now(), Stream::Instance, Some(seq), started).await?;
    // The first link of the chain is the journal's own name, also in every copy of it.
    if let Some(first) = app.store.origin().await? {
        app.registry.ports.owner.set(first.to_string().get(..16).unwrap_or_default());
    }
    if app.store.tokens().await?.is_empty() {
        let token = app.store.insert_token(Role::Admin, &"admin".into(), app.world.now()).await?;
        say(&format!("admin token, shown only this once: {}", token.expose()));
    }
    let active = app.playbooks().active().count();
    say(&format!(
        "pointsman {} listens on {}://{address} with {}",
        env!("CARGO_PKG_VERSION"),
        if options.config.web.tls.is_some() { "https" } else { "http" },
        counted(active, "active playbook")
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the two lines that a new user has to see")]
fn say(line: &str) {
    println!("{line}");
}

/// Notes the head of the chain outside the database, and signs it: each minute, and at the end of each run.
async fn note_head(app: Arc<App>, stop: CancellationToken) {
    loop {
        if app.frozen().is_none()
            && let Err(error) = write_head(&app).await
        {
            tracing::warn!(%error, "the head of the chain could not be noted");
        }
        let due = app.world.now() + HEAD_EVERY;
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.wakes.head_file.notified() => {}
            () = app.world.sleep_until(due) => {}
        }
    }
}
