//! What one flush costs on this disk in this minute: the floor under everything durable.

use crate::figures::Figures;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Times in milliseconds of appending 4 KiB and `fdatasync`, one after the other.
pub fn flushes(dir: &Path, during: Duration) -> anyhow::Result<Figures> {
    let path = dir.join("flush");
    let mut file = File::create(&path)?;
    let (page, started) = ([7_u8; 4096], Instant::now());
    let mut times = Figures::default();
    while started.elapsed() < during {
        let before = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.add(before.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// The name of the file system; memory would make every figure a lie.
pub fn must_be_a_disk(dir: &Path) -> anyhow::Result<String> {
    let out = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output()?;
    let name = String::from_utf8(out.stdout)?.trim().to_owned();
    anyhow::ensure!(
        !matches!(name.as_str(), "" | "tmpfs" | "ramfs"),
        "{} is no disk: {name:?}",
        dir.display()
    );
    Ok(name)
}
