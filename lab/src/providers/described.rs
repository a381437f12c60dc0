//! A provider's own OpenAPI description as the judge of requests: a real validator of schemas, which moto brings along,
//! asked by a few lines of Python. A description is other people's: it is read where it lies, and nowhere copied.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::net::on_lab;

const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers/described.py");

/// The description of this file name: in the folder that `LAB_DESCRIPTIONS` names. `None`: it is not here.
pub fn description(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LAB_DESCRIPTIONS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/specs");
    [folder, Some(beside)].into_iter().flatten().map(|folder| folder.join(file)).find(|path| path.is_file())
}

/// What the description has against these requests: method, path below its base, and body.
pub async fn complaints(
    description: &Path,
    requests: &[(String, String, String)],
) -> anyhow::Result<Vec<String>> {
    let (python, input) = (super::moto::in_venv("python3")?, serde_json::to_vec(requests)?);
    let mut command = Command::new(python);
    command.arg(JUDGE).arg(description).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let judged = on_lab(async move {
        let mut child = command.spawn()?;
        child.stdin.take().context("no stdin")?.write_all(&input).await?;
        let limit = Duration::from_secs(60);
        Ok(tokio::time::timeout(limit, child.wait_with_output()).await.context("it takes too long")??)
    });
    let output = judged.await.context("asking the description")?;
    ensure!(output.status.success(), "the judge failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
