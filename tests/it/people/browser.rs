//! The page in a real browser: 320 px, light and dark, no script, by the keyboard alone; and what a screen reader is told.

use super::chromium::Chromium;
use super::desk::{ONE, approve, asked, decide, link, login_code, person_token, plot};
use super::links;
use crate::limits::yard::Yard;
use crate::notices::scene::Keys;
use lab::notices::{Mail, Slack};
use serde_json::json;
use std::sync::atomic::Ordering;

/// Nothing is wider than the phone, nothing small enough to miss, and nothing without a name or too faint to read.
fn fits_and_reads(chromium: &mut Chromium, what: &str) {
    let width = chromium.ask("[document.documentElement.scrollWidth, innerWidth]");
    assert_eq!(width, json!([320, 320]), "{what}: it scrolls sideways");
    let small = chromium.ask(
        "[...document.querySelectorAll('button,a.button,.choice,summary,input:not([type=hidden]):not([type=radio]):not([type=checkbox])')] \
         .filter(e => !e.hidden).map(e => [e.innerText || e.name, e.getBoundingClientRect().height]).filter(([, h]) => h < 44)",
    );
    assert_eq!(small, json!([]), "{what}: too small for a thumb");
    let faint = chromium.ask(CONTRAST);
    assert_eq!(faint, json!([]), "{what}: too faint (text, ratio)");
    let headings = chromium.ask(
        "[document.querySelectorAll('h1').length, document.documentElement.lang, document.title.length > 5]",
    );
    assert_eq!(headings, json!([1, "en", true]), "{what}");
    let tree = chromium.call("Accessibility.getFullAXTree", json!({}));
    let nameless: Vec<String> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            let asks = ["button", "textbox", "radio", "checkbox", "link", "heading"].contains(&role);
            asks && node["ignored"] != true
                && node["name"]["value"].as_str().unwrap_or_default().trim().is_empty()
        })
        .map(ToString::to_string)
        .collect();
    assert!(nameless.is_empty(), "{what}: {nameless:?}");
}

/// The same, and what axe says, in light and dark.
fn looked_at(chromium: &mut Chromium, what: &str, wanted: &str) {
    let text = chromium.text();
    assert!(text.contains(wanted), "{what}: {text}");
    for scheme in ["light", "dark"] {
        chromium.become_phone(320, scheme);
        fits_and_reads(chromium, &format!("{what}, {scheme}"));
        let broken = chromium.axe();
        assert!(broken.is_empty(), "{what}, {scheme}: {broken:#?}");
        chromium.picture(&format!("{}-{scheme}.png", what.replace(' ', "-")));
    }
}

/// WCAG's contrast of each text with what lies behind it; those below 4.5.
const CONTRAST: &str = "(() => { \
    const rgb = c => c.match(/[\\d.]+/g).map(Number); \
    const light = c => { const [r, g, b] = rgb(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); \
        return .2126 * r + .7152 * g + .0722 * b }; \
    const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; \
        const p = rgb(c); if (p.length < 4 || p[3] > 0) return c } return 'rgb(255,255,255)' }; \
    const found = []; \
    for (const e of document.querySelectorAll('body *')) { \
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()); \
        if (!own || e.hidden) continue; \
        const [a, b] = [light(getComputedStyle(e).color), light(behind(e))]; \
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05); \
        if (ratio < 4.5) found.push([e.textContent.trim().slice(0, 40), ratio]) } \
    return found })()";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_on_a_small_phone_approves_by_keyboard_with_no_script() {
    let yard = Yard::new(plot(ONE)).await;
    let (id, _) = asked(&yard).await;
    let base = yard.server.url.clone();
    let link = format!("{base}{}", link(&yard).await);
    let code = login_code(&yard, "login-code", "bo").remove(0);
    let mut chromium = Chromium::start();
    for scheme in ["light", "dark"] {
        chromium.become_phone(320, scheme);
        chromium.open(&link);
        let text = chromium.text();
        assert!(text.contains("Approve run?") && text.contains("Sign in to decide"), "{text}");
        fits_and_reads(&mut chromium, scheme);
        chromium.picture(&format!("nobody-{scheme}.png"));
    }
    chromium.tab_to("e.innerText === 'Sign in to decide'");
    chromium.key("Enter", 13);
    chromium.until("location.pathname", |path| path == "/sign-in");
    fits_and_reads(&mut chromium, "sign in");
    chromium.picture("sign-in-dark.png");
    assert_eq!(chromium.ask("document.activeElement.id"), "code", "the code is typed at once");
    chromium.type_text(&code);
    chromium.key("Enter", 13);
    chromium.until("location.pathname + document.readyState", |at| *at == format!("/approvals/{id}complete"));
    for scheme in ["light", "dark"] {
        chromium.become_phone(320, scheme);
        fits_and_reads(&mut chromium, scheme);
        chromium.picture(&format!("approve-{scheme}.png"));
    }
    // Enter in an answer decides nothing: no single key approves.
    chromium.tab_to("e.name === 'answer'");
    chromium.key("Enter", 13);
    chromium.key(" ", 32);
    for _ in 0..3 {
        if chromium.ask("document.querySelector('[name=answer]:checked')?.value") == "sbg" {
            break;
        }
        chromium.key("ArrowDown", 40);
    }
    chromium.key("Enter", 13);
    chromium.tab_to("e.name === 'reason'");
    chromium.type_text("the site is down, I looked");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(yard.records("decided").await.is_empty() && !yard.moved("s0"));
    chromium.tab_to("e.value === 'approve'");
    chromium.key("Enter", 13);
    chromium.until("document.body.innerText.includes('Already approved by bo')", |done| *done == true);
    chromium.picture("approved-dark.png");
    fits_and_reads(&mut chromium, "approved");
    yard.until_finished(1).await;
    assert!(yard.moved("s0"));
    let reason = yard.records("decided").await[0]["body"]["reason"].clone();
    assert_eq!(reason, "the site is down, I looked");
}

