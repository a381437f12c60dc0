//! By mail, to a server that is not ours: encrypted, one conversation for a run, and nothing in it that a label dressed up.

use super::scene::Keys;
use crate::limits::yard::{Plot, Yard};
use crate::people::desk::{ONE, approve, decide, person_token, plot, waiting};
use lab::notices::Mail;
use serde_json::json;

#[tokio::test]
async fn a_run_is_one_conversation_and_a_label_cannot_dress_up() {
    let (keys, mut mail) = (Keys::new(), Mail::start(true).await.unwrap());
    let config = plot(ONE).config.to_owned() + &keys.mail(&mail);
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    let mut body = yard.body("s0");
    let evil = "x\r\nBcc: eve@example.test\r\n\r\n<!channel> https://evil.example/approve";
    body["alerts"][0]["labels"]["note"] = json!(evil);
    mail.kill();
    yard.deliver(&body).await;
    let (id, digest) = waiting(&yard, 1).await;
    mail.come_back().await.unwrap();
    let bo = person_token(&yard, "bo");
    assert_eq!(decide(&yard, &bo, &id, approve(&digest)).await.0, 200);
    yard.until_finished(1).await;
    yard.until("mails", 4, 40, async || mail.letters().unwrap().len()).await;
    let letters = mail.letters().unwrap();
    let field = |n: usize, name: &str| letters[n].headers.get(name).cloned().unwrap_or_default();
    let subjects: Vec<String> = (0..4).map(|n| field(n, "subject")).collect();
    assert_eq!(
        subjects,
        [
            "s0: run gra -> sbg begins",
            "[PAGE] s0: approve run gra -> sbg?",
            "s0: bo approved run gra -> sbg",
            "s0: run gra -> sbg: done and verified"
        ]
    );
    let threads: Vec<String> = (0..4).map(|n| field(n, "references")).collect();
    assert!(threads.iter().all(|thread| *thread == threads[0] && thread.contains(&id)), "{threads:?}");
    let mut ids: Vec<String> = (0..4).map(|n| field(n, "message-id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for letter in &letters {
        let head = &letter.headers;
        assert_eq!(head["auto-submitted"], "auto-generated");
        assert!(!head.contains_key("bcc"), "{head:?}");
        assert!(
            head["to"].contains("ops@example.test") && head["to"].contains("lead@example.test"),
            "{head:?}"
        );
        assert!(!letter.text.contains("https://evil"), "{}", letter.text);
        assert!(!letter.text.lines().any(|line| line.starts_with("Bcc:")), "{}", letter.text);
    }
    let text = letters[1].text.replace("=\n", "");
    for words in ["Why: Alert SiteDown", "Does: move it", "May be lost:", "pointsman approve", "Until:"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_known_gets_no_mail() {
    let (keys, mail) = (Keys::new(), Mail::start(true).await.unwrap());
    let text = keys.mail(&mail);
    let without: String =
        text.lines().filter(|line| !line.starts_with("ca =")).map(|l| format!("{l}\n")).collect();
    let config = plot(ONE).config.to_owned() + &without;
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    let (status, answer) = yard.server.post("/api/v1/channels/mail/test", json!({})).await;
    assert!(status == 502 && answer["failed"].to_string().contains("certificate"), "{answer}");
    assert!(mail.letters().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_wants_a_password_gets_it_encrypted_and_a_wrong_one_loses_nothing() {
    let (user, password) = ("pointsman", "correct horse battery staple");
    let (keys, mail) = (Keys::new(), Mail::with_user(user, password).await.unwrap());
    let test = async |yard: &Yard| yard.server.post("/api/v1/channels/mail/test", json!({})).await;
    // Without a user: it is not let in.
    let nobody = plot(ONE).config.to_owned() + &keys.mail(&mail);
    let yard = Yard::new(Plot { config: &nobody, ..plot(ONE) }).await;
    let (status, answer) = test(&yard).await;
    assert!(status == 502 && answer["failed"].to_string().contains("uthentication required"), "{answer}");
    drop(yard);
    // With a wrong password: it says so, keeps what it has to tell, and never shows what it tried.
    let wrong = "wrong0horse0battery";
    let secret = keys.file("smtp", wrong);
    let config = nobody.clone() + &format!("user = \"{user}\"\npassword = {secret}\n");
    let yard = Yard::new(Plot { config: &config, ..plot(ONE) }).await;
    yard.fire("s0").await;
    waiting(&yard, 1).await;
    yard.until("a refusal", 1, 20, async || {
        let (_, status) = yard.server.get("/api/v1/status").await;
        usize::from(status["channels"]["mail"]["says"].to_string().contains("535"))
    })
    .await;
    assert!(mail.letters().unwrap().is_empty() && !yard.server.log().contains(wrong));
    // Mended in its file: everything that waited arrives.
    keys.file("smtp", password);
    yard.until("mails", 2, 60, async || mail.letters().unwrap().len()).await;
    let subjects: Vec<String> =
        mail.letters().unwrap().iter().map(|l| l.headers["subject"].clone()).collect();
    assert_eq!(subjects, ["s0: run gra -> sbg begins", "[PAGE] s0: approve run gra -> sbg?"]);
    assert!(!yard.server.log().contains(password));
}
