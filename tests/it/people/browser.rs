//! The page in a real browser: 320 px, light and dark, no script, by the keyboard alone; and what a screen reader is told.

use super::chromium::Chromium;
use super::desk::{ONE, asked, link, login_code, plot};
use crate::limits::yard::Yard;
use serde_json::json;

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
