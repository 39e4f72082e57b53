//! What do timers, sockets, blocking work and other threads cost? Not shown: the tail of the distribution.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};

fn waiting(criterion: &mut Criterion) {
    common::bench_chapters(
        criterion,
        &["Timers", "Echo", "Blocking work", "From outside"],
    );
}

criterion_group!(benches, waiting);
criterion_main!(benches);
