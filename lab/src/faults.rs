//! Faults of the machine under a program: a full disk, a read-only disk, a flush that fails. They need root;
//! a test asks [`root_or_skip`] first.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::children::run;

/// Whether faults can be made here; prints the reason when not, so that a skipped test says so.
pub fn root_or_skip(test: &str) -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        eprintln!("SKIPPED {test}: faults of disks need root");
    }
    root
}

/// A mounted file system; let go when dropped, and by the janitor if the harness is killed, since it lies in
/// the lab's folder.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("lab: {} is still mounted: umount it by hand", self.path.display());
        }
    }
}

/// A disk of that size, such as `1m`, at a new folder.
pub async fn small_disk(at: &Path, size: &str) -> anyhow::Result<Mount> {
    std::fs::create_dir_all(at)?;
    let (path, size) = (at.display().to_string(), format!("size={size},mode=0755"));
    run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &path], &[])
        .await
        .context("mounting a small disk")?;
    Ok(Mount { path: at.to_owned() })
}

/// Fills a disk to the last byte; removing the file given back makes room again.
pub fn fill(mount: &Mount) -> anyhow::Result<PathBuf> {
    use std::io::Write;
    let ballast = mount.path().join("ballast");
    let mut file = std::fs::File::create(&ballast)?;
    // Halving the piece finds the last free byte; no disk of the lab is larger than this bound.
    let mut piece = vec![0_u8; 1 << 20];
    for _ in 0..4096 {
        match file.write_all(&piece) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull && piece.len() > 1 => {
                piece.truncate(piece.len() / 2)
            }
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(ballast),
            Err(e) => return Err(e).context("filling the disk"),
        }
    }
    anyhow::bail!("{} did not fill", mount.path().display())
}

/// The same folder seen read-only at another place.
pub async fn read_only(source: &Path, at: &Path) -> anyhow::Result<Mount> {
    ensure!(source.is_dir(), "{} is no folder", source.display());
    std::fs::create_dir_all(at)?;
    let (from, to) = (source.display().to_string(), at.display().to_string());
    run(&["mount", "--bind", &from, &to], &[]).await.context("mounting the folder again")?;
    let mount = Mount { path: at.to_owned() };
    run(&["mount", "-o", "remount,bind,ro", &to], &[]).await.context("making it read-only")?;
    Ok(mount)
}

/// Words to put before a program so that a system call fails in it, such as `("fdatasync",
/// "error=EIO:when=3+")`. The tracer steps aside (`-D`): the program itself is the direct child, with its pid
/// and its death signal, and the tracer ends with it.
pub fn strace_prefix(calls: &str, fault: &str, log: &Path) -> Vec<String> {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{fault}"));
    let words = ["setpriv", "--pdeathsig", "KILL", "--", "strace", "-f", "-qq", "-D"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([
        "-o".into(),
        log.display().to_string(),
        "-e".into(),
        trace,
        "-e".into(),
        inject,
        "--".into(),
    ]);
    words
}
