//! The one task that writes. Appends that wait while a commit runs become the next group: the slower the disk, the
//! larger the groups. `SqliteStore` feeds it; it ends when the store is closed or dropped.

use super::cut::{self, CutDeed};
use super::doubt;
use super::fault::Fault;
use super::group::{GroupError, write_group};
use super::ledger::{Admitted, Ledger};
use super::neighbour::{Buffer, flush};
use super::open::{load_ledger, writer as connect};
use super::seal;
use super::tail::Tail;
use super::token::{TokenCache, TokenDeed, TokenReply, carry_out};
use crate::kernel::journal::{AppendError, RawBatch, Written};
use sqlx::{Connection, SqliteConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

/// Appends waiting; beyond it an append is refused as busy.
pub(super) const QUEUE: usize = 4_096;
const GROUP: usize = 256;
const GROUP_BYTES: usize = 16 << 20;
/// Samples are durable within twice this time.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// For steps of a recovery; SQLite's own busy time-out is five seconds.
const RECOVERY: Duration = Duration::from_secs(20);

type Reply = oneshot::Sender<Result<Vec<Written>, AppendError>>;

pub(super) struct Waiting {
    pub batch: RawBatch,
    pub reply: Reply,
}

pub(super) enum Job {
    Append(Waiting),
    Flush(oneshot::Sender<Result<(), String>>),
    Token(TokenDeed, oneshot::Sender<TokenReply>),
    Cut(CutDeed, oneshot::Sender<Result<u64, String>>),
    Close,
}

pub(super) struct Writer {
    pub dir: PathBuf,
    /// None: lost to doubt; nothing is written before a recovery has succeeded.
    pub open: Option<(SqliteConnection, Ledger)>,
    pub buffer: Arc<Buffer>,
    pub cache: Arc<TokenCache>,
    pub tail: Arc<Tail>,
    /// SQLite's count of what other connections have written.
    pub seen_version: i64,
    pub jobs: mpsc::Receiver<Job>,
}

/// How a group ended.
enum Ended {
    Kept,
    Not(Fault),
    /// The commit's end was unclear at first; reading told that nothing of it was kept.
    NotAfterAll(String),
    Doubt(String),
}

impl Writer {
    pub async fn work(mut self) {
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jobs = Vec::with_capacity(GROUP);
        while self.next_jobs(&mut jobs, &mut tick).await {
            let mut group = vec![];
            let mut closing = false;
            for job in jobs.drain(..) {
                match job {
                    Job::Append(waiting) => group.push(waiting),
                    Job::Flush(reply) => drop(reply.send(self.flush().await)),
                    Job::Token(deed, reply) => drop(reply.send(self.token(deed).await)),
                    Job::Cut(deed, reply) => drop(reply.send(self.cut(deed).await)),
                    Job::Close => closing = true,
                }
            }
            for group in split(group) {
                self.append(group).await;
            }
            if closing {
                break;
            }
        }
        if let Err(why) = self.flush().await {
            tracing::warn!(%why, "samples of the last second were not kept");
        }
        if let Some((mut conn, _)) = self.open.take() {
            // A reader beside us, such as `audit verify`, would otherwise leave the WAL as it is.
            let settled = doubt::settle(&mut conn).await;
            if let Err(why) = settled.and(conn.close().await.map_err(|e| e.to_string())) {
                tracing::warn!(%why, "the database was not closed cleanly; its WAL is read at the next start");
            }
        }
    }

    /// False: nobody can send any more.
    async fn next_jobs(&mut self, jobs: &mut Vec<Job>, tick: &mut Interval) -> bool {
        loop {
            tokio::select! {
                received = self.jobs.recv_many(jobs, GROUP) => return received > 0,
                _ = tick.tick() => {
                    self.look_for_guests().await;
                    if let Err(why) = self.flush().await {
                        tracing::warn!(%why, "samples wait in memory");
                    }
                }
            }
        }
    }

    /// `token create` and `token revoke` write beside us; whatever it was, tokens are read anew. So are they while
    /// nobody can tell: a revoked token must not live on in memory because a disk is in trouble.
    async fn look_for_guests(&mut self) {
        let version: Option<i64> = match self.open.as_mut() {
            Some((conn, _)) => sqlx::query_scalar("PRAGMA data_version").fetch_one(conn).await.ok(),
            None => None,
        };
        if version.is_none_or(|version| version != self.seen_version) {
            self.seen_version = version.unwrap_or(0);
            self.cache.clear();
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.recover().await?;
        let (conn, _) = self.open.as_mut().expect("invariant: just recovered");
        flush(conn, &self.buffer).await
    }

    async fn token(&mut self, deed: TokenDeed) -> TokenReply {
        self.recover().await?;
        let (conn, _) = self.open.as_mut().expect("invariant: just recovered");
        carry_out(conn, deed).await.map_err(|e| e.to_string())
    }

    /// Whatever an error leaves behind ends with the connection: each step of a cut can be taken again.
    async fn cut(&mut self, deed: CutDeed) -> Result<u64, String> {
        self.recover().await?;
        let (mut conn, ledger) = self.open.take().expect("invariant: just recovered");
        // It may hold what goes now.
        self.tail.clear();
        let done = cut::carry_out(&mut conn, deed).await;
        // Nor does what somebody looked up meanwhile count.
        self.tail.clear();
        let done = done.map_err(|e| e.to_string())?;
        self.open = Some((conn, ledger));
        Ok(done)
    }

    /// Opens the database again if a doubt has closed it.
    async fn recover(&mut self) -> Result<(), String> {
        if self.open.is_some() {
            return Ok(());
        }
        let opened = tokio::time::timeout(RECOVERY, async {
            let mut conn = connect(&self.dir).await.map_err(|e| e.to_string())?;
            doubt::settle(&mut conn).await?;
            let ledger = load_ledger(&mut conn).await.map_err(|e| e.to_string())?;
            Ok::<_, String>((conn, ledger))
        });
        let opened = opened.await.map_err(|_| "the database did not open in time".to_owned())?;
        self.open = Some(opened?);
        tracing::info!("the database was opened again and its end is certain");
        Ok(())
    }

    async fn append(&mut self, group: Vec<Waiting>) {
        let alone = group.len() == 1;
        if let Err(why) = self.prepare(&group).await {
            self.open = None;
            answer_all(group, &AppendError::Unavailable(why));
            return;
        }
        let (verdicts, kept) = self.write(&group).await;
        match kept {
            Ended::Not(Fault::Broken(_) | Fault::Full(_) | Fault::Conflict(_)) if !alone => {
                // One of them may be to blame: each by itself, so that it does not hurt the others.
                for waiting in group {
                    Box::pin(self.append(vec![waiting])).await;
                }
            }
            ended => {
                for (waiting, verdict) in group.into_iter().zip(verdicts) {
                    let result = answer(verdict, &ended);
                    // Nobody may wait any more: the request was given up. The records stand.
                    let _ = waiting.reply.send(result);
                }
            }
        }
    }

    /// Everything that the ledger must know to judge the group.
    async fn prepare(&mut self, group: &[Waiting]) -> Result<(), String> {
        self.recover().await?;
        let (conn, ledger) = self.open.as_mut().expect("invariant: just recovered");
        ledger.forget_if_large();
        for waiting in group {
            for stream in ledger.unknown_streams(&waiting.batch) {
                let last = seal::last_seq(conn, &stream).await.map_err(|e| e.to_string())?;
                ledger.seqs.insert(stream, last);
            }
        }
        Ok(())
    }

    async fn write(&mut self, group: &[Waiting]) -> (Vec<Result<Vec<Written>, AppendError>>, Ended) {
        let (mut conn, mut ledger) = self.open.take().expect("invariant: prepared");
        let mut admitted: Vec<Admitted<'_>> = Vec::with_capacity(group.len());
        let mut verdicts = Vec::with_capacity(group.len());
        for waiting in group {
            let verdict = ledger.admit(&waiting.batch);
            verdicts.push(verdict.map(|a| {
                let written = a.written();
                admitted.push(a);
                written
            }));
        }
        if admitted.is_empty() {
            self.open = Some((conn, ledger));
            return (verdicts, Ended::Kept);
        }
        let ended = match write_group(&mut conn, &admitted).await {
            Ok(()) => {
                self.open = Some((conn, ledger));
                Ended::Kept
            }
            Err(GroupError::NotKept(fault)) => {
                self.roll_back(conn).await;
                Ended::Not(fault)
            }
            Err(GroupError::Unclear(why)) => {
                tracing::error!(%why, "COMMIT failed; opening the database again to see what was kept");
                drop(conn);
                self.settle(&admitted, why).await
            }
        };
        match &ended {
            Ended::Kept => self.tail.push(admitted.iter().flat_map(|a| &a.records)),
            Ended::Not(_) | Ended::NotAfterAll(_) => {}
            Ended::Doubt(_) => self.tail.clear(),
        }
        (verdicts, ended)
    }

    /// The ledger ran ahead; it is read anew. A connection that cannot even do that is given up.
    async fn roll_back(&mut self, mut conn: SqliteConnection) {
        // SQLite may have rolled back by itself, then this is an error without meaning.
        let _ = sqlx::query("ROLLBACK").execute(&mut conn).await;
        match load_ledger(&mut conn).await {
            Ok(ledger) => self.open = Some((conn, ledger)),
            Err(e) => tracing::error!(error = %e, "the database cannot be read; it will be opened again"),
        }
    }

    /// A group is one transaction: its last record is there with its hash, or nothing of it is.
    async fn settle(&mut self, admitted: &[Admitted<'_>], why: String) -> Ended {
        if let Err(again) = self.recover().await {
            return Ended::Doubt(format!("{why}; and then: {again}"));
        }
        let (conn, _) = self.open.as_mut().expect("invariant: just recovered");
        let Some(last) = admitted.iter().flat_map(|a| &a.records).last() else {
            return Ended::Doubt(why);
        };
        match doubt::is_there(conn, last.position, last.hash).await {
            Ok(true) => Ended::Kept,
            Ok(false) => Ended::NotAfterAll(why),
            Err(again) => Ended::Doubt(format!("{why}; and then: {again}")),
        }
    }
}

/// What one waiter is told. A refusal may stand on records of its group: where those were not kept, it is void.
fn answer(verdict: Result<Vec<Written>, AppendError>, ended: &Ended) -> Result<Vec<Written>, AppendError> {
    let refused = verdict.is_err();
    match ended {
        Ended::Kept => verdict,
        Ended::Not(_) | Ended::NotAfterAll(_) | Ended::Doubt(_) if refused => {
            Err(AppendError::Busy("the group it was judged with could not be written; try again".into()))
        }
        Ended::Not(Fault::Full(why)) => Err(AppendError::Full(why.clone())),
        Ended::Not(Fault::Busy(why)) => Err(AppendError::Busy(why.clone())),
        Ended::Not(Fault::Conflict(why)) => {
            Err(AppendError::Unavailable(format!("somebody else writes to the journal: {why}")))
        }
        Ended::Not(Fault::Broken(why)) => Err(AppendError::Unavailable(why.clone())),
        Ended::NotAfterAll(why) => Err(AppendError::Unavailable(format!("certainly not kept: {why}"))),
        Ended::Doubt(why) => Err(AppendError::Doubt(why.clone())),
    }
}

fn answer_all(group: Vec<Waiting>, error: &AppendError) {
    for waiting in group {
        let _ = waiting.reply.send(Err(error.clone()));
    }
}

/// Large bodies make smaller groups, so that memory and the time of one commit stay bounded.
fn split(waiting: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut groups: Vec<Vec<Waiting>> = vec![];
    let mut bytes = 0;
    for one in waiting {
        let size = weight(&one.batch);
        match groups.last_mut() {
            Some(group) if bytes + size <= GROUP_BYTES => group.push(one),
            Some(_) | None => {
                groups.push(vec![one]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    groups
}

fn weight(batch: &RawBatch) -> usize {
    use crate::kernel::journal::Row;
    let bodies: usize = batch.parts.iter().flat_map(|p| &p.entries).map(|e| e.body.len()).sum();
    let contents =
        batch.rows.iter().map(|r| if let Row::Content { bytes, .. } = r { bytes.len() } else { 64 });
    bodies + contents.sum::<usize>()
}
