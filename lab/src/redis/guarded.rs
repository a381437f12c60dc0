//! TLS between servers of Redis and their Sentinels, as a careful house has it: the plain ports are left to the harness. Used by
//! the pair and the Sentinels.

use std::path::Path;

use super::RedisUser;
use crate::tls::{self, Tls};

#[derive(Debug)]
pub(super) struct Guarded {
    pub tls: Tls,
    /// Where the servers of the pair speak TLS.
    pub port: u16,
}

impl Guarded {
    pub async fn new(dir: &Path, port: u16) -> anyhow::Result<Guarded> {
        Ok(Guarded { tls: tls::make(dir).await?, port })
    }

    /// Of a server or a Sentinel that speaks TLS there, and with everybody that it connects to.
    pub fn settings(&self, port: u16) -> String {
        let Tls { ca, cert, key } = &self.tls;
        format!(
            "tls-port {port}\ntls-replication yes\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\n\
             tls-key-file {}\n",
            ca.display(),
            cert.display(),
            key.display()
        )
    }
}

/// Whoever has the password is let in as a Sentinel; Pointsman has a user with the rights that its page names, and no more.
pub(super) fn sentinel_logins() -> String {
    let (admin, own) = (RedisUser::Admin.password(), RedisUser::Pointsman);
    format!(
        "requirepass {admin}\nsentinel sentinel-pass {admin}\nuser {} on >{} +info +sentinel|myid +sentinel|master \
         +sentinel|replicas +sentinel|sentinels +sentinel|ckquorum +sentinel|failover\n",
        own.name(),
        own.password()
    )
}
