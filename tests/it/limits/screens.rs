//! What people read when automation is held back: the real command line asks a real server, and the screens stand here as
//! a reviewer sees them. What differs from run to run is put in brackets.

use super::yard::{Plot, Yard};
use crate::serve::rig::BINARY;
use std::fmt::Write as _;
use std::process::Command;

/// The command line as a person types it, its exit code where it is not 0, and all that it says.
fn type_in(yard: &Yard, screen: &mut String, line: &str) {
    let words: Vec<&str> = shell_words(line);
    let mut command = Command::new(BINARY);
    command.args(&words).env("POINTSMAN_SERVER", &yard.server.url).env("POINTSMAN_TOKEN", &yard.server.admin);
    let out = command.env("NO_COLOR", "1").env("TZ", "UTC").env("LC_ALL", "C").output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    let _ = write!(screen, "$ pointsman {line}\n{}", String::from_utf8_lossy(&said));
    if let Some(code @ 1..) = out.status.code() {
        let _ = writeln!(screen, "[exit {code}]");
    }
    screen.push('\n');
}

/// Words; those in single quotes are one.
fn shell_words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(n, part)| if n % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, instead) in [
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z| ?\+00:00)?", "[time]"),
        (r"\b(run|runs|RUN) [0-9A-Z]{6}\b", "$1 [run]"),
        (r"(?m)^[0-9A-Z]{6}(\s)", "[run]$1"),
        (r"why [0-9A-Z]{6}\n", "why [run]\n"),
        (r"/\S*/playbooks/", "[folder]/playbooks/"),
        (r"(?m)^ *\d+  \[time\]", "   [n]  [time]"),
        (r"\(record \d+\)", "(record [n])"),
        (r"\d+(\.\d+)? (ms|s) ago", "[ago] ago"),
        (r"plan [0-9a-f]{7}", "plan [plan]"),
        (r"(?m)(active\t)[0-9a-f]{7}", "$1[digest]"),
        (r"journal at \d+ \([0-9a-f]+\)", "journal at [n] ([hash])"),
        (r"http://127\.0\.0\.1:\d+", "http://[host]"),
        (r"\(\d+ bytes\)", "([n] bytes)"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

#[tokio::test]
async fn what_people_read_while_automation_is_held_back() {
    let storm = "concurrent = 100\nper_hour = 1\nsick_share = \"100%\"";
    let yard =
        Yard::new(Plot { services: 2, storm, limits: "cooldown: 1h, per_day: 3", ..Plot::default() }).await;
    let first = yard.fire("s0").await;
    yard.until_finished(1).await;
    let run =
        yard.records("finished").await[0]["stream"].as_str().unwrap().trim_start_matches("run:").to_owned();
    yard.resolve(first).await;
    yard.move_back("s0");
    yard.fire("s0").await;
    yard.until_held("s0", "PM5411", 1).await;
    yard.fire("s1").await;
    yard.until_held("s1", "PM5414", 1).await;

    let mut held = String::new();
    for line in ["status", "why s0", "why s1", "why SiteDown", &format!("why {run}"), "why nobody"] {
        type_in(&yard, &mut held, line);
    }
    insta::assert_snapshot!("held_back", plain(&held));

    let mut said = String::new();
    for line in [
        "freeze --service s0 --for 2h --reason 'database upgrade'",
        "freeze --for 32 --reason 'no unit'",
        "freeze --for 800h --reason 'the whole winter'",
        "freeze --for 30m --reason 'who did that?'",
        "status",
        "why s1",
        "thaw --reason 'found out'",
        "thaw --reason 'once more'",
        "ack s0 --reason 'the move was right'",
        "ack s0 --reason 'twice'",
        "ack s7 --reason 'which?'",
        "breaker reset --reason 'one bad switch, replaced'",
        "breaker reset --reason 'again'",
    ] {
        type_in(&yard, &mut said, line);
    }
    insta::assert_snapshot!("people_say", plain(&said));
    yard.verified();
}
