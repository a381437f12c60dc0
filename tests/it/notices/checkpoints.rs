//! Signed checkpoints in a place that the server cannot reach any more: what a channel was told is what `audit verify` takes.

use super::scene::Keys;
use crate::limits::yard::{Plot, Yard};
use crate::serve::rig::pointsman;
use lab::notices::Receiver;
use serde_json::Value;

fn lines(receiver: &Receiver) -> Vec<String> {
    let all = receiver.desk.taken();
    let signed = all.iter().filter(|got| got.body["data"]["topic"] == "checkpoint");
    signed.map(|got| got.body["data"]["lines"][1].as_str().unwrap().to_owned()).collect()
}

fn verified(data: &str, copy: &std::path::Path) -> (Option<i32>, String) {
    let out = pointsman(&["audit", "verify", "--data", data, "--checkpoints", copy.to_str().unwrap()]);
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_channel_was_told_shows_a_tail_that_was_cut_off() {
    let (keys, receiver) = (Keys::new(), Receiver::start().await.unwrap());
    let config = keys.hook(&receiver, "notices = [\"checkpoint\"]");
    let yard = Yard::new(Plot { config: &config, ..Plot::default() }).await;
    yard.until("a checkpoint", 1, 20, async || lines(&receiver).len()).await;
    // Each start tells where it found the end; nothing else is for this channel.
    yard.fire("s0").await;
    yard.until_finished(1).await;
    let yard = yard.restart().await;
    yard.until("another checkpoint", 2, 20, async || lines(&receiver).len()).await;
    assert_eq!(receiver.desk.taken().len(), lines(&receiver).len());

    let copy = yard.folder().join("collected.jsonl");
    std::fs::write(&copy, lines(&receiver).join("\n") + "\n").unwrap();
    let data = yard.server.data.display().to_string();
    let (code, said) = verified(&data, &copy);
    assert_eq!(code, Some(0), "{said}");
    let last: Value = serde_json::from_str(&lines(&receiver)[1]).unwrap();
    assert!(last["position"].as_u64().unwrap() > 10 && last["previous"].is_null(), "{last}");

    // One letter of it changed is no signature.
    let forged = lines(&receiver)[1].replace("\"position\":", "\"position\":1");
    std::fs::write(&copy, forged + "\n").unwrap();
    let (code, said) = verified(&data, &copy);
    assert!(code == Some(22) && said.contains("PM2706"), "{code:?} {said}");

    // Somebody takes the end away, and every note of it on this machine.
    std::fs::write(&copy, lines(&receiver).join("\n") + "\n").unwrap();
    yard.server.kill9();
    let journal = std::path::Path::new(&data);
    for note in ["head", "checkpoints.jsonl"] {
        std::fs::remove_file(journal.join(note)).unwrap();
    }
    cut_the_tail(journal).await;
    let (code, said) = verified(&data, &copy);
    assert!(code == Some(22) && said.contains("PM2704"), "{code:?} {said}");
}

async fn cut_the_tail(data: &std::path::Path) {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};
    let file = data.join("pointsman.db");
    let mut conn = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    for sql in ["DROP TRIGGER record_is_append_only_delete", "DELETE FROM record WHERE position > 5"] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
}
