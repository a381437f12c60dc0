//! Two services on one database pair, to be moved in opposite directions: the second waits until the first is done, or
//! each would promote what the other fences. How the worker holds the second is in `limits/locks`.

use super::KILLED;
use super::plot::{Plot, Staged as _};
use super::schedules::Life;
use pointsman::kernel::domain::Outcome;
use pointsman::kernel::drive::Mistake;
use pointsman::kernel::sim::End;

const THERE: &str = "\
playbook: there
service: shop
kind: failover
mode: auto
sites: { gra: { db: pg-gra }, sbg: { db: pg-sbg } }
from: gra
to: sbg
triggers:
  - alertmanager: { alertname: SiteDown, site: gra, severity: critical }
limits: { cooldown: 1h }
guards:
  - name: origin is down
    quorum: { probes: [gra-app], vantages: [local, blackbox-par, blackbox-ams], down: majority }
steps:
  - name: fence
    action: command.run
    with: { target: \"${target(from.db).host}\", run: fence, check: fenced, undo: unfence, timeout: 20s }
    proves: { fenced: \"${from.db}\", rung: stopped }
  - name: promote
    action: postgres.promote
    with: { target: \"${to.db}\", old: \"${from.db}\" }
    commit_point: true
verify:
  - action: sql.write_probe
    with: { target: \"${to.db}\", as: app }
";

#[test]
fn a_service_that_would_move_a_pair_back_waits_for_the_one_that_moves_it() {
    let there = Plot::written(THERE, "there.yaml", KILLED).unwrap();
    let back = THERE
        .replace("playbook: there", "playbook: back")
        .replace("service: shop", "service: desk")
        .replace("from: gra\nto: sbg", "from: sbg\nto: gra")
        .replace("[gra-app]", "[sbg-app]");
    let mut back = Plot::written(&back, "back.yaml", KILLED).unwrap().spec;
    back.run = "S1M002".into();
    for key in ["target:pg-gra", "target:pg-sbg"] {
        let held = |keys: Vec<String>| keys.iter().any(|held| held == key);
        assert!(held(there.spec.lock_keys()) && held(back.lock_keys()), "{key} is not locked by both");
    }
    let stage = there.stage(&Life::default(), Mistake::None);
    let run = stage.sim.open(there.spec.clone()).unwrap();
    let refused = stage.sim.open(back.clone()).unwrap_err();
    assert!(refused.contains("target:pg-") && refused.contains("is locked by run S1M001"), "{refused}");
    assert_eq!(stage.finish(&run), Ok(End::Finished(Outcome::Succeeded)));
    assert_eq!(stage.sim.open(back), Ok("S1M002".into()), "the pair is free again");
}
