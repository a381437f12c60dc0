//! Machines at providers: stateful fakes that check who asks, whose tasks take a while and exclude each other.

use super::api::{API, Api, Place, secret};
use super::fixture::Nature;
use crate::remote::{Remote, is_nothing, is_unknown, why};
use futures_util::future::{BoxFuture, FutureExt as _};
use lab::providers::{Droplet, Mishap, Openstack, Which};
use pointsman::kernel::domain::*;
use pointsman::kernel::port::Bound;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn down() -> Vec<Fact> {
    vec![Fact::Down { site: "gra".into() }]
}

async fn planned(remote: &Remote, action: &Bound) -> Change {
    match remote.plan_given(action, &down()).await {
        StepPlan::Change(change) => *change,
        other => panic!("no change but {other:?}"),
    }
}

pub struct Do(Droplet);

pub async fn droplet() -> Api<Do> {
    let fake = Droplet::start().await.unwrap();
    let at = fake.http;
    Api::before(Do(fake), at).await
}

impl Place for Do {
    fn kind(&self) -> &'static str {
        "digitalocean.droplet"
    }
    fn nature(&self) -> Nature {
        API
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let (token, id) = (secret(secrets, "token", self.0.token), self.0.id);
        format!(
            "[targets.target]\nkind = \"digitalocean_droplet\"\nsite = \"gra\"\napi = \"{base}\"\ndroplet = {id}\ntoken = {token}\n\
             [targets.pg-gra]\nkind = \"host\"\nsite = \"gra\"\nlocal = true\n\
             [targets.pg-par]\nkind = \"host\"\nsite = \"par\"\nlocal = true\n"
        )
    }
    fn with(&self) -> Value {
        json!({})
    }
    fn given(&self) -> Vec<Fact> {
        down()
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.0.put("active") }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!(self.0.status()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.0.put("archive") }.boxed()
    }
    fn success(&self) -> (u16, String) {
        (201, json!({ "action": { "id": 1, "status": "in-progress", "type": "power_off" } }).to_string())
    }
    fn secrets(&self) -> Vec<String> {
        vec![self.0.token.to_owned()]
    }
}

/// Taken is not done: while the action is under way nothing is known, and when it fails nothing is proven.
#[tokio::test(flavor = "multi_thread")]
async fn a_droplet_is_off_when_its_action_is_over_and_not_before() {
    let api = droplet().await;
    let remote = api.remote();
    let action = remote.bind("digitalocean.droplet", "target", json!({}));
    let change = planned(&remote, &action).await;
    assert_eq!((change.now.as_str(), change.after.as_str()), ("pg-gra-1 is on", "pg-gra-1 is off"));
    let end = remote.apply(&action, change.clone(), 20).await;
    assert!(end.detail["action"].is_u64(), "{end:?}");
    let plan = remote.plan(&action).await;
    assert!(is_unknown(&plan) && why(&plan).contains("power_off 36804000 is in-progress"), "{plan:?}");
    remote.settled(&action).await;

    api.place.0.put("active");
    api.place.0.fail();
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let again = planned(&remote, &action).await;
    assert!(again.warnings.iter().any(|text| text.contains("power_off 36804000 is errored")), "{again:?}");
}

/// What may be alive is not cut: the site must be said to be down, or the database on it be superseded.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_site_is_not_down_stays_on() {
    let api = droplet().await;
    let remote = api.remote();
    let action = remote.bind("digitalocean.droplet", "target", json!({}));
    for given in [vec![], vec![Fact::Down { site: "sbg".into() }], vec![Fact::Serves { site: "gra".into() }]]
    {
        let plan = remote.plan_given(&action, &given).await;
        assert!(matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4410"), "{given:?}: {plan:?}");
    }
    let superseded = |name: &str| [Fact::Superseded { target: name.into(), by: "pg-sbg".into() }];
    for elsewhere in ["pg-par", "nobody knows it"] {
        let plan = remote.plan_given(&action, &superseded(elsewhere)).await;
        assert!(
            matches!(plan, StepPlan::Refuse(_)) && why(&plan).contains("PM4410"),
            "{elsewhere}: {plan:?}"
        );
    }
    assert!(matches!(remote.plan_given(&action, &superseded("pg-gra")).await, StepPlan::Change(_)));
}

/// The ladder goes on after it: what stands between on and off proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn neither_on_nor_off_is_unknown() {
    let api = droplet().await;
    let remote = api.remote();
    let action = remote.bind("digitalocean.droplet", "target", json!({}));
    for status in ["new", "archive"] {
        api.place.0.put(status);
        let plan = remote.plan(&action).await;
        assert!(is_unknown(&plan) && why(&plan).contains("PM4402"), "{status}: {plan:?}");
    }
}

pub struct Ovh {
    fake: Openstack,
    user: bool,
}

