//! Files of this machine, replaced whole.

use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[test]
fn mode_and_owner_stay_links_stay_links_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("env"), dir.path().join("link"));
    fs::write(&file, "A=1\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let root = fs::metadata(&file).unwrap().uid() == 0;
    if root {
        std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
    }
    std::os::unix::fs::symlink("env", &link).unwrap();
    fs::write(dir.path().join(format!(".env.pointsman-{}-0.tmp", std::process::id())), "left by a crash")
        .unwrap();
    let path = link.to_str().unwrap();
    assert!(matches!(write(path, digest("A=1\n"), "A=2\n"), FileWritten::Done { .. }));
    assert_eq!(read(path), FileRead::Text("A=2\n".into()));
    let now = fs::metadata(&file).unwrap();
    assert_eq!(now.mode() & 0o7777, 0o640);
    if root {
        assert_eq!((now.uid(), now.gid()), (1234, 4321));
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "file, link, and the crash's leftover");
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    fs::write(&file, "A=theirs\n").unwrap();
    let path = file.to_str().unwrap();
    assert!(matches!(write(path, digest("A=1\n"), "A=2\n"), FileWritten::Moved { .. }));
    assert_eq!(read(path), FileRead::Text("A=theirs\n".into()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_text_file_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(read(&path("none")), FileRead::Missing);
    assert!(matches!(read(dir.path().to_str().unwrap()), FileRead::Unusable { .. }));
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    assert!(matches!(read(&path("binary")), FileRead::Unusable { says } if says.contains("UTF-8")));
    fs::write(path("large"), vec![b'a'; MAX_FILE + 1]).unwrap();
    assert!(matches!(read(&path("large")), FileRead::Unusable { says } if says.contains("larger")));
}

fn host(commands: &[(&str, &[&str])]) -> Host {
    let argv = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let commands = commands.iter().map(|(name, words)| ((*name).into(), argv(words))).collect();
    let target = crate::config::HostTarget {
        ssh: None,
        local: true,
        key: None,
        known_hosts: None,
        ssh_config: None,
        commands,
    };
    Host { name: "here".into(), target }
}

#[tokio::test]
async fn commands_are_bounded_have_no_shell_and_get_no_environment() {
    let host = host(&[
        ("echo", &["printf", "%s", "$HOME; x"]),
        ("env", &["env"]),
        ("slow", &["sleep", "30"]),
        ("daemon", &["sh", "-c", "sleep 5 & exit 3"]),
        ("none", &["/no/such/program"]),
    ]);
    let second = Duration::from_secs(1);
    let Ran::Exit { code: 0, tail } = run(&host, "echo", second).await else { panic!() };
    assert_eq!(tail.stdout, "$HOME; x");
    let Ran::Exit { tail, .. } = run(&host, "env", second).await else { panic!() };
    let leaked = tail.stdout.lines().find(|line| line.starts_with("CARGO"));
    assert_eq!(leaked, None, "cargo sets it for this test");
    let started = tokio::time::Instant::now();
    assert!(matches!(run(&host, "slow", Duration::from_millis(200)).await, Ran::Unknown { .. }));
    // What it leaves behind holds its output open; its end counts all the same.
    assert!(matches!(run(&host, "daemon", Duration::from_secs(3)).await, Ran::Exit { code: 3, .. }));
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(matches!(run(&host, "none", second).await, Ran::NotStarted { layer: "local", .. }));
    assert!(matches!(run(&host, "unlisted", second).await, Ran::NotStarted { layer: "configuration", .. }));
}
