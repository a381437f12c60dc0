//! Two real Patroni clusters over one etcd, one following the other: the old one is demoted, the new one promoted when all
//! of the log is there, a demotion taken back, and what comes back beside a new leader is made to follow it.

use super::tables::{self, Side};
use crate::remote::{Remote, why};
use lab::net::wait_until;
use lab::patroni::{API_PASSWORD, SCOPE, STANDBY_SCOPE};
use lab::{Patroni, PatroniOptions, Site};
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PROMOTE: &str = "patroni.promote_standby_cluster";
const DEMOTE: &str = "patroni.demote_cluster";

struct Rig {
    patroni: Patroni,
    remote: Remote,
    _secrets: tempfile::TempDir,
}

fn planned() -> Fact {
    Fact::Planned { service: "shop".into() }
}

impl Rig {
    async fn new() -> Rig {
        let (sites, standby) = (vec![Site::Gra], vec![Site::Sbg]);
        let options = PatroniOptions { sites, standby, ..PatroniOptions::default() };
        let patroni = Patroni::start(options).await.expect("two clusters");
        let secrets = tempfile::tempdir().unwrap();
        let secret = tables::secret(secrets.path());
        let side = |site: Site, scope: &str| {
            let name = site.name();
            let side = Side { name, scope, site: Some(site), members: vec![site] };
            let cluster = tables::cluster(&side, &secret, |site| format!("http://{}", patroni.api(site)));
            format!("{cluster}{}", tables::servers(&patroni, &side.members, Some(name), &[]))
        };
        let config = format!("{}{}", side(Site::Gra, SCOPE), side(Site::Sbg, STANDBY_SCOPE));
        let remote = Remote::new(&config);
        Rig { patroni, remote, _secrets: secrets }
    }

    /// `target` comes to follow `other`.
    fn demote(&self, target: Site, other: Site) -> Bound {
        let at = self.patroni.postgres(other);
        let with = json!({ "standby": other.to_string(), "host": at.ip().to_string(), "port": at.port() });
        self.remote.bind(DEMOTE, &target.to_string(), with)
    }

    fn promote(&self, target: Site, primary: Site, demoted: bool) -> Bound {
        let with = json!({ "primary": primary.to_string(), "demoted": demoted });
        self.remote.bind(PROMOTE, &target.to_string(), with)
    }

