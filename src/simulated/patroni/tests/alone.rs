//! What the modelled cluster does with nobody telling it.

use super::elsewhere;
use crate::simulated::patroni::World;

fn leads(world: &World) -> Option<&str> {
    world.leader.as_ref().map(|leader| leader.as_str())
}

fn writers(world: &World) -> Vec<&str> {
    world.members.iter().filter(|(_, member)| member.writable()).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn who_has_most_of_the_log_is_elected_and_the_old_leader_follows_when_it_is_back() {
    let mut world = World::cluster("shop", &["a", "b", "c"]);
    world.elects = true;
    world.member("c").position += 7;
    world.crash("a");
    assert_eq!((leads(&world), writers(&world)), (Some("c"), vec!["c"]));
    assert_eq!(world.forked, Some((1007, 1007)));
    world.start("a");
    assert_eq!((writers(&world), world.members[&"a".into()].timeline), (vec!["c"], 2));
}

#[test]
fn a_paused_cluster_elects_nobody_and_who_led_leads_again_on_its_timeline() {
    let mut world = World::cluster("shop", &["a", "b"]);
    (world.elects, world.paused) = (true, true);
    world.crash("a");
    assert_eq!((leads(&world), writers(&world)), (None, vec![]));
    world.member("a").masked = true;
    world.start("a");
    assert_eq!(writers(&world), [""; 0], "it is kept from starting");
    world.member("a").masked = false;
    world.start("a");
    assert_eq!((writers(&world), world.members[&"a".into()].timeline), (vec!["a"], 1));
}

#[test]
fn a_standby_cluster_goes_over_to_a_later_timeline_and_takes_no_write() {
    let mut world = World::cluster("shop", &["a", "b"]);
    world.elects = true;
    world.follow(Some(&elsewhere()));
    world.receive(1, 1500);
    assert_eq!(world.furthest(), 1500);
    world.receive(2, 1400);
    assert!(world.members.values().all(|member| (member.timeline, member.position) == (2, 1400)));
    world.receive(1, 9000);
    assert_eq!(world.furthest(), 1400, "what is of an older timeline is not taken");
    world.crash("a");
    assert_eq!((leads(&world), writers(&world)), (Some("b"), vec![]));
}

#[test]
fn a_change_of_sides_comes_when_it_was_waited_for() {
    let mut world = World::standby("shop", &["a", "b"], "10.0.0.1");
    world.looks = 1;
    world.configure(&"a".into(), None);
    assert_eq!((writers(&world), world.promoted), (vec![], 1));
    for wanted in [vec![], vec!["a"]] {
        world.looked_at();
        assert_eq!(writers(&world), wanted);
    }
    world.configure(&"a".into(), None);
    assert_eq!((world.promoted, world.moved), (1, 1), "to be told twice changes nothing");
}