/// By an application credential, or by a user's password.
pub async fn ovh(user: bool) -> Api<Ovh> {
    let fake = Openstack::start().await.unwrap();
    let at = fake.http;
    Api::before(Ovh { fake, user }, at).await
}

impl Place for Ovh {
    fn kind(&self) -> &'static str {
        "ovh.instance"
    }
    fn nature(&self) -> Nature {
        API
    }
    fn config(&self, base: &str, secrets: &Path) -> String {
        let (region, id) = (self.fake.region, self.fake.id);
        let login = if self.user {
            let (name, password) = self.fake.user;
            let (given, project) = (secret(secrets, "password", password), self.fake.project);
            format!("user = \"{name}\"\npassword = {given}\nproject = \"{project}\"\n")
        } else {
            let (name, text) = self.fake.application;
            let given = secret(secrets, "application", text);
            format!("application_credential_id = \"{name}\"\napplication_credential_secret = {given}\n")
        };
        format!(
            "[targets.target]\nkind = \"ovh_instance\"\nsite = \"gra\"\nauth_url = \"{base}/v3\"\nregion = \"{region}\"\n\
             instance = \"{id}\"\n{login}"
        )
    }
    fn with(&self) -> Value {
        json!({})
    }
    fn given(&self) -> Vec<Fact> {
        down()
    }
    fn reset(&self) -> BoxFuture<'_, ()> {
        async { self.fake.put("ACTIVE", "active", 1) }.boxed()
    }
    fn standing(&self) -> BoxFuture<'_, Value> {
        async { json!(self.fake.state()) }.boxed()
    }
    fn by_hand(&self) -> BoxFuture<'_, ()> {
        async { self.fake.put("SUSPENDED", "suspended", 4) }.boxed()
    }
    fn success(&self) -> (u16, String) {
        (202, String::new())
    }
    fn secrets(&self) -> Vec<String> {
        [self.fake.application.1, self.fake.user.1, "gAAAA-lab-"].map(str::to_owned).to_vec()
    }
}

/// A host that is dead takes the task and never carries it out: that is no fence, however long it takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_on_a_dead_host_proves_nothing() {
    let api = ovh(false).await;
    let remote = api.remote();
    let action = remote.bind("ovh.instance", "target", json!({}));
    let change = planned(&remote, &action).await;
    api.place.fake.kill_host();
    assert_eq!(remote.apply(&action, change.clone(), 20).await.result, CallResult::Applied);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let plan = remote.plan(&action).await;
    assert!(is_unknown(&plan) && why(&plan).contains("it is powering-off"), "{plan:?}");
    // And what is under way is not asked for again.
    let end = remote.apply(&action, change, 20).await;
    assert_eq!(end.result, CallResult::Rejected { retry: true }, "{end:?}");
}

/// One login for many looks; a token that is refused is asked for anew, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_kept_and_renewed_when_it_is_refused() {
    let api = ovh(false).await;
    let remote = api.remote();
    let action = remote.bind("ovh.instance", "target", json!({}));
    for _ in 0..5 {
        planned(&remote, &action).await;
    }
    assert_eq!(api.place.fake.tokens_given(), 1);
    api.place.fake.expire();
    let change = planned(&remote, &action).await;
    assert_eq!(api.place.fake.tokens_given(), 2);
    api.place.fake.expire();
    assert_eq!(remote.apply(&action, change, 20).await.result, CallResult::Applied);
    remote.settled(&action).await;
}

/// Shut off in one word and running in another is not off.
#[tokio::test(flavor = "multi_thread")]
async fn signs_that_disagree_are_no_proof() {
    let api = ovh(true).await;
    let remote = api.remote();
    let action = remote.bind("ovh.instance", "target", json!({}));
    for (status, vm, power) in [("SHUTOFF", "stopped", 1), ("SHUTOFF", "active", 4), ("PAUSED", "paused", 3)]
    {
        api.place.fake.put(status, vm, power);
        let plan = remote.plan(&action).await;
        assert!(is_unknown(&plan), "{status} {vm} {power}: {plan:?}");
    }
    api.place.fake.put("SHUTOFF", "stopped", 4);
    assert!(is_nothing(&remote.plan(&action).await));
}

/// A wrong credential is told, and nothing is known by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_is_unknown() {
    let api = ovh(false).await;
    let remote = api.remote();
    let action = remote.bind("ovh.instance", "target", json!({}));
    let body = json!({ "error": { "code": 401, "message": "requires authentication" } }).to_string();
    api.proxy.plant(Which::Reads, Mishap::Answer { status: 401, headers: vec![], body });
    let plan = remote.plan(&action).await;
    assert!(is_unknown(&plan) && why(&plan).contains("auth: it answered 401"), "{plan:?}");
}
