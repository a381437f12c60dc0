//! Small file helpers of the harness: where `lab-host` is, owners, and a temp folder that user postgres may
//! enter.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// In memory a cluster is copied ten times faster than on a disk, and two cores are few.
const MEMORY: &str = "/dev/shm";
const ROOM: u64 = 2 << 30;

/// The lab's folder, 0755 all the way down: PostgreSQL runs as another user. It is in memory if there is
/// room, unless flushes must be real; `LAB_DIR` names another place.
pub fn temp_dir(on_disk: bool) -> anyhow::Result<tempfile::TempDir> {
    let memory = rustix::fs::statvfs(MEMORY).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > ROOM);
    let base = match std::env::var_os("LAB_DIR") {
        Some(dir) => PathBuf::from(dir),
        None if memory && !on_disk => PathBuf::from(MEMORY),
        None => std::env::temp_dir(),
    };
    let dir = tempfile::Builder::new().prefix("lab-").tempdir_in(&base);
    let dir = dir.with_context(|| format!("making the lab's folder in {}", base.display()))?;
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
    for above in dir.path().ancestors().skip(1) {
        let mode = std::fs::metadata(above)?.permissions().mode();
        let name = above.display();
        ensure!(
            mode & 0o001 != 0,
            "{name} cannot be entered by user postgres: set LAB_DIR to a folder that can"
        );
    }
    Ok(dir)
}

/// The helper program that acts as a machine. Tests of other packages cannot ask cargo for it.
pub fn lab_host_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LAB_HOST_BIN") {
        return Ok(PathBuf::from(path));
    }
    let exe = std::env::current_exe().context("asking for our own path")?;
    let near = exe.ancestors().skip(1).take(2).map(|dir| dir.join("lab-host"));
    let found = near.into_iter().find(|path| path.is_file());
    found.with_context(|| {
        format!("no lab-host beside {}: run `cargo build -p lab` first, or set LAB_HOST_BIN", exe.display())
    })
}

/// The user that PostgreSQL must run as: root is refused by it, anybody else is kept.
pub fn postgres_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let line = passwd.lines().find(|line| line.starts_with("postgres:"));
    let Some(line) = line else { bail!("there is no user postgres: install postgresql-15") };
    let mut ids = line.split(':').skip(2).map(str::parse::<u32>);
    match (ids.next(), ids.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok(Some((uid, gid))),
        _ => bail!("/etc/passwd has an unreadable line for postgres"),
    }
}

/// Makes a folder for PostgreSQL, owned by its user.
pub fn postgres_dir(path: &Path, mode: u32) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
    give_to_postgres(path)
}

pub fn give_to_postgres(path: &Path) -> anyhow::Result<()> {
    if let Some((uid, gid)) = postgres_user()? {
        chown(path, Some(uid), Some(gid))
            .with_context(|| format!("giving {} to postgres", path.display()))?;
    }
    Ok(())
}

/// The words before a PostgreSQL program so that it runs as its user, keeps its pid, and dies with its
/// parent.
pub fn as_postgres() -> anyhow::Result<Vec<String>> {
    let user: &[&str] = match postgres_user()? {
        Some(_) => &["--reuid=postgres", "--regid=postgres", "--init-groups"],
        None => &[],
    };
    let words = ["setpriv"].into_iter().chain(user.iter().copied()).chain(["--pdeathsig", "KILL", "--"]);
    Ok(words.map(str::to_owned).collect())
}

/// The last lines of every log in a folder: what a part that did not start has to say.
pub fn last_lines(logs: &Path) -> String {
    let mut said = String::from("the lab did not start; its logs end with:");
    for entry in std::fs::read_dir(logs).into_iter().flatten().filter_map(Result::ok) {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        if !lines.is_empty() {
            let end = lines[lines.len().saturating_sub(6)..].join("\n    ");
            said.push_str(&format!("\n  {}:\n    {end}", entry.file_name().display()));
        }
    }
    said
}
