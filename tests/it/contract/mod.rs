//! The contract that every action keeps, whatever it changes: one list of rules, run against each action over its
//! simulated port and, where the lab has one, over the real server. What a provider brings is a [`Fixture`].
//!
//! The gate: an action that stands in the playbook language and is not here fails `every_action_is_under_contract`.

mod api;
mod balancer;
mod described;
mod fakes;
mod fixture;
mod haproxy;
mod health_check;
mod machines;
mod modelled;
mod moto;
mod patroni;
mod patroni_clusters;
mod powerdns;
mod records;
mod redis;
mod rights;
mod roads;
mod rules;
mod sentinel;
mod zone;

use fixture::Fixture;

/// One test for each fixture, and the list of what they are for.
macro_rules! under_contract {
    ($($kind:literal $test:ident $fixture:expr;)*) => {
        const UNDER_CONTRACT: &[&str] = &[$($kind),*];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let fixture = $fixture;
                assert_eq!(fixture.kind(), $kind);
                rules::hold(&fixture).await;
            }
        )*
    };
}

under_contract! {
    "postgres.fence" postgres_fence_modelled modelled::fence();
    "postgres.promote" postgres_promote_modelled modelled::promote();
    "sql.write_probe" write_probe_modelled modelled::write_probe();
    "patroni.switchover" patroni_switchover_modelled patroni::modelled("patroni.switchover");
    "patroni.switchover" patroni_switchover_real patroni::start().await;
    "patroni.failover" patroni_failover_modelled patroni::modelled("patroni.failover");
    "patroni.promote_standby_cluster" patroni_promote_modelled patroni::sides("patroni.promote_standby_cluster");
    "patroni.promote_standby_cluster" patroni_promote_real patroni_clusters::start("patroni.promote_standby_cluster").await;
    "patroni.demote_cluster" patroni_demote_modelled patroni::sides("patroni.demote_cluster");
    "patroni.demote_cluster" patroni_demote_real patroni_clusters::start("patroni.demote_cluster").await;
    "redis.fence" redis_fence_modelled redis::modelled("redis.fence");
    "redis.fence" redis_fence_real redis::start("redis.fence").await;
    "redis.promote" redis_promote_modelled redis::modelled("redis.promote");
    "redis.promote" redis_promote_real redis::start("redis.promote").await;
    "redis.failover" redis_failover_modelled redis::modelled("redis.failover");
    "redis.failover" redis_failover_real redis::start("redis.failover").await;
    "redis.replicate" redis_replicate_modelled redis::modelled("redis.replicate");
    "redis.replicate" redis_replicate_real redis::start("redis.replicate").await;
    "redis.write_probe" redis_probe_modelled redis::modelled("redis.write_probe");
    "redis.write_probe" redis_probe_real redis::start("redis.write_probe").await;
    "sentinel.failover" sentinel_failover_modelled sentinel::modelled();
    "sentinel.failover" sentinel_failover_real sentinel::start().await;
    "command.run" command_modelled modelled::command();
    "file.render" file_modelled modelled::file();
    "dns.record" dns_modelled modelled::dns();
    "dns.record" dns_on_knot_and_bind zone::start().await;
    "powerdns.record" powerdns_modelled modelled::hosted("powerdns");
    "powerdns.record" powerdns_real powerdns::start().await;
    "route53.record" route53_modelled modelled::hosted("route53");
    "route53.record" route53_on_moto moto::start().await;
    "cloudflare.record" cloudflare_modelled modelled::hosted("cloudflare");
    "cloudflare.record" cloudflare_fake fakes::cloudflare().await;
    "digitalocean.record" digitalocean_modelled modelled::hosted("digitalocean");
    "digitalocean.record" digitalocean_fake fakes::digitalocean().await;
    "ovh.record" ovh_modelled modelled::hosted("ovh");
    "ovh.record" ovh_fake fakes::ovh(false).await;
    "ovh.record" ovh_fake_with_a_service_account fakes::ovh(true).await;
    "haproxy.server" haproxy_modelled modelled::haproxy();
    "haproxy.server" haproxy_real haproxy::start().await;
    "ovh.instance" ovh_instance_modelled modelled::machine("ovh.instance");
    "ovh.instance" ovh_instance_fake machines::ovh(false).await;
    "ovh.instance" ovh_instance_fake_with_a_user machines::ovh(true).await;
    "digitalocean.droplet" droplet_modelled modelled::machine("digitalocean.droplet");
    "digitalocean.droplet" droplet_fake machines::droplet().await;
    "cloudflare.steering" steering_modelled modelled::steering();
    "cloudflare.steering" steering_fake balancer::steering().await;
    "cloudflare.pool" pool_modelled modelled::pool();
    "cloudflare.pool" pool_fake balancer::pool(false).await;
    "cloudflare.pool" pool_fake_by_origins balancer::pool(true).await;
    "route53.health_check" health_check_modelled modelled::health_check();
    "route53.health_check" health_check_on_moto health_check::start().await;
}

#[test]
fn every_action_is_under_contract() {
    let acts = pointsman::playbook::actions().iter().filter(|info| info.acts);
    let missing: Vec<&str> =
        acts.map(|info| info.kind).filter(|kind| !UNDER_CONTRACT.contains(kind)).collect();
    assert!(missing.is_empty(), "without a fixture in tests/it/contract: {missing:?}");
}