    async fn change(&self, bound: &Bound) -> Change {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match self.remote.plan_given(bound, &[planned()]).await {
                StepPlan::Change(change) => return *change,
                other if Instant::now() > until => panic!("no change but {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn settled(&self, bound: &Bound) -> Vec<Fact> {
        let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        loop {
            match self.remote.plan_given(bound, &[planned()]).await {
                StepPlan::Nothing { gives, says, .. } => {
                    eprintln!("after {:?}: {says}", began.elapsed());
                    return gives;
                }
                other if Instant::now() > until => panic!("it never settled: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn applied(&self, bound: &Bound, change: Change) {
        let end = self.remote.apply(bound, change, 40).await;
        assert_eq!(end.result, CallResult::Applied, "{end:?}");
        assert!(end.detail["window_ms"].is_u64(), "{end:?}");
        assert!(!format!("{end:?}").contains(API_PASSWORD));
    }

    async fn rows(&self, site: Site) -> String {
        self.patroni.sql_as(site, "shop", "select count(*) from sold").await.unwrap_or_default()
    }

    /// The application's own write, and how many of them are there.
    async fn sell(&self, site: Site) -> anyhow::Result<String> {
        self.patroni.sql_as(site, "shop", "insert into sold default values").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_cluster_is_promoted_when_the_old_one_follows_and_all_of_its_log_is_there() {
    use Site::{Gra, Sbg};
    let rig = Rig::new().await;
    rig.patroni.sql_as(Gra, "shop", "create table sold (id serial)").await.unwrap();
    rig.sell(Gra).await.unwrap();
    assert!(rig.sell(Sbg).await.is_err(), "a standby cluster takes no writes");

    let promote = rig.promote(Sbg, Gra, false);
    assert!(why(&rig.remote.plan_given(&promote, &[planned()]).await).starts_with("PM3101"));
    let (demote, promote) = (rig.demote(Gra, Sbg), rig.promote(Sbg, Gra, true));
    assert!(why(&rig.remote.plan(&demote).await).starts_with("PM3101"), "nobody asked for a planned move");
    paused_is_no_fence(&rig).await;

    // Demoted and taken back, before anything was promoted.
    let (change, ahead) = (rig.change(&demote).await, rig.change(&promote).await);
    let Undo::To(back) = change.undo.clone() else { panic!("{:?}", change.undo) };
    let early = rig.remote.apply(&promote, ahead.clone(), 40).await;
    assert_eq!(early.result, CallResult::Rejected { retry: true }, "not demoted yet: {early:?}");
    rig.applied(&demote, change).await;
    let fenced = rig.settled(&demote).await;
    assert!(ahead.needs.iter().all(|need| fenced.iter().any(|fact| fact.meets(need))), "{fenced:?}");
    assert!(rig.sell(Gra).await.is_err(), "it was proven to take no writes");
    let undo = rig.remote.bind(back.kind.as_str(), back.target.as_str(), back.with);
    let change = rig.change(&undo).await;
    rig.applied(&undo, change).await;
    rig.settled(&undo).await;
    rig.sell(Gra).await.unwrap();

    // In earnest. The write right before is not lost, though Patroni ends the leader at once.
    let change = rig.change(&demote).await;
    rig.sell(Gra).await.unwrap();
    let sold = rig.rows(Gra).await;
    rig.applied(&demote, change).await;
    rig.settled(&demote).await;
    let change = rig.change(&promote).await;
    assert_eq!(change.bounds.get("data_loss_bytes"), Some(&0));
    rig.applied(&promote, change.clone()).await;
    let gives = rig.settled(&promote).await;
    assert!(matches!(&gives[..], [Fact::Primary { target, .. }] if target.as_str() == "pg-sbg"), "{gives:?}");
    rig.sell(Sbg).await.unwrap();
    assert_eq!((sold.as_str(), rig.rows(Sbg).await.as_str()), ("3", "4"), "nothing is lost");
    let again = rig.remote.apply(&promote, change, 40).await;
    assert!(matches!(again.result, CallResult::Rejected { retry: false }), "{again:?}");
    wait_until("the old side to have the new writes", Duration::from_secs(30), || async {
        Ok(rig.rows(Gra).await == "4")
    })
    .await
    .unwrap();
    comes_back_beside_it(&rig).await;
}

/// Told to follow while it is paused, the leader goes on taking writes, and that is no fence.
async fn paused_is_no_fence(rig: &Rig) {
    rig.patroni.pause(Site::Gra, true).await.unwrap();
    let demote = rig.demote(Site::Gra, Site::Sbg);
    let says = why(&rig.remote.plan_given(&demote, &[planned()]).await);
    assert!(says.starts_with("PM3609"), "{says}");
    rig.patroni.pause(Site::Gra, false).await.unwrap();
}

/// Somebody makes the old side lead again, beside the new one.
async fn comes_back_beside_it(rig: &Rig) {
    use Site::{Gra, Sbg};
    let body: Value = json!({ "standby_cluster": null });
    let said = rig.patroni.ask(Gra, "PATCH", "/config", Some(body)).await.unwrap();
    assert_eq!(said.status, 200, "{said:?}");
    wait_until("two writers", Duration::from_secs(30), || async { Ok(rig.sell(Gra).await.is_ok()) })
        .await
        .unwrap();
    for bound in [rig.promote(Sbg, Gra, true), rig.promote(Sbg, Gra, false)] {
        let says = why(&rig.remote.plan_given(&bound, &[planned()]).await);
        assert!(says.starts_with("PM3605"), "{says}");
    }
}
