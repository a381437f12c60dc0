//! `deploy/fence-check` on the lab's real pair: what it lets start, and what not.

use lab::{Lab, Role, Site};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/fence-check");

struct Machine<'a> {
    lab: &'a Lab,
    data: PathBuf,
    peer: Site,
    allow: PathBuf,
}

fn binaries() -> String {
    let found = Command::new("pg_config").arg("--bindir").output();
    match found {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => String::new(),
    }
}

impl<'a> Machine<'a> {
    fn of(lab: &'a Lab, site: Site) -> Machine<'a> {
        Machine {
            lab,
            data: lab.postgres().data_dir(site).to_owned(),
            peer: site.other(),
            allow: lab.dir().join(format!("allow-once-{site}")),
        }
    }

    fn check(&self, settings: &[(&str, &str)]) -> Output {
        let at = self.lab.postgres().address(self.peer);
        let peer = format!(
            "host={} port={} user={} dbname=postgres sslmode=disable",
            at.ip(),
            at.port(),
            Role::Pointsman.user()
        );
        let mut command = Command::new(SCRIPT);
        command.env("FENCE_CHECK_CONF", "/nonexistent").env("FENCE_CHECK_DATA", &self.data);
        command.env("FENCE_CHECK_PEERS", peer).env("FENCE_CHECK_WAIT", "0");
        command.env("FENCE_CHECK_ALLOW", &self.allow).env("FENCE_CHECK_BIN", binaries());
        command.env("PGPASSWORD", Role::Pointsman.password());
        command.envs(settings.iter().copied());
        command.output().unwrap()
    }

    #[track_caller]
    fn starts(&self, settings: &[(&str, &str)], word: &str) {
        self.ends(settings, 0, word);
    }

    #[track_caller]
    fn refused(&self, word: &str) {
        self.ends(&[], 1, word);
    }

    #[track_caller]
    fn ends(&self, settings: &[(&str, &str)], code: i32, word: &str) {
        let output = self.check(settings);
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{says}");
        assert!(says.contains(word), "{word:?} is not in: {says}");
        assert!(!says.contains(Role::Pointsman.password()), "a password is in: {says}");
    }
}

/// As much of a data directory as tells what it is.
fn copy_of_control(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("global")).unwrap();
    for file in ["global/pg_control", "PG_VERSION"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[tokio::test]
async fn an_old_primary_may_not_start_beside_a_newer_one_and_not_knowing_refuses() {
    let lab = Lab::builder().postgres().start().await.unwrap();
    let pg = lab.postgres();
    let (gra, sbg) = (Machine::of(&lab, Site::Gra), Machine::of(&lab, Site::Sbg));
    // A pair as it should be: both may start again as what they are.
    gra.starts(&[], "may start as a primary of timeline 1");
    sbg.starts(&[], "starts as a standby");
    // The same data started as a second primary.
    let copied = Machine { data: lab.dir().join("second"), ..Machine::of(&lab, Site::Sbg) };
    copy_of_control(pg.data_dir(Site::Sbg), &copied.data);
    copied.refused("is a primary already");

    // The peer accepts connections and answers nothing, then is away: not known.
    pg.sigstop(Site::Sbg).unwrap();
    gra.refused("not known");
    gra.starts(&[("FENCE_CHECK_UNKNOWN", "start")], "STARTS WITHOUT PROOF");
    pg.sigcont(Site::Sbg).unwrap();
    gra.starts(&[], "may start");

    pg.kill9(Site::Gra).unwrap();
    pg.ask(Site::Sbg, "select pg_promote()").await.unwrap();
    gra.refused("has timeline 2, here it is 1");
    gra.ends(&[("FENCE_CHECK_UNKNOWN", "start")], 1, "has timeline 2");
    // A person's word, for one start.
    std::fs::write(&gra.allow, "sbg is being thrown away\n").unwrap();
    gra.starts(&[], "sbg is being thrown away");
    gra.refused("has timeline 2");

    pg.kill9(Site::Sbg).unwrap();
    gra.refused("not known");
    // As a standby it may.
    std::fs::write(pg.data_dir(Site::Gra).join("standby.signal"), "").unwrap();
    gra.starts(&[], "starts as a standby");
}

#[tokio::test]
async fn data_that_cannot_be_read_or_another_systems_peer_refuses() {
    let lab = Lab::builder().postgres().start().await.unwrap();
    let gra = Machine::of(&lab, Site::Gra);
    let nowhere = Machine { data: lab.dir().join("nowhere"), ..Machine::of(&lab, Site::Gra) };
    nowhere.refused("cannot be read");
    let broken = Machine { data: lab.dir().join("broken"), ..Machine::of(&lab, Site::Gra) };
    copy_of_control(&gra.data, &broken.data);
    let control = broken.data.join("global/pg_control");
    let mut bytes = std::fs::read(&control).unwrap();
    // The system identifier stands first.
    bytes[0] ^= 1;
    std::fs::write(&control, bytes).unwrap();
    broken.refused("holds other data");
    gra.ends(&[("FENCE_CHECK_PEERS", "")], 2, "no peers");
    gra.ends(&[("FENCE_CHECK_UNKNOWN", "perhaps")], 2, "refuse or start");
}
