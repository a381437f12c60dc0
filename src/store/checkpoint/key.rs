//! The Ed25519 key of checkpoints, as PEM files that other programs read too. The private half is never shown.

use super::unusable;
use crate::kernel::domain::Digest;
use crate::store::StoreError;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What stands before the 32 bytes of a public key in its X.509 form.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub struct SigningKey(Ed25519KeyPair);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl SigningKey {
    /// Reads the key, or makes one where there is none.
    pub fn take(path: &Path) -> Result<SigningKey, StoreError> {
        match std::fs::read_to_string(path) {
            Ok(text) => SigningKey::read(&text)
                .ok_or_else(|| unusable(path, &"it holds no Ed25519 private key in PEM")),
            Err(e) if e.kind() == ErrorKind::NotFound => SigningKey::make(path),
            Err(e) => Err(unusable(path, &e)),
        }
    }

    fn read(text: &str) -> Option<SigningKey> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&from_pem(text, "PRIVATE KEY")?).ok().map(SigningKey)
    }

    fn make(path: &Path) -> Result<SigningKey, StoreError> {
        let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|e| unusable(path, &e))?;
        let text = to_pem(made.as_ref(), "PRIVATE KEY");
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| unusable(path, &e))?;
        SigningKey::read(&text).ok_or_else(|| unusable(path, &"the new key cannot be read back"))
    }

    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("invariant: an Ed25519 public key has 32 bytes"))
    }

    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).as_ref())
    }
}

impl PublicKey {
    pub fn read(path: &Path) -> Result<PublicKey, StoreError> {
        let text = std::fs::read_to_string(path).map_err(|e| unusable(path, &e))?;
        PublicKey::from_pem(&text).ok_or_else(|| unusable(path, &"it holds no Ed25519 public key in PEM"))
    }

    pub fn from_pem(text: &str) -> Option<PublicKey> {
        let bytes = from_pem(text, "PUBLIC KEY")?;
        bytes.strip_prefix(&SPKI)?.try_into().ok().map(PublicKey)
    }

    pub fn as_pem(&self) -> String {
        to_pem(&[&SPKI[..], &self.0[..]].concat(), "PUBLIC KEY")
    }

    /// How lines and people name it.
    pub fn id(&self) -> String {
        Digest::of(&self.0).to_string().chars().take(16).collect()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature).is_ok()
    }
}

fn to_pem(bytes: &[u8], name: &str) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("invariant: base64 is ASCII"))
        .collect();
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
}

fn from_pem(text: &str, name: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {name}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {name}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}
