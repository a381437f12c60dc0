//! Every verdict of `quorum`, over a modelled world; the scene serves the other checks' tests too.

use super::super::port::{Failed, Layer, Pinged, Reply};
use super::*;
use crate::provider::for_tests::{START, config, plan, spec, why};
use crate::simulated::{Calm, HttpModel, Sights};
use std::net::IpAddr;
use std::sync::Mutex;

pub(in super::super) fn config_text() -> String {
    let vantage = |name: &str| {
        format!(
            "[vantages.{name}]\nblackbox = \"http://{name}.test/probe\"\ndomain = \"{name}\"\ncontrol = \"http://control.test/\"\n"
        )
    };
    let places: String = ["par", "ams", "fra"].map(vantage).concat();
    format!(
        "{places}[vantages.twin]\nblackbox = \"http://twin.test/probe\"\ndomain = \"par\"\n\
         [probes.app]\nhttp = \"https://app.test/healthz\"\n[probes.db]\ntcp = \"db.test:5432\"\n\
         [probes.sql]\nsql = \"pg\"\n\
         [targets.pg]\nkind = \"postgres\"\naddress = \"192.0.2.5\"\nuser = \"u\"\n"
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Seen {
    Status(u16),
    Failed(Layer),
}

#[derive(Default)]
struct World {
    /// What a place sees; `control` for the control target, everywhere.
    seen: BTreeMap<String, Seen>,
    tcp: Option<Seen>,
    asked: BTreeMap<String, u32>,
    exporters_gone: bool,
}

/// A world in which everything is well until told otherwise.
#[derive(Clone)]
pub(in super::super) struct Scene {
    world: Arc<Mutex<World>>,
    model: Arc<HttpModel>,
}

struct Eyes(Arc<Mutex<World>>);

fn as_reply(seen: Seen) -> Result<Reply, Failed> {
    match seen {
        Seen::Status(status) => Ok(Reply { status, body: "the body".into() }),
        Seen::Failed(layer) => Err(Failed { layer, says: "it failed".into() }),
    }
}

impl Sights for Eyes {
    fn http(&self, from: &str, url: &str, _pin: Option<IpAddr>) -> Result<Reply, Failed> {
        let mut world = self.0.lock().unwrap();
        let place = from.trim_start_matches("http://").split('.').next().unwrap().to_owned();
        *world.asked.entry(place.clone()).or_default() += 1;
        let key = if url.contains("control") { "control".to_owned() } else { place };
        as_reply(world.seen.get(&key).copied().unwrap_or(Seen::Status(200)))
    }
    fn tcp(&self, _from: &str, _address: &str) -> Result<(), Failed> {
        as_reply(self.0.lock().unwrap().tcp.unwrap_or(Seen::Status(200))).map(|_| ())
    }
    fn sql(&self, _target: &Name) -> Pinged {
        Pinged::Up
    }
    fn alerts(&self, _api: &str) -> Option<Vec<Value>> {
        None
    }
    fn exporter(&self, _exporter: &str) -> bool {
        !self.0.lock().unwrap().exporters_gone
    }
}

impl Scene {
    pub(in super::super) fn new() -> Scene {
        let world = Arc::new(Mutex::new(World::default()));
        let model = Arc::new(HttpModel::new(Arc::new(Calm), Arc::new(Eyes(Arc::clone(&world)))));
        Scene { world, model }
    }
    pub(in super::super) fn port(&self) -> Arc<dyn Port> {
        Arc::clone(&self.model) as Arc<dyn Port>
    }
    pub(in super::super) fn see(&self, place: &str, seen: Seen) {
        self.world.lock().unwrap().seen.insert(place.to_owned(), seen);
    }
    pub(in super::super) fn asked(&self, place: &str) -> u32 {
        self.world.lock().unwrap().asked.get(place).copied().unwrap_or(0)
    }
    /// Everybody has seen everything up an hour ago.
    fn vouch(&self) {
        let config = config(&config_text());
        for (probe, definition) in &config.probes {
            for vantage in ["local", "par", "ams", "fra"] {
                let key = ProbeMemory::key(probe, definition, &vantage.into());
                self.model.memory().note(key, Time(START.0 - 3_600_000_000));
            }
        }
    }
    fn quorum(&self, with: Value) -> Result<Quorum, Vec<String>> {
        let mut config = config(&config_text());
        let odd = Probe { tcp: Some("x:1".into()), ..config.probes[&Name::from("sql")].clone() };
        config.probes.insert("odd".into(), odd);
        read(&spec("quorum", "origin", with), &config, self.port())
    }
    fn origin_down(&self) -> Quorum {
        let with = json!({ "probes": ["app"], "vantages": ["local", "par", "ams"], "down": "majority", "site": "gra" });
        self.quorum(with).ok().unwrap()
    }
}

const DEAD: Seen = Seen::Failed(Layer::Tcp);

#[tokio::test]
async fn a_majority_of_those_configured_says_down() {
    let scene = Scene::new();
    scene.vouch();
    scene.see("local", DEAD);
    scene.see("par", Seen::Status(503));
    let down = plan(&scene.origin_down()).await;
    let StepPlan::Nothing { gives, says, .. } = &down else { panic!("{down:?}") };
    assert_eq!(gives, &[Fact::Down { site: "gra".into() }]);
    assert!(says.contains("2 of 3") && says.contains("ams says up"), "{says}");
}

#[tokio::test]
async fn a_probe_that_never_said_up_is_blind_and_blind_vantages_do_not_shrink_the_count() {
    let scene = Scene::new();
    for place in ["local", "par", "ams"] {
        scene.see(place, DEAD);
    }
    let blind = plan(&scene.origin_down()).await;
    assert!(matches!(blind, StepPlan::Unknown(_)), "{blind:?}");
    assert!(why(&blind).contains("only 0 of 3") && why(&blind).contains("not said up within a day"));
}

#[tokio::test]
async fn looking_is_what_makes_a_past() {
    let scene = Scene::new();
    let config = config(&config_text());
    for place in ["local", "par"] {
        let answer =
            super::super::look(&config, scene.port().as_ref(), &"app".into(), &place.into(), START, LOOK)
                .await;
        assert_eq!(answer, Answer::Up);
        scene.see(place, DEAD);
    }
    assert!(matches!(plan(&scene.origin_down()).await, StepPlan::Nothing { .. }));
}

#[tokio::test]
async fn tls_client_errors_lost_control_and_lost_exporters_are_blind_not_down() {
    for seen in [Seen::Failed(Layer::Tls), Seen::Status(403), Seen::Status(301)] {
        let scene = Scene::new();
        scene.vouch();
        for place in ["local", "par", "ams"] {
            scene.see(place, seen);
        }
        let blind = plan(&scene.origin_down()).await;
        assert!(
            matches!(blind, StepPlan::Unknown(_)) && why(&blind).contains("only 0"),
            "{seen:?} {blind:?}"
        );
    }
    let scene = Scene::new();
    scene.vouch();
    for place in ["local", "par", "ams", "control"] {
        scene.see(place, DEAD);
    }
    let blind = plan(&scene.origin_down()).await;
    assert!(matches!(blind, StepPlan::Unknown(_)), "local has no control target here: {blind:?}");
    assert!(why(&blind).contains("only 1 of 3") && why(&blind).contains("control target"), "{}", why(&blind));
    scene.world.lock().unwrap().exporters_gone = true;
    assert!(why(&plan(&scene.origin_down()).await).contains("exporter is not reached"));
}

#[tokio::test]
async fn a_contrary_majority_refuses_and_a_mixed_vote_counts_for_nobody() {
    let scene = Scene::new();
    scene.vouch();
    scene.see("local", DEAD);
    let up = plan(&scene.origin_down()).await;
    assert!(matches!(up, StepPlan::Refuse(_)) && why(&up).contains("2 of 3 vantages say up"), "{up:?}");
    scene.see("par", DEAD);
    scene.see("ams", DEAD);
    let with = json!({ "probes": ["app", "db"], "vantages": ["local", "par", "ams"], "down": "majority", "site": "gra" });
    let both = scene.quorum(with).ok().unwrap();
    let mixed = plan(&both).await;
    assert!(matches!(mixed, StepPlan::Unknown(_)) && why(&mixed).contains("says mixed"), "{mixed:?}");
    scene.world.lock().unwrap().tcp = Some(DEAD);
    assert!(matches!(plan(&both).await, StepPlan::Nothing { .. }));
}

#[tokio::test]
async fn up_gives_no_fact_and_all_and_numbers_are_counted_as_said() {
    let scene = Scene::new();
    scene.vouch();
    scene.see("ams", DEAD);
    let vantages = json!(["local", "par", "ams"]);
    let up = |need: Value| {
        let with = json!({ "probes": ["app"], "vantages": vantages, "up": need });
        scene.quorum(with).ok().unwrap()
    };
    assert!(
        matches!(plan(&up(json!("majority"))).await, StepPlan::Nothing { gives, .. } if gives.is_empty())
    );
    assert!(matches!(plan(&up(json!(2))).await, StepPlan::Nothing { .. }));
    assert!(matches!(plan(&up(json!("all"))).await, StepPlan::Unknown(_)));
    scene.see("par", DEAD);
    assert!(matches!(plan(&up(json!("majority"))).await, StepPlan::Refuse(_)));
}

#[test]
fn all_problems_of_the_parameters_are_told_at_once() {
    let scene = Scene::new();
    let said = |with: Value| scene.quorum(with).err().unwrap().join("\n");
    let first = said(
        json!({ "probes": ["sql", "odd", "none"], "vantages": ["par", "mars"], "down": "most", "x": 1 }),
    );
    for part in
        ["no probe none", "no vantage mars", "exactly one of", "probe sql is a query", "`down`", "`x`"]
    {
        assert!(first.contains(part), "{part} is not in\n{first}");
    }
    let even = said(json!({ "probes": ["app"], "vantages": ["local", "par"], "down": "majority" }));
    assert!(even.contains("even number") && even.contains("`site` is missing"), "{even}");
    let twins = said(json!({ "probes": ["app"], "vantages": ["local", "par", "twin"], "up": "majority" }));
    assert!(twins.contains("share a failure domain"), "{twins}");
    let many = said(json!({ "probes": ["app"], "vantages": ["local", "local"], "up": 4 }));
    assert!(many.contains("4 votes are needed") && many.contains("listed twice"), "{many}");
    assert!(
        said(json!({ "probes": [], "vantages": ["local"], "up": 1, "down": 1 }))
            .contains("either `down` or `up`")
    );
}
