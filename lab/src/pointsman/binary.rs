//! Where the program is. Cargo tells tests of its own package only, so others look beside themselves.

use std::path::PathBuf;

use anyhow::{Context, ensure};

/// `POINTSMAN_BIN`, or the neighbour of this program in the target folder.
pub fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("POINTSMAN_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "POINTSMAN_BIN names {}, which is no file", path.display());
        return Ok(path);
    }
    let exe = std::env::current_exe().context("asking for our own path")?;
    let near = exe.ancestors().skip(1).take(2).map(|dir| dir.join("pointsman"));
    let found = near.into_iter().find(|path| path.is_file());
    found.with_context(|| {
        let dir = exe.display();
        format!("no pointsman beside {dir}: run `cargo build -p pointsman` first, or set POINTSMAN_BIN")
    })
}
