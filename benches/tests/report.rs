//! A report is complete: every runtime in every row, every workload on the page and in the picture.

use rt_tasks_benches::measure::{self, Beside, Plan};
use rt_tasks_benches::workload::PeerKind;
use rt_tasks_benches::{chart, present};

fn plan(only: &str) -> Plan {
    Plan {
        workers: 2,
        rounds: 2,
        only: Some(only.to_owned()),
        beside: Beside::Nobody,
    }
}

#[test]
fn a_report_shows_every_runtime_and_the_chosen_workloads_alone() {
    let report = measure::run(&plan("broadcast_256")).expect("there is such a workload");
    assert_eq!(report.rows.len(), 1);
    let row = &report.rows[0];
    let peers: Vec<_> = row.cells.iter().map(|cell| cell.peer).collect();
    let expected: Vec<_> = PeerKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(peers, expected);
    for cell in &row.cells {
        assert_eq!(cell.ratio.is_none(), cell.peer == PeerKind::BASE.name());
        assert!(cell.nanoseconds.lower <= cell.nanoseconds.median);
        assert!(cell.nanoseconds.median <= cell.nanoseconds.upper);
    }
    assert_eq!(report.geometric_means().len(), PeerKind::ALL.len() - 1);

    let terminal = present::for_terminal(&report);
    let page = present::for_docs(&report);
    let picture = chart::svg(&report).expect("a report can be drawn");
    for text in [terminal, page, picture] {
        assert!(text.contains("broadcast_256"), "{text}");
        assert!(expected.iter().all(|peer| text.contains(peer)), "{text}");
    }
}

#[test]
fn a_pattern_that_selects_nothing_is_an_error_that_names_it() {
    let error = measure::run(&plan("no_such_workload")).expect_err("nothing is selected");
    assert!(error.to_string().contains("no_such_workload"), "{error}");
}

#[test]
fn who_is_no_runtime_has_a_table_of_its_own() {
    let plan = Plan {
        beside: Beside::Everybody,
        rounds: 1,
        ..plan("fork_join_fib")
    };
    let report = measure::run(&plan).expect("there is such a workload");
    let others: Vec<_> = report.rows[0]
        .others
        .iter()
        .map(|other| other.name)
        .collect();
    assert!(others.contains(&"rayon"), "{others:?}");
    assert_eq!(report.geometric_means().len(), PeerKind::ALL.len() - 1);
    let page = present::for_docs(&report);
    assert!(page.contains("### Libraries and other languages"), "{page}");
    assert!(page.contains("rayon"), "{page}");
}
