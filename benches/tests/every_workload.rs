//! Every workload comes to the right result on every runtime, whatever the number of workers.
//!
//! The workloads check themselves; here they run a hundredth of their length.

use rt_tasks_benches::workload::{AnyPeer, PeerKind, Scale};
use rt_tasks_benches::workloads::chapters;

fn run_all(workers: usize) {
    for kind in PeerKind::ALL {
        let peer = AnyPeer::start(*kind, workers).expect("the runtime starts");
        for case in chapters().iter().flat_map(|chapter| &chapter.cases) {
            let sample = case.run(&peer, Scale::Smoke);
            assert!(sample.operations > 0, "{} did nothing", case.name);
            assert!(!sample.elapsed.is_zero(), "{} took no time", case.name);
        }
    }
}

#[test]
fn every_workload_is_right_with_one_worker() {
    run_all(1);
}

#[test]
fn every_workload_is_right_with_two_workers() {
    run_all(2);
}

#[test]
fn every_workload_is_right_with_eight_workers() {
    run_all(8);
}

#[test]
fn every_chapter_begins_with_a_question() {
    for chapter in chapters() {
        let preface = chapter.preface();
        let first = preface.lines().next().expect("a preface");
        assert!(first.ends_with('?'), "{}: {first}", chapter.title);
    }
}

#[test]
fn no_two_workloads_share_a_name() {
    let chapters = chapters();
    let mut names: Vec<_> = chapters
        .iter()
        .flat_map(|chapter| &chapter.cases)
        .map(|case| case.name)
        .collect();
    let n_names = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_names);
}
