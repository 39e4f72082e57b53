//! Hands the workloads of the report to criterion, which keeps a history and notices regressions.
//!
//! Every iteration runs a workload once, so the time shown is that of a whole run and the throughput that
//! of its operations. Runtimes are measured one after the other here; to compare them, use the report.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rt_tasks_benches::workload::{AnyPeer, PeerKind, Scale};
use rt_tasks_benches::workloads::chapters;

/// Worker threads of each runtime, the same on every machine so that histories can be compared.
const WORKERS: usize = 2;

/// Benches all workloads of the chapters with these titles, on every runtime.
pub(crate) fn bench_chapters(titles: &[&str]) {
    let mut criterion = Criterion::default().configure_from_args();
    let chosen: Vec<_> = chapters()
        .into_iter()
        .filter(|chapter| titles.contains(&chapter.title))
        .collect();
    assert_eq!(chosen.len(), titles.len(), "a chapter was renamed");
    let peers: Vec<_> = PeerKind::ALL
        .iter()
        .map(|kind| {
            (
                kind.name(),
                AnyPeer::start(*kind, WORKERS).expect("the runtime starts"),
            )
        })
        .collect();
    for case in chosen.iter().flat_map(|chapter| &chapter.cases) {
        let mut group = criterion.benchmark_group(case.name);
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2));
        for (name, peer) in &peers {
            let warm_up = case.run(peer, Scale::Full);
            group.throughput(Throughput::Elements(warm_up.operations));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    (0..iterations)
                        .map(|_| case.run(peer, Scale::Full).elapsed)
                        .sum()
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
