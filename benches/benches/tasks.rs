//! What do tasks cost: starting, joining, switching? Not shown: what they do once they have work.

mod common;

fn main() {
    common::bench_chapters(&["Spawning", "Switching", "Groups"]);
}
