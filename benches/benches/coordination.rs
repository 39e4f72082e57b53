//! What do channels and locks cost? Not shown: how fair they are.

mod common;

fn main() {
    common::bench_chapters(&["Channels", "Locks"]);
}
