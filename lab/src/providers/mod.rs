//! Providers: PowerDNS, moto's Route 53 and HAProxy are real servers; Cloudflare, DigitalOcean and OVHcloud are stateful
//! fakes that speak the documented protocol, and serve what they hold of zones by a real PowerDNS. Before each stands a
//! proxy that can go bad. Tests of single providers start what they need; a [`Lab`](crate::Lab) does not hold them.

mod balancer;
mod book;
mod cloudflare;
mod described;
mod digitalocean;
mod droplet;
mod faulty;
mod haproxy;
mod health_check;
mod line_gate;
mod moto;
mod openstack;
mod ovh;
mod powerdns;

pub use balancer::{Balancer, POOLS};
pub use book::{Book, Kept, set};
pub use cloudflare::Cloudflare;
pub use described::{complaints, description};
pub use digitalocean::DigitalOcean;
pub use droplet::Droplet;
pub use faulty::{Faulty, Guard, Mishap, Which};
pub use haproxy::Haproxy;
pub use health_check::HealthCheck;
pub use line_gate::LineGate;
pub use moto::Moto;
pub use openstack::Openstack;
pub use ovh::Ovh;
pub use powerdns::PowerDns;

/// The zone that all of them hold at the beginning; names under `.test` exist nowhere.
pub const ZONE: &str = "shop.test";

/// One client for all of these: to make one costs more than a call. Only ever used with plain http on loopback.
fn client() -> anyhow::Result<&'static reqwest::Client> {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    // Installing twice is an error that means "already there".
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let limit = std::time::Duration::from_secs(10);
    let made = reqwest::Client::builder().no_proxy().timeout(limit).pool_max_idle_per_host(0).build()?;
    Ok(CLIENT.get_or_init(|| made))
}

/// Serves a fake on a port of its own, for as long as the process lives.
async fn serve(app: axum::Router) -> anyhow::Result<std::net::SocketAddr> {
    crate::net::on_lab(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let at = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(at)
    })
    .await
}
