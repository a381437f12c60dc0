//! The approval page: what looks at it, follows its links and submits its forms without being somebody changes nothing;
//! and what a person does there is right, once, and on record.

use super::desk::{
    Browser, ONE, approve, asked, decide, link, login_code, person_token, plot, run, still_pending, waiting,
};
use crate::limits::yard::Yard;
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_hundred_looks_a_crawler_and_a_scanner_that_submits_forms_decide_nothing() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, digest) = asked(&yard).await;
    let link = link(&yard).await;
    let looks = yard.world.looks.load(Ordering::SeqCst);
    let mut nobody = Browser::new(&yard);
    let paths = [
        link.clone(),
        format!("/approvals/{id}"),
        "/approvals".into(),
        "/sign-in".into(),
        format!("/sign-in?next={id}"),
    ];
    for path in &paths {
        for _ in 0..100 {
            let (got, head) = (nobody.get(path).await.status, nobody.head(path).await.status);
            assert!(got < 400 && head == got, "{path}: {got} {head}");
        }
    }
    still_pending(&yard, &id).await;
    // A crawler: every address in every page, and what those lead to.
    let (mut todo, mut seen) = (paths.to_vec(), vec![]);
    while let Some(path) = todo.pop() {
        if seen.contains(&path) {
            continue;
        }
        let shown = nobody.get(&path).await;
        let found = shown.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        todo.extend(found.map(str::to_owned));
        todo.extend(shown.headers.get("location").and_then(|l| l.to_str().ok()).map(str::to_owned));
        seen.push(path);
    }
    assert!(seen.len() >= 4, "{seen:?}");
    still_pending(&yard, &id).await;
    // A scanner: every form that there is, and the one that it knows, with whatever it likes.
    for token in ["", "0000", &digest] {
        for decision in ["approve", "reject", "pass", "replan"] {
            let fields = [
                ("form", token),
                ("digest", digest.as_str()),
                ("decision", decision),
                ("answer", "sbg"),
                ("reason", "scanned"),
            ];
            let shown = nobody.post(&format!("/approvals/{id}"), &fields).await;
            assert_eq!(shown.status, 401, "{}", shown.html);
            assert_eq!(nobody.post(&link, &fields).await.status, 405);
        }
        assert_eq!(nobody.post("/sign-in", &[("code", token)]).await.status, 403);
        assert_eq!(nobody.post("/sign-out", &[("form", token)]).await.status, 401);
        let wish = [("person", "bo"), ("by", "email")];
        assert_eq!(nobody.post("/sign-in/code", &wish).await.status, 200, "and nothing comes of it");
    }
    still_pending(&yard, &id).await;
    assert_eq!(yard.world.looks.load(Ordering::SeqCst), looks, "nobody who is not signed in makes it look");
    let (mut bo, mut eve) = (Browser::signed_in(&yard, "bo").await, Browser::signed_in(&yard, "eve").await);
    for _ in 0..10 {
        bo.get(&format!("/approvals/{id}")).await;
        eve.head(&format!("/approvals/{id}")).await;
    }
    assert_eq!(yard.world.looks.load(Ordering::SeqCst), looks + 1, "all who may decide share one look");
    assert!(yard.records("decided").await.is_empty());
    yard.verified();
}

