//! When the watch of an old primary begins.

use super::scene::{FENCE, PROMOTE, change_spec, done, fence_done, fenced};
use crate::domain::*;
use crate::engine::{ItemPhase, Run};

fn owed(run: &Run) -> Vec<FenceRung> {
    let rung = |record: &Record| match record {
        Record::FenceWatch { rung, state: FenceWatchState::Watching, .. } => *rung,
        other => panic!("no watch that begins: {other:?}"),
    };
    run.watches_owed().iter().map(rung).collect()
}

#[test]
fn who_was_fenced_is_watched_also_where_another_promoted() {
    let mut run = fence_done();
    assert!(owed(&run).is_empty(), "nobody else leads yet");
    run.items[PROMOTE].phase = ItemPhase::Done { gives: vec![] };
    assert_eq!(owed(&run), [FenceRung::Stopped], "somebody was faster");
    run.items[FENCE].changed = false;
    assert!(owed(&run).is_empty(), "this run did nothing at all");
    change_spec(&mut run, |spec| {
        spec.items[FENCE].rungs[0].form = Form::Manual { text: "Power it off.".into() };
    });
    assert_eq!(owed(&run), [FenceRung::Stopped], "a person powered it off for this run");
}

#[test]
fn a_fence_of_another_server_begins_no_watch() {
    let mut run = fence_done();
    let other = Fact::Fenced { target: "elsewhere".into(), rung: FenceRung::Stopped, position: None };
    done(&mut run, FENCE, vec![other]);
    run.items[PROMOTE].phase = ItemPhase::Done { gives: vec![] };
    assert!(owed(&run).is_empty());
    done(&mut run, PROMOTE, vec![]);
    assert_eq!(owed(&run), [FenceRung::None], "promoted by this run, and nothing is fenced");
    done(&mut run, FENCE, vec![fenced()]);
    assert_eq!(owed(&run), [FenceRung::Stopped]);
}
