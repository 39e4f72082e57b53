//! What do tasks cost: starting, joining, switching? Not shown: what they do once they have work.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};

fn tasks(criterion: &mut Criterion) {
    common::bench_chapters(criterion, &["Spawning", "Switching", "Groups"]);
}

criterion_group!(benches, tasks);
criterion_main!(benches);
