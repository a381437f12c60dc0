//! A pair and its Sentinels behind TLS, where whoever asks a Sentinel needs a password: Pointsman as a user with the rights that
//! its page names and no more, or with the password alone.

use super::rig::{code, given};
use super::sentinel::{CALM, Trio, bind, planned};
use crate::remote::{Remote, why};
use lab::{RedisOptions, RedisPair, RedisUser, Site};
use pointsman::kernel::domain::*;
use std::path::Path;

fn secret(folder: &Path, name: &str, password: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, format!("{password}\n")).unwrap();
    format!("password = {{ file = {file:?} }}\n")
}

fn by_tls(text: &str, pair: &RedisPair) -> String {
    let ca = pair.ca().expect("a guarded pair");
    text.replace("tls = \"disable\"\n", &format!("tls = \"verify-full\"\nca = {ca:?}\n"))
}

/// To the Sentinels with these lines, to the servers as ever.
fn login(text: &str, lines: &str) -> String {
    text.replace("[targets.watch]\n", &format!("[targets.watch]\n{lines}"))
}

async fn trio() -> Trio {
    let options = RedisOptions { guarded: true, persistent: true, ..RedisOptions::default() };
    Trio::of(options, CALM, |text, pair| {
        let own = secret(pair.dir(), "sentinels", RedisUser::Pointsman.password());
        login(&by_tls(&text, pair), &format!("user = \"pointsman\"\n{own}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_behind_tls_is_moved_with_the_rights_that_the_page_names() {
    let trio = trio().await;
    let there = trio.bind(Site::Gra, Site::Sbg);
    // Without the one right that moves anything the order is refused, and what was held for it is let go.
    let may = async |word: &str| {
        for n in 0..3 {
            let line = format!("ACL SETUSER pointsman {word}sentinel|failover");
            assert_eq!(trio.sentinels.ask(n, &line).await.unwrap(), "OK");
        }
    };
    may("-").await;
    let change = trio.change(&there).await;
    let end = trio.remote.apply(&there, change, 40).await;
    assert_eq!(end.result, CallResult::Rejected { retry: false }, "{end:?}");
    assert!(end.detail.to_string().contains("NOPERM"), "{end:?}");
    assert_eq!((trio.min_replicas(Site::Gra).await, trio.epoch(0).await), ("0".into(), 0));
    may("+").await;
    let change = trio.change(&there).await;
    let end = trio.remote.apply(&there, change, 40).await;
    assert_eq!(end.result, CallResult::Applied, "{end:?}");
    assert_eq!(given(trio.plan(&there).await).len(), 1);
    assert_eq!(trio.sentinels.settled(&trio.pair).await.unwrap(), Site::Sbg);
    not_let_in(&trio).await;
}

/// Whoever is not let in learns nothing, in words that name the door; the password alone is enough where nobody has a name.
async fn not_let_in(trio: &Trio) {
    let bare = Trio::text(&trio.pair, &trio.sentinels.all, &trio.secrets);
    let folder = trio.secrets.path();
    let (right, wrong) = (RedisUser::Admin.password(), "not-the-password");
    let (right, wrong) = (secret(folder, "right", right), secret(folder, "wrong", wrong));
    let plan = async |text: &str| {
        let remote = Remote::new(text);
        remote.plan_given(&bind(&remote, Site::Sbg, Site::Gra), &[planned()]).await
    };
    let known = by_tls(&bare, &trio.pair);
    let alone = plan(&login(&known, &right)).await;
    assert!(matches!(alone, StepPlan::Change(_)), "{alone:?}");
    let stranger = format!("user = \"somebody\"\n{right}");
    let unknown = bare.replace("tls = \"disable\"", "tls = \"verify-full\"");
    for (text, part) in [
        (login(&known, &wrong), "auth"),
        (login(&known, &stranger), "auth"),
        (known.clone(), "NOAUTH"),
        (login(&unknown, &right), "tls"),
        (login(&bare, &right), "tcp"),
    ] {
        let plan = plan(&text).await;
        let says = why(&plan);
        assert!(matches!(plan, StepPlan::Unknown(_)), "{part}: {plan:?}");
        assert!(code(&plan) == Some("PM3520") && says.contains(part), "{part}: {says}");
        assert!(!says.contains("not-the-password"), "{says}");
    }
}
