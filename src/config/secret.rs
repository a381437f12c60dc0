//! References to secrets. The value is read when it is needed, and never kept in the configuration.

use crate::kernel::domain::Secret;
use std::path::PathBuf;

/// `{ env = "…" }`, `{ file = "…" }`, or `{ credential = "…" }` (systemd's `LoadCredential=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
    Credential(String),
}

/// Names the reference, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PM1101: cannot read the secret from {place}: {why}")]
pub struct SecretError {
    pub place: String,
    pub why: String,
}

impl SecretRef {
    /// Reads the secret now. One trailing newline is cut, as editors add one.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let fail = |place: String, why: String| SecretError { place, why };
        let text = match self {
            SecretRef::Env(name) => crate::config::env(name)
                .ok_or_else(|| fail(format!("environment variable {name}"), "it is not set".into()))?,
            SecretRef::File(path) => read_file(path)?,
            SecretRef::Credential(name) => {
                let dir = crate::config::env("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    fail(format!("credential {name}"), "CREDENTIALS_DIRECTORY is not set".into())
                })?;
                read_file(&PathBuf::from(dir).join(name))?
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if text.is_empty() {
            return Err(fail(format!("{self:?}"), "it is empty".into()));
        }
        Ok(Secret::new(text))
    }
}

fn read_file(path: &std::path::Path) -> Result<String, SecretError> {
    std::fs::read_to_string(path)
        .map_err(|e| SecretError { place: format!("file {}", path.display()), why: e.to_string() })
}
