//! What do channels and locks cost? Not shown: how fair they are.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};

fn coordination(criterion: &mut Criterion) {
    common::bench_chapters(criterion, &["Channels", "Locks"]);
}

criterion_group!(benches, coordination);
criterion_main!(benches);