/// By the form of the page that is open.
fn sends(chromium: &mut Chromium, fields: &[(&str, &str)], button: &str) {
    for (name, text) in fields {
        chromium.tab_to(&format!("e.name === '{name}'"));
        chromium.type_text(text);
    }
    chromium.tab_to(button);
    chromium.ask("document.documentElement.dataset.old = 1");
    chromium.key("Enter", 13);
    chromium
        .until("document.readyState + document.documentElement.dataset.old", |at| at == "completeundefined");
}

/// What eve sees, from the code to the end of the run.
async fn who_is_signed_in(chromium: &mut Chromium, yard: &Yard, id: &str, digest: &str) {
    let base = &yard.server.url;
    chromium.open(&format!("{base}/sign-in"));
    let code = login_code(yard, "login-code", "eve").remove(0);
    sends(chromium, &[("code", &code)], "e.innerText === 'Sign in'");
    looked_at(chromium, "what waits", "waits for you");
    chromium.open(&format!("{base}/approvals/{id}"));
    looked_at(chromium, "to be decided", "Where will traffic go?");
    chromium.ask("document.querySelector('details').open = true");
    looked_at(chromium, "all lines", "All");
    yard.world.sick.store(true, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(10_200)).await;
    chromium.open(&format!("{base}/approvals/{id}"));
    looked_at(chromium, "out of date", "This plan is out of date");
    yard.world.sick.store(false, Ordering::SeqCst);
    let bo = person_token(yard, "bo");
    assert_eq!(decide(yard, &bo, id, approve(digest)).await.0, 200);
    yard.until_finished(1).await;
    chromium.open(&format!("{base}/approvals/{id}"));
    looked_at(chromium, "decided", "Already approved by bo");
    chromium.open(&format!("{base}/approvals"));
    looked_at(chromium, "nothing waits", "Nothing waits for anybody");
    chromium.open(&format!("{base}/approvals/ZZZZZZ"));
    looked_at(chromium, "no such run", "PM4002");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_without_fault_for_who_cannot_see_or_use_a_mouse() {
    let (keys, mail, slack) = (Keys::new(), Mail::start(true).await.unwrap(), Slack::start().await.unwrap());
    let yard = links::yard(&mail, &slack, &keys, links::BY_LINK).await;
    let base = yard.server.url.clone();
    let mut chromium = Chromium::start();
    chromium.become_phone(320, "light");
    // Before anything happens, for nobody.
    chromium.open(&format!("{base}/sign-in"));
    looked_at(&mut chromium, "sign in", "Send a code by e-mail");
    sends(&mut chromium, &[("person", "nobody")], "e.value === 'email'");
    looked_at(&mut chromium, "a code is sent", "a code is on its way");
    sends(&mut chromium, &[("code", "0000-0000-0000")], "e.innerText === 'Sign in'");
    looked_at(&mut chromium, "a wrong code", "the code is not good");
    // A run waits, and somebody was sent a link.
    let (id, digest) = asked(&yard).await;
    let locating = link(&yard).await.replace("http://127.0.0.1:1/", "/");
    chromium.open(&format!("{base}{locating}"));
    looked_at(&mut chromium, "the plan for nobody", "Sign in to decide");
    let own = links::mailed(&yard, &mail, "bo", 1).await;
    chromium.open(&format!("{base}{own}"));
    looked_at(&mut chromium, "a link of ones own", "Type the name of the site");
    sends(&mut chromium, &[("answer", "gra"), ("reason", "r")], "e.value === 'approve'");
    looked_at(&mut chromium, "a wrong answer", "PM4017");
    chromium.open(&format!("{base}/links/none"));
    looked_at(&mut chromium, "a link that leads nowhere", "PM4019");
    who_is_signed_in(&mut chromium, &yard, &id, &digest).await;
    chromium.open(&format!("{base}{own}"));
    looked_at(&mut chromium, "a link that is over", "Already approved by bo");
    // The report for the morning after is a page too, made for paper and wide screens; here for its structure alone.
    let url = format!("{base}/api/v1/runs/{id}/report?format=html");
    let report = reqwest::Client::new().get(url).bearer_auth(&yard.server.admin).send().await.unwrap();
    let file = yard.folder().join("report.html");
    std::fs::write(&file, report.bytes().await.unwrap()).unwrap();
    chromium.open(&format!("file://{}", file.display()));
    let broken = chromium.axe();
    assert!(broken.is_empty(), "the report: {broken:#?}");
}