#[tokio::test]
async fn the_page_is_small_private_and_says_what_matters_in_order() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let link = link(&yard).await;
    let plain = Browser::new(&yard).get(&link).await;
    let mut bo = Browser::signed_in(&yard, "bo").await;
    let own = bo.get(&format!("/approvals/{id}")).await;
    for shown in [&plain, &own] {
        assert_eq!(shown.status, 200);
        assert!(shown.html.len() < 30_000, "{} bytes", shown.html.len());
        for outside in ["<script", "src=", "href=\"http", "@import", "url("] {
            assert!(!shown.html.contains(outside), "{outside}: {}", shown.html);
        }
        assert_eq!(shown.header("cache-control"), "no-store");
        assert_eq!(shown.header("referrer-policy"), "no-referrer");
        assert_eq!(shown.header("x-robots-tag"), "noindex, nofollow");
        let policy = shown.header("content-security-policy");
        for part in
            ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "style-src 'sha256-"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        let order = [
            "Approve run?",
            "s0:",
            "gra → sbg",
            "Why",
            "Alert SiteDown",
            "Does",
            "move it",
            "May be lost",
            "Takes",
            "If you do nothing",
            "more people are asked",
            "Asked by an alert",
        ];
        let places: Vec<usize> = order
            .iter()
            .map(|word| shown.html.find(word).unwrap_or_else(|| panic!("{word}: {}", shown.html)))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }
    assert!(!plain.html.contains("name=\"decision\"") && plain.html.contains("Sign in to decide"));
    for word in ["Where will traffic go?", "still so", "Not me, next", "Reject", "You are bo"] {
        assert!(own.html.contains(word), "{word}: {}", own.html);
    }
    // The page of another run's link, and of none, are alike.
    let wrong = Browser::new(&yard).get(&format!("/approvals/{id}/{}", "0".repeat(20))).await;
    assert_eq!(wrong.status, 404);
    assert_eq!(bo.get("/approvals/ZZZZZZ").await.status, 404);
    assert_eq!(Browser::new(&yard).get("/approvals/ZZZZZZ/00000000000000000000").await.status, 404);
    let list = bo.get("/approvals").await;
    assert!(list.html.contains("waits for you") && list.html.contains(&format!("/approvals/{id}")));
    let mut zoe = Browser::signed_in(&yard, "zoe").await;
    let shown = zoe.get(&format!("/approvals/{id}")).await;
    assert!(
        !shown.html.contains("name=\"decision\"") && shown.html.contains("role approver"),
        "{}",
        shown.html
    );
}

#[tokio::test]
async fn who_says_where_traffic_goes_approves_once_and_the_next_is_told_who_did() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let (mut bo, mut eve) = (Browser::signed_in(&yard, "bo").await, Browser::signed_in(&yard, "eve").await);
    let path = format!("/approvals/{id}");
    let (page, hers) = (bo.get(&path).await, eve.get(&path).await);
    for answer in ["", "gra", "nowhere, it stays"] {
        let shown = bo.decide(&id, &page, "approve", answer).await;
        assert!(shown.status == 422 && shown.html.contains("PM4017"), "{answer}: {}", shown.html);
    }
    // A form of somebody else's page, and one of another site.
    let shown = bo.decide(&id, &hers, "approve", "sbg").await;
    assert!(shown.status == 403 && shown.html.contains("PM4016"), "{}", shown.html);
    assert!(yard.records("decided").await.is_empty());
    assert_eq!(bo.decide(&id, &page, "approve", "sbg").await.status, 303);
    // The same click again, and a second person's.
    let again = bo.decide(&id, &page, "approve", "sbg").await;
    assert!(again.status == 409 && again.html.contains("already approved by bo at"), "{}", again.html);
    let late = eve.decide(&id, &hers, "approve", "sbg").await;
    assert!(late.status == 409 && late.html.contains("already approved by bo at"), "{}", late.html);
    let late = eve.decide(&id, &hers, "reject", "").await;
    assert_eq!(late.status, 409, "{}", late.html);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    let shown = eve.get(&path).await;
    assert!(!shown.html.contains("changes nothing"), "{}", shown.html);
    assert!(
        shown.html.contains("Already approved by bo at") && !shown.html.contains("name=\"decision\""),
        "{}",
        shown.html
    );
    let decided = yard.records("decided").await;
    assert_eq!(decided.len(), 1);
    let by = &decided[0]["body"]["by"];
    assert!(by["name"] == "bo" && by["via"] == "web" && by["person"] == true, "{decided:?}");
    yard.verified();
}

#[tokio::test]
async fn what_changed_between_opening_and_clicking_is_not_approved() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let mut bo = Browser::signed_in(&yard, "bo").await;
    let path = format!("/approvals/{id}");
    let page = bo.get(&path).await;
    assert!(page.html.contains("still so"), "{}", page.html);
    // The guard does not hold any more; the look that the page took is older than ten seconds.
    yard.world.sick.store(true, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(10_200)).await;
    let shown = bo.get(&path).await;
    assert!(
        shown.html.contains("This plan is out of date") && !shown.html.contains("value=\"approve\""),
        "{}",
        shown.html
    );
    let shown = bo.decide(&id, &page, "approve", "sbg").await;
    assert!(shown.status == 409 && shown.html.contains("PM4018"), "{}", shown.html);
    let told = yard.records("told").await;
    assert!(
        told.len() == 1 && told[0]["says"].as_str().unwrap().starts_with("bo has a new plan made"),
        "{told:?}"
    );
    assert!(yard.records("decided").await.is_empty());
    yard.until("held", 1, 20, async || yard.records("held").await.len()).await;
    // And offered anew once it holds again.
    yard.world.sick.store(false, Ordering::SeqCst);
    let (_, digest) = waiting(&yard, 2).await;
    assert_eq!(run(&yard, &id).await["asked"]["digest"], json!(digest));
    let page = bo.get(&path).await;
    assert_eq!(bo.decide(&id, &page, "approve", "sbg").await.status, 303);
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
}

