//! `cargo bench -- looks`: one look at twenty targets, beside a look at the slowest of them alone. Both are whole passes of
//! the real drive over the real client; what differs is only how many targets the playbook has. The remotes are a server
//! on loopback that answers each zone after a time of its own.

use crate::figures::Figures;
use anyhow::{Context, ensure};
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use pointsman::config::Config;
use pointsman::kernel::domain::*;
use pointsman::kernel::drive::{Driver, Pass, opening};
use pointsman::kernel::journal::{Journal, MemoryBackend};
use pointsman::kernel::port::{Sample, Samples};
use pointsman::provider::{Ports, ProviderRegistry};
use pointsman::worker::SystemWorld;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TARGETS: u64 = 20;
const ROUNDS: usize = 15;
/// The goal: of the slowest alone.
const GOAL: f64 = 1.2;

/// From 20 to 210 ms.
fn takes(target: u64) -> Duration {
    Duration::from_millis(20 + 10 * target)
}

async fn records(Path(zone): Path<u64>) -> Json<Value> {
    tokio::time::sleep(takes(zone)).await;
    let record = json!({ "id": "0", "name": format!("z{zone}.test"), "type": "A", "content": "192.0.2.10", "ttl": 300 });
    let info = json!({ "total_count": 1 });
    Json(json!({ "success": true, "errors": [], "messages": [], "result": [record], "result_info": info }))
}

async fn remotes() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let at = listener.local_addr()?;
    let app = Router::new().route("/client/v4/zones/{zone}/dns_records", get(records));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(at)
}

fn config(at: SocketAddr, token: &std::path::Path) -> anyhow::Result<Config> {
    let zone = |n| {
        format!(
            "[targets.z{n}]\nkind = \"cloudflare\"\nzone = \"z{n}.test\"\nzone_id = \"{n}\"\napi = \"http://{at}/client/v4\"\n\
             token = {{ file = {token:?} }}\n"
        )
    };
    let text: String = (0..TARGETS).map(zone).collect();
    let (config, problems) = pointsman::config::parse(&text, "bench.toml");
    config.with_context(|| format!("{problems:?}"))
}

/// All of these, side by side as a playbook without an order has them.
fn spec(targets: &[u64]) -> Resolved {
    let item = |n: &u64| {
        let name = format!("z{n}.test");
        let with =
            json!({ "ttl": 60, "records": [{ "name": name, "type": "A", "values": ["198.51.100.20"] }] });
        let spec = Spec { kind: "cloudflare.record".into(), target: format!("z{n}").as_str().into(), with };
        Item {
            name: name.as_str().into(),
            role: ItemRole::Step,
            rungs: vec![Rung { form: Form::Act(spec), proves: vec![] }],
            after: vec![],
            optional: false,
            commit_point: false,
            planned_ahead: true,
            accept_unfenced: None,
            continues: None,
            on_failure: OnFailure::Pause,
            retry: Retry::default(),
            timeout: Span::secs(60),
        }
    };
    let cause = Cause::Person { by: Actor::internal(), reason: "a benchmark".into() };
    Resolved {
        run: "BENCH1".into(),
        playbook: "looks".into(),
        playbook_digest: Digest::of(b"looks"),
        text: String::new(),
        service: "shop".into(),
        kind: RunKind::Failover,
        mode: Mode::Observe,
        from: "a".into(),
        to: "b".into(),
        items: targets.iter().map(item).collect(),
        locks: vec![],
        approval: ApprovalRule::simple(Span::mins(15), Role::Approver),
        limits: Limits::default(),
        objective: Objective::default(),
        afterwards: Afterwards::default(),
        cause,
        epoch: 1,
        owner: "bench".into(),
        fold: 1,
    }
}

struct NoSamples;

impl Samples for NoSamples {
    fn recent(&self, _target: &Name) -> Vec<Sample> {
        vec![]
    }
}

/// One pass to a plan, in milliseconds.
async fn look(registry: &ProviderRegistry, targets: &[u64]) -> anyhow::Result<f64> {
    let journal = Journal::new(Arc::new(MemoryBackend::new()));
    let world = Arc::new(SystemWorld::new());
    let spec = spec(targets);
    let first = opening(&spec, pointsman::kernel::port::World::now(world.as_ref()))?;
    journal.append(first).await?;
    let driver = Driver::new(&journal, registry, world, Arc::new(NoSamples), "bench");
    let began = Instant::now();
    let pass = driver.drive(&spec.run).await?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    let Pass::Observed(sheet) = pass else { anyhow::bail!("no plan but {pass:?}") };
    let changes = sheet.lines.iter().filter(|line| line.verdict == Verdict::Change).count();
    ensure!(changes == targets.len(), "{changes} of {} targets were seen", targets.len());
    Ok(took)
}

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let dir = tempfile::tempdir()?;
        let token = dir.path().join("token");
        std::fs::write(&token, "bench\n")?;
        let config = Arc::new(config(remotes().await?, &token)?);
        let registry = ProviderRegistry { ports: Ports::real(config.clone()), config };
        let all: Vec<u64> = (0..TARGETS).collect();
        let slowest = [TARGETS - 1];
        look(&registry, &all).await?;
        let (mut alone, mut together) = (Figures::default(), Figures::default());
        for round in 0..ROUNDS {
            // Turned round every second time.
            for first in [round % 2 == 0, round % 2 == 1] {
                match first {
                    true => alone.add(look(&registry, &slowest).await?),
                    false => together.add(look(&registry, &all).await?),
                }
            }
        }
        let ratio = together.over(&alone);
        println!("looks: the slowest of {TARGETS} alone {alone:.1} ms, all of them {together:.1} ms");
        println!("looks: all / slowest {ratio}; the goal is {GOAL}");
        ensure!(ratio.median() <= GOAL, "the goal is missed");
        Ok(())
    })
}
