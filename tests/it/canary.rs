//! Canaries: every secret that a test gives out is noted here. When its server ends, all that the server left behind
//! (database, WAL, index, checkpoints, log, bundles and reports beside it) is read, and what it answers is read as it
//! comes: no secret may be in it. The rigs call; a test that uses one of them needs to do nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Shorter ones would be found by chance in a file of binary.
const SHORTEST: usize = 8;
/// Files of one sweep; more would mean that it reads what is not ours.
const MOST: usize = 2_000;

/// Of this process: each test has one of its own, or they share their secrets too.
static PLANTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub fn plant(secret: &str) {
    assert!(secret.len() >= SHORTEST, "too short to look for");
    PLANTED.lock().unwrap().insert(secret.to_owned());
}

/// As it is, and inside base64, wherever it begins there; as hexadecimal.
fn forms(secret: &str) -> Vec<String> {
    let inside = |skip: usize| {
        let text = STANDARD.encode([&b"___"[..skip], secret.as_bytes()].concat());
        let (from, to) = (if skip == 0 { 0 } else { 4 }, text.len() / 4 * 4 - 4);
        text[from..to].to_owned()
    };
    let mut forms = vec![secret.to_owned(), hex::encode(secret)];
    forms.extend((0..3).map(inside).filter(|text| text.len() >= SHORTEST));
    forms
}

/// Those that are in these bytes, each with a few signs only.
fn found(bytes: &[u8], planted: &BTreeSet<String>) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let held = planted.iter().filter(|secret| forms(secret).iter().any(|form| text.contains(form)));
    held.map(|secret| format!("{}...", &secret[..4])).collect()
}

/// What a server answered.
pub fn none_in(what: &str, text: &str) {
    let found = found(text.as_bytes(), &PLANTED.lock().unwrap());
    assert!(found.is_empty(), "secrets in the answer to {what}: {found:?}");
}

fn files(place: &Path) -> Vec<PathBuf> {
    let (mut todo, mut files) = (vec![place.to_owned()], vec![]);
    while let Some(path) = todo.pop() {
        // Sockets and links to elsewhere are no files of ours.
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => {
                todo.extend(std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()));
            }
            Ok(meta) if meta.is_file() => files.push(path),
            Ok(_) | Err(_) => {}
        }
        assert!(files.len() < MOST, "this is more than a server leaves: {}", place.display());
    }
    files
}

/// Files with secrets that must not be there. The private key may be in its own file alone.
fn findings(places: &[PathBuf], mut planted: BTreeSet<String>) -> Vec<String> {
    let all: Vec<PathBuf> = places.iter().flat_map(|place| files(place)).collect();
    let own = |path: &Path| path.ends_with("checkpoint.key");
    let keys = all.iter().filter(|path| own(path)).filter_map(|path| std::fs::read_to_string(path).ok());
    planted.extend(keys.filter_map(|text| text.lines().nth(1).map(str::to_owned)));
    let said = all.iter().filter(|path| !own(path)).flat_map(|path| {
        let found = found(&std::fs::read(path).unwrap_or_default(), &planted);
        found.into_iter().map(|secret| format!("{}: {secret}", path.display()))
    });
    said.collect()
}

/// When a server has ended, or a scene is over.
pub fn sweep(places: &[PathBuf]) {
    // A test that has failed already says why by itself.
    if !std::thread::panicking() {
        let planted = PLANTED.lock().unwrap().clone();
        let findings = findings(places, planted);
        assert!(findings.is_empty(), "secrets lie around:\n{}", findings.join("\n"));
    }
}

/// Whatever `serve` with this data directory has written. A rig that keeps its configuration beside the data has all of
/// its folder read.
pub fn left_by(data: &Path) -> Vec<PathBuf> {
    let ours = data.parent().filter(|folder| folder.join("pointsman.toml").exists());
    let beside = ["out", "log"].map(|end| data.with_extension(end));
    [vec![ours.unwrap_or(data).to_owned()], beside.to_vec()].concat()
}

#[test]
fn a_secret_is_found_wherever_and_however_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "tok-5f0e9a77c1d24b";
    let planted = || BTreeSet::from([secret.to_owned()]);
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let (file, key) = (dir.path().join("data/x.db-wal"), dir.path().join("data/checkpoint.key"));
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let look = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        findings(&[dir.path().to_owned()], planted()).len()
    };
    assert_eq!(look(b"nothing of the kind"), 0, "the key in its own file is as it should be");
    assert_eq!(look(&[&[0xff, 0xfe, 0x00][..], secret.as_bytes(), &[0x80]].concat()), 1);
    assert_eq!(look(hex::encode(secret).as_bytes()), 1);
    for user in ["a", "am", "am1", "am-east"] {
        assert_eq!(look(STANDARD.encode(format!("{user}:{secret}")).as_bytes()), 1, "{user}");
    }
    assert_eq!(look(b"MC4CAQAwBQYDK2Vw"), 1, "the private key in another file");
}