#[tokio::test]
async fn handing_on_and_rejecting_are_words_too() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, digest) = asked(&yard).await;
    let (mut bo, mut eve) = (Browser::signed_in(&yard, "bo").await, Browser::signed_in(&yard, "eve").await);
    let path = format!("/approvals/{id}");
    let page = bo.get(&path).await;
    assert_eq!(bo.decide(&id, &page, "pass", "").await.status, 303);
    assert_eq!(bo.decide(&id, &page, "pass", "").await.status, 409);
    let hers = eve.get(&path).await;
    assert!(hers.html.contains("Handed on: bo at"), "{}", hers.html);
    assert_eq!(eve.decide(&id, &hers, "reject", "").await.status, 303);
    yard.until_finished(1).await;
    let token = person_token(&yard, "bo");
    let (status, problem) = decide(&yard, &token, &id, approve(&digest)).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["failed"].as_str().unwrap().starts_with("already rejected by eve at"), "{problem}");
    assert!(!yard.moved("s0"));
}

#[tokio::test]
async fn a_session_is_a_cookie_that_ends_and_a_code_is_good_once() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let code = login_code(&yard, "login-code", "bo").remove(0);
    let (mut first, mut second) = (Browser::new(&yard), Browser::new(&yard));
    let shown = first.sign_in(&code.to_lowercase().replace('-', " ")).await;
    assert_eq!(shown.status, 303, "{}", shown.html);
    let set = shown.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert_eq!(second.sign_in(&code).await.status, 403, "a code is good once");
    // A new sign-in takes the place of the old session.
    let old = first.cookie.clone();
    let code = login_code(&yard, "login-code", "bo").remove(0);
    assert_eq!(first.sign_in(&code).await.status, 303);
    assert_ne!(first.cookie, old);
    second.cookie = old;
    assert_eq!(second.get("/approvals").await.status, 303, "the old session is over");
    // It lives through a crash of the server, and it is no way into the API.
    let mut yard = yard.restart().await;
    let page = Browser::with_cookie(&yard, first.cookie.clone()).get(&format!("/approvals/{id}")).await;
    assert!(page.html.contains("You are bo"), "{}", page.html);
    let client = reqwest::Client::new();
    let api = client.get(format!("{}/api/v1/status", yard.server.url));
    let api = api.header("cookie", first.cookie.clone().unwrap()).send().await.unwrap();
    assert_eq!(api.status().as_u16(), 401);
    let mut first = Browser::with_cookie(&yard, first.cookie.clone());
    let cookie = first.cookie.clone();
    assert_eq!(first.post("/sign-out", &[("form", &page.field("form"))]).await.status, 303);
    first.cookie = cookie;
    assert_eq!(
        first.get("/approvals").await.status,
        303,
        "signed out is signed out, whoever keeps the cookie"
    );
    // Recovery codes: eight, once each, loud.
    let codes = login_code(&yard, "recovery-codes", "eve");
    assert_eq!(codes.len(), 8);
    let mut eve = Browser::new(&yard);
    assert_eq!(eve.sign_in(&codes[0]).await.status, 303);
    assert!(eve.get("/approvals").await.html.contains("recovery code"));
    assert_eq!(Browser::new(&yard).sign_in(&codes[0]).await.status, 403);
    let signed = yard.records("signed_in").await;
    assert!(signed.last().unwrap()["says"].as_str().unwrap().contains("RECOVERY CODE"), "{signed:?}");
    login_code(&yard, "recovery-codes", "eve");
    assert_eq!(
        Browser::new(&yard).sign_in(&codes[1]).await.status,
        403,
        "new ones take the place of all others"
    );
    // Nobody tries many.
    let mut guesser = Browser::new(&yard);
    let mut last = 0;
    for n in 0..12 {
        last = guesser.sign_in(&format!("0000-0000-{n:04}")).await.status;
    }
    assert_eq!(last, 429);
    yard = yard.restart().await;
    yard.verified();
}
