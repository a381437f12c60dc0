//! Writing that survives a crash of the machine. Used for the mask and for files sent over SSH.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Writes a file whole or not at all: a new file beside it, flushed, renamed, and the folder flushed. Keeps
/// the mode and owner of what was there.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let dir = path.parent().context("a file needs a folder")?;
    let (temp, mut file) = fresh_beside(path)?;
    let written = fill(&mut file, path, content).and_then(|()| Ok(std::fs::rename(&temp, path)?));
    if let Err(e) = written {
        // The old content is untouched; the leftover is only litter.
        let _ = std::fs::remove_file(&temp);
        return Err(e).with_context(|| format!("writing {}: nothing was changed", path.display()));
    }
    sync_dir(dir)
}

fn fill(file: &mut File, old: &Path, content: &[u8]) -> anyhow::Result<()> {
    match std::fs::metadata(old) {
        Ok(meta) => {
            file.set_permissions(meta.permissions())?;
            fchown(&*file, Some(meta.uid()), Some(meta.gid()))?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    file.write_all(content)?;
    file.sync_all()?;
    Ok(())
}

fn fresh_beside(path: &Path) -> anyhow::Result<(PathBuf, File)> {
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    let temp = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp);
    let file = file.with_context(|| format!("making a new file beside {}", path.display()))?;
    Ok((temp, file))
}

pub fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)?.sync_all().with_context(|| format!("flushing {}", dir.display()))
}
